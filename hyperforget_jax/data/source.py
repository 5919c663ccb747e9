"""What every source of data hands over, and the one fixed way to hold some of it out."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SPLIT_SEED = 20_241_130
"""Fixes which images are held out. A constant and no setting: every seed of a run sees the same split."""

Array = npt.NDArray[Any]


class Labelled(NamedTuple):
    """Images or feature vectors as stored, with their original labels.

    Attributes:
      inputs: [n, ...], uint8 or floats, from 0 (black) to the source's `white`.
      labels: [n], any integers.
    """

    inputs: Array
    labels: Array


class Source(NamedTuple):
    """A whole dataset: its training and test images, and the pixel value that counts as 1."""

    train: Labelled
    test: Labelled
    white: int


class Preprocessing(NamedTuple):
    """From a stored input to what a classifier takes: (stored / white - shift) / scale, in a row of d numbers.

    Attributes:
      white: the stored value that counts as 1.
      shift: [d], float64; None: nothing is subtracted.
      scale: [d], float64; None: nothing more is divided by.
    """

    white: int
    shift: Array | None = None
    scale: Array | None = None


class Info(NamedTuple):
    """What is known of a dataset before its images are read.

    Attributes:
      labels: all of them, in rising order.
      num_train: training images, before any is held out.
      input_shape: of one image, or (d,) of feature vectors.
      class_names: of `labels`, in their order; None: they have no names.
      version: tells apart two contents under one name, wherever they are stored; None: there is only one.
    """

    labels: tuple[int, ...]
    num_train: int
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...] | None = None
    version: str | None = None

    @property
    def input_size(self) -> int:
        """Inputs d of a classifier."""
        return math.prod(self.input_shape)


def hold_out(total: int, held: int, labels: Array | None = None) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Splits 0..total-1 by a fixed permutation: the order of the raw words of PCG64(SPLIT_SEED).

    The raw words, not `Generator.permutation`: NumPy promises the former for all versions (NEP 19).
    For one total, a larger `held` holds out the same images and more.

    Args:
      total: images there are.
      held: images to hold out.
      labels: [total]; the first image of every class in the permutation is then held out before all others and its last one after
        them, so that a rare class is on both sides. Where every class is there anyway, it changes nothing. None: no such order.

    Returns:
      kept: [total - held], in rising order, so the images keep their source's order.
      held: [held], likewise.
    """
    permutation = np.argsort(np.random.PCG64(SPLIT_SEED).random_raw(total), kind="stable")
    if labels is not None:
        permuted = labels[permutation]
        rank = np.zeros(total, np.int8)
        rank[total - 1 - np.unique(permuted[::-1], return_index=True)[1]] = 1
        rank[np.unique(permuted, return_index=True)[1]] = -1
        permutation = permutation[np.argsort(rank, kind="stable")]
    return np.sort(permutation[held:]), np.sort(permutation[:held])
