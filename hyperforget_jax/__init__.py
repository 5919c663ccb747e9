"""HyperForget in JAX: forgetting as generation of classifier weights (arXiv 2412.00761)."""

__version__ = "0.1.0"
