"""Share of correct predictions on a set of images."""

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError


def accuracy(predictions: ArrayLike, labels: ArrayLike, member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Accuracy of many models over the images of a set (not the mean of class accuracies).

    Args:
      predictions: [N, n], the class that each of N models gives to each image.
      labels: [n].
      member: [n], the images of the set: forget, retain or all; or those of one class.

    Returns:
      [N], in [0, 1].

    Raises:
      HyperForgetError: the set has no image.
    """
    if not member.any():
        raise HyperForgetError("accuracy got a set of 0 images: name classes that the split contains")
    hits = np.asarray(predictions) == np.asarray(labels)[None]  # [N, n]
    shares: NDArray[np.float64] = hits[:, member].mean(axis=1, dtype=np.float64)
    return shares
