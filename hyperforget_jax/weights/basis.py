"""Input directions ranked by what they do to a pre-activation: the functional basis.

With z = [x, 1], so that a bias is the weight of a constant input, let S = E[z z^T] = U diag(l) U^T over the
training images. For an input weight w (bias appended) and its code y = diag(l_K)^(1/2) U_K^T w,

    |dy|^2 = dw^T S dw = E[(dw . z)^2]    (for the K directions kept):

the squared error of a code IS the mean squared error of the pre-activation it causes, and pixels that
never vary cost nothing. Decoding: w = U_K diag(l_K)^(-1/2) y.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Layer

Array = np.ndarray[Any, np.dtype[np.float32]]


def extended(layer: Layer) -> jax.Array:
    """Incoming weights with their biases: [..., H, fan_in + 1] of a layer of one model or of stacked ones."""
    return jnp.concatenate([layer["w"], layer["b"][..., None]], axis=-1)


@dataclass(frozen=True)
class Basis:
    """Two maps between an input weight with its bias [D + 1] and its code [K].

    Attributes:
      encode: [K, D + 1], diag(l_K)^(1/2) U_K^T.
      decode: [D + 1, K], U_K diag(l_K)^(-1/2).
    """

    encode: Array
    decode: Array

    @property
    def size(self) -> int:
        """Directions K."""
        return int(self.encode.shape[0])


def fit(images: Array, size: int) -> Basis:
    """The `size` directions with the largest second moment over the images.

    Args:
      images: [N, D].
      size: K; directions whose second moment is below 1e-7 of the largest are never kept.
    """
    extended = np.concatenate([images, np.ones((len(images), 1))], axis=1).astype(np.float64)  # [N, D + 1]
    eigenvalues, directions = np.linalg.eigh(extended.T @ extended / len(extended))  # ascending
    kept = np.arange(len(eigenvalues))[::-1][:size]
    kept = kept[eigenvalues[kept] > 1e-7 * eigenvalues[-1]]
    roots = np.sqrt(eigenvalues[kept])  # [K]
    return Basis(
        encode=(directions[:, kept] * roots).T.astype(np.float32),
        decode=(directions[:, kept] / roots).astype(np.float32),
    )
