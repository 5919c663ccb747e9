"""Input directions ranked by what they do to a pre-activation: the functional basis.

With z = [x, 1], so that a bias is the weight of a constant input, let S = E[z z^T] = U diag(l) U^T over the
training images. For an input weight w (bias appended) and its code y = diag(l_K)^(1/2) U_K^T w,

    |dy|^2 = dw^T S dw = E[(dw . z)^2]    (for the K directions kept):

the squared error of a code IS the mean squared error of the pre-activation it causes, and pixels that
never vary cost nothing. Decoding: w = U_K diag(l_K)^(-1/2) y.

The directions beyond K move no pre-activation that counts, and still they are there in a trained model: `rest` spans those of the pixels
that vary. A pixel that is 0 in every image is `still`: training never moves its weights.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Basis:
    """Two maps between an input weight with its bias [D + 1] and its code [K].

    Attributes:
      encode: [K, D + 1], diag(l_K)^(1/2) U_K^T.
      decode: [D + 1, K], U_K diag(l_K)^(-1/2).
      rest: [R, D + 1], orthonormal rows: the directions beyond K of the pixels that vary.
    """

    encode: Array
    decode: Array
    rest: Array

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
    varying: np.ndarray[Any, np.dtype[np.bool_]] = np.any(extended != 0, axis=0)  # [D + 1]
    moving = extended[:, varying]  # [N, D' + 1]
    eigenvalues, directions = np.linalg.eigh(moving.T @ moving / len(moving))  # ascending
    order = np.arange(len(eigenvalues))[::-1]
    kept = order[:size]
    kept = kept[eigenvalues[kept] > 1e-7 * eigenvalues[-1]]
    whole = np.zeros((len(varying), len(order)))  # [D + 1, D' + 1]
    whole[varying] = directions
    roots = np.sqrt(eigenvalues[kept])  # [K]
    return Basis(
        encode=(whole[:, kept] * roots).T.astype(np.float32),
        decode=(whole[:, kept] / roots).astype(np.float32),
        rest=whole[:, order[len(kept) :]].T.astype(np.float32),
    )
