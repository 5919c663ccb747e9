"""What every source of images hands over, and the one fixed way to hold some of them out."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SPLIT_SEED = 20_241_130
"""Fixes which images are held out. A constant and no setting: every seed of a run sees the same split."""


class Labelled(NamedTuple):
    """Images as stored, with their original labels.

    Attributes:
      pixels: [n, height, width], uint8, from 0 (black) to the source's `white`.
      labels: [n], int32.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]


class Source(NamedTuple):
    """A whole dataset: its training and test images, and the pixel value that counts as 1."""

    train: Labelled
    test: Labelled
    white: int


def hold_out(total: int, held: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Splits 0..total-1 by a fixed permutation: the order of the raw words of PCG64(SPLIT_SEED).

    The raw words, not `Generator.permutation`: NumPy promises the former for all versions (NEP 19).
    For one total, a larger `held` holds out the same images and more.

    Args:
      total: images there are.
      held: images to hold out.

    Returns:
      kept: [total - held], in rising order, so the images keep their source's order.
      held: [held], likewise.
    """
    permutation = np.argsort(np.random.PCG64(SPLIT_SEED).random_raw(total), kind="stable")
    return np.sort(permutation[held:]), np.sort(permutation[:held])
