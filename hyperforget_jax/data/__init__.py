"""Images and labels: where they come from, how they are split, which classes take part."""

from hyperforget_jax.data.registry import describe, identity, resolve, validate_data
from hyperforget_jax.data.splits import Dataset, Split, load, load_dataset

__all__ = ["Dataset", "Split", "describe", "identity", "load", "load_dataset", "resolve", "validate_data"]
