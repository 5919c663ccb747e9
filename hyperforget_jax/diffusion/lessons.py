"""Lessons that are made once and drawn from in every step: what a student and a scrub learn from."""

from collections.abc import Iterator
from typing import Any, TypeVar

import jax
import numpy as np

L = TypeVar("L", bound=Any)


def batches(lessons: L, seed: int, size: int, step: int) -> Iterator[L]:
    """Batches of lessons from a step on, drawn with replacement: that of step s is a function of (seed, s) alone.

    Args:
      lessons: a tree whose leaves have one row a lesson.
      seed: of the draws.
      size: lessons in a batch.
      step: the first.
    """
    count = len(jax.tree.leaves(lessons)[0])
    while True:
        random = np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64)))
        rows = random.integers(count, size=size)  # [B]
        yield jax.tree.map(lambda leaf, rows=rows: leaf[rows], lessons)
        step += 1
