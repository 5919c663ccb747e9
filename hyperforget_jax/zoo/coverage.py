"""Which combinations of learned and not learned classes a set of checkpoints covers, and how to draw evenly from it.

Quality follows coverage: a hypernetwork answers badly where it has seen little (sections A.5 and A.6, Figures 28-30).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]

HIGH = 0.5
"""Accuracy up to which a class counts as not learned: its loss is high."""

MAX_CLASSES = 16
"""Most forgettable classes: their 2^m combinations are counted and drawn from."""

TINY = 1e-6
"""Nats that count as the least mean loss, since 0 has no logarithm."""


def combination(accuracies: Floats, classes: Sequence[int]) -> Codes:
    """Which of some classes a checkpoint has not learned, as a binary number; the first class is the lowest bit.

    Args:
      accuracies: [..., K].
      classes: output positions, m of them. A class is high (not learned) at an accuracy of at most 0.5, and at NaN, which is not known.

    Returns:
      [...], from 0 (all low: everything learned) to 2^m - 1.
    """
    high = (~(accuracies[..., list(classes)] > HIGH)).astype(np.int64)  # [..., m]
    return high @ (1 << np.arange(len(classes), dtype=np.int64))


def code_of(members: Sequence[int], classes: Sequence[int]) -> int:
    """The code of a set of some classes, such as one that is high; `classes` are in the order of the bits, lowest first."""
    return sum(1 << classes.index(member) for member in members)


def members(code: int, classes: Sequence[int]) -> list[int]:
    """The classes of a code, in the order of the bits; the inverse of `code_of`."""
    return [each for bit, each in enumerate(classes) if code >> bit & 1]


def name(code: int, labels: Sequence[int]) -> str:
    """A combination in words, such as "2 high, 3 low"."""
    return ", ".join(f"{label} {'high' if code >> bit & 1 else 'low'}" for bit, label in enumerate(labels))


def counts(codes: Codes, num_classes: int) -> Codes:
    """Checkpoints [2^m] of every combination of m classes."""
    return np.bincount(codes.ravel(), minlength=2**num_classes).astype(np.int64)


def histograms(losses: Floats, edges: Sequence[float]) -> Codes:
    """Checkpoints per class and loss level, for Figures 28 and 29.

    Args:
      losses: [n, K], nats.
      edges: E increasing bounds between levels, in nats.

    Returns:
      [K, E + 1]; level e holds edges[e - 1] <= loss < edges[e], the ends are open.
    """
    levels = np.digitize(losses, edges)  # [n, K]
    return np.stack([np.bincount(column, minlength=len(edges) + 1) for column in levels.T]).astype(np.int64)


def balanced(codes: Codes) -> Doubles:
    """Chances [n] of being drawn, such that every group of equal codes is drawn equally often.

    Combinations as codes balance combinations; `loss_levels` as codes give the resampled training set of Figure 29.
    """
    _, inverse, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    return 1.0 / sizes[inverse] / len(sizes)


def level_bounds(losses: Floats, count: int) -> Doubles:
    """Bounds [count + 1] of levels of the mean loss, from the least to the greatest: equal steps of its logarithm (Figure 29)."""
    means = _means(losses)
    return np.geomspace(means.min(), means.max(), count + 1)


def loss_levels(losses: Floats, count: int) -> Codes:
    """The level [n] of every checkpoint's mean loss, among the `count` of `level_bounds`."""
    return np.digitize(_means(losses), level_bounds(losses, count)[1:-1]).astype(np.int64)


def _means(losses: Floats) -> Doubles:
    return np.maximum(np.nanmean(losses, 1, dtype=np.float64), TINY)
