"""The discrete key-value bottleneck: a classifier on embeddings that forgets by masking pairs (arXiv 2207.11240, 2311.15268)."""
