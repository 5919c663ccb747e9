"""The Python interface: data, zoo, hypernetwork, unlearned models, and their comparison with retrained ones (README.md has an example)."""
