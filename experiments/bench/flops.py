"""Floating-point operations of the model's products: 2 for a multiply and its add. Everything else counts as nothing."""

from itertools import pairwise


def step(sizes: tuple[int, ...], batch_size: int) -> int:
    """FLOPs of one training step of one network.

    Layer 1 has a forward product and one for its weights' gradient, every deeper layer a third for the gradient of its input.

    Args:
      sizes: width of every layer.
      batch_size: B.
    """
    first, *deeper = (fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    return batch_size * (4 * first + 6 * sum(deeper))


def scoring(sizes: tuple[int, ...], images: int) -> int:
    """FLOPs of one network's forward pass on some images."""
    return 2 * images * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))


def product(side: int) -> int:
    """FLOPs of a square product."""
    return 2 * side**3
