"""Diversity of a group of models: do they differ from each other as reference models do? One prompt may give near-clones."""

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import LOSS_FLOOR

Doubles = NDArray[np.float64]


def disagreement(predictions: ArrayLike, num_classes: int) -> float:
    """Mean over pairs of models of the share of images to which the two give different classes.

    Of an image that c_k of N models give class k, N^2 - sum_k c_k^2 ordered pairs disagree; counts are exact.

    Args:
      predictions: [N, n], classes by argmax.
      num_classes: K.

    Returns:
      In [0, 1]; 0 of N copies.

    Raises:
      HyperForgetError: fewer than 2 models, or no image.
    """
    classes = np.asarray(predictions)
    count, images = classes.shape
    if count < 2 or images < 1:
        raise HyperForgetError(
            f"disagreement got {count} models on {images} images, expected at least 2 on 1: sample more models"
        )
    votes = np.stack([(classes == label).sum(0, dtype=np.int64) for label in range(num_classes)])  # [K, n]
    return float((count**2 - (votes**2).sum(0)).mean() / (count * (count - 1)))


def loss_spread(losses: ArrayLike) -> Doubles:
    """Standard deviation [K] over models of the logarithm of class losses [N, K] (nats; 0.001 is added to each), N >= 2."""
    spread: Doubles = np.log(np.asarray(losses, np.float64) + LOSS_FLOOR).std(0, ddof=1)
    return spread
