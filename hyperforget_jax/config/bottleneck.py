"""Defaults of the discrete key-value bottleneck."""

from dataclasses import dataclass

from hyperforget_jax.config.ranges import BOTTLENECK, validate_settings
from hyperforget_jax.errors import HyperForgetError


@dataclass(frozen=True)
class BottleneckConfig:
    """A bottleneck, and how its keys and values are learned (arXiv 2207.11240)."""

    seed: int = 0
    """Of projections, keys and the order of training images."""
    codebooks: int = 128
    """Codebooks C, each with a projection and a table of pairs of its own."""
    pairs: int = 1024
    """Keys J of a codebook, each with one value."""
    subspace: int = 24
    """Dimensions that a codebook's projection keeps of an embedding."""
    top_k: int = 1
    """Nearest keys of a codebook whose values are averaged."""
    temperature: float = 1.0
    """Divides the mean of the values to give the logits."""
    key_decay: float = 0.95
    """Of the moving averages of a key's use and of what used it, for each batch."""
    key_steps: int = 100
    """Batches of unlabelled embeddings that keys are moved by."""
    key_batch: int = 2048
    """Embeddings in such a batch."""
    dead_share: float = 0.05
    """A key with a smaller share of the mean use of its codebook's keys starts again from an embedding of the batch."""
    value_epochs: int = 30
    """Passes over the training images, at most."""
    value_batch: int = 256
    """Images in a step."""
    learning_rate: float = 0.25
    """How far an image moves the values of the pairs it selects, as a multiple of (probabilities - one-hot label)."""
    value_decay: float = 0.0
    """Share by which every value shrinks at the end of a pass."""
    patience: int = 3
    """Passes without a better accuracy on validation images after which training stops; the best values are kept."""
    block: int = 1024
    """Embeddings whose distances are in memory at a time, times J; no number depends on it."""


def validate_bottleneck(config: BottleneckConfig) -> None:
    """Refuses a config with a number out of range.

    Raises:
      HyperForgetError: names the field, the number and the range.
    """
    validate_settings(config, BOTTLENECK, "bottleneck")
    if config.top_k > config.pairs:
        raise HyperForgetError(
            f"bottleneck.top_k is {config.top_k}, of {config.pairs} pairs: choose at most bottleneck.pairs"
        )
