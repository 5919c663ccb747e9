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


def combination(accuracies: Floats, classes: Sequence[int]) -> Codes:
    """Which of some classes a checkpoint has not learned, as a binary number; the first class is the lowest bit.

    Args:
      accuracies: [..., K].
      classes: output positions, m of them. A class is high (not learned) at an accuracy of at most 0.5.

    Returns:
      [...], from 0 (all low: everything learned) to 2^m - 1.
    """
    high = (accuracies[..., list(classes)] <= HIGH).astype(np.int64)  # [..., m]
    return high @ (1 << np.arange(len(classes), dtype=np.int64))


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


def loss_levels(losses: Floats, count: int) -> Codes:
    """The level [n] of every checkpoint's mean loss, among `count` equal intervals from the least to the greatest."""
    means = losses.astype(np.float64).mean(1)
    edges = np.linspace(means.min(), means.max(), count + 1)[1:-1]
    return np.digitize(means, edges).astype(np.int64)
