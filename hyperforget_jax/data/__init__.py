"""Images and labels: where they come from, how they are split, which classes take part."""

from hyperforget_jax.data.splits import Dataset, Split, load

__all__ = ["Dataset", "Split", "load"]
