"""Speed beside PyTorch: `python -m experiments.benchmarks.zoo` and `python -m experiments.benchmarks.hypernetwork`."""
