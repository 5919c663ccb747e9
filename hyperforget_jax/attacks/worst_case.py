"""The worst case of a method: the forget set on which it does worst, by exhaustive search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperforget_jax.attacks.result import Doubles
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

Score = Callable[[NDArray[np.bool_]], Any]
"""(forget sets [F, K], True for a class to forget) -> scores [F]; `jax.jit(jax.vmap(f))` of a function f of one set [K] is one."""


@dataclass(frozen=True)
class WorstCase:
    """What an exhaustive search found.

    Attributes:
      forget_set: the worst set, output positions; of equal ones the first.
      value: its score.
      forget_sets: all sets that were scored.
      values: [F], their scores.
    """

    forget_set: tuple[int, ...]
    value: float
    forget_sets: tuple[tuple[int, ...], ...]
    values: Doubles


def allowed_sets(forgettable: Sequence[int], num_classes: int) -> tuple[tuple[int, ...], ...]:
    """All non-empty sets of forgettable classes, but for the set of all K classes; small sets first."""
    sizes = range(1, min(len(forgettable), num_classes - 1) + 1)
    return tuple(each for size in sizes for each in combinations(forgettable, size))


def worst_case(
    score: Score,
    forget_sets: Sequence[tuple[int, ...]],
    num_classes: int,
    worst: Literal["highest", "lowest"],
    config: AttackConfig,
) -> WorstCase:
    """The worst of some forget sets.

    Every call scores as many sets, the last ones of a search together with repetitions, so that one compiled program serves them all.

    Args:
      score: of a batch of sets.
      forget_sets: sets of output positions, such as `allowed_sets`.
      num_classes: K.
      worst: which score is bad.
      config: sets in one call.

    Raises:
      HyperForgetError: no set, or a score is not finite.
    """
    if not forget_sets:
        raise HyperForgetError("the worst case got 0 forget sets, expected at least 1: name forgettable classes")
    masks = np.array([np.isin(np.arange(num_classes), each) for each in forget_sets])  # [F, K]
    at_once = min(config.sets_at_once, len(masks))
    rows = np.arange(-(-len(masks) // at_once) * at_once).reshape(-1, at_once) % len(masks)
    values = np.concatenate([np.asarray(score(masks[each]), np.float64) for each in rows])[: len(masks)]
    if not np.isfinite(values).all():
        broken = forget_sets[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise HyperForgetError(
            f"the score of forget set {[*broken]} is not finite: score a method that works on all sets"
        )
    row = int(values.argmax() if worst == "highest" else values.argmin())
    return WorstCase(tuple(forget_sets[row]), float(values[row]), tuple(forget_sets), values)
