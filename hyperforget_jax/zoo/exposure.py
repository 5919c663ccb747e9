"""How much of every class a run has used, and which checkpoints are clean for a forget set.

Exposure is counted from the images that a run uses, so an exposure of 0 is evidence that the run never saw the class; a high loss is not.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo.coverage import Codes

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
FULL = 1e-6
"""Difference between exposure and progress up to which a class counts as seen in full."""


def exposures(before: jax.Array, after: jax.Array, deletion_time: jax.Array, progress: jax.Array) -> jax.Array:
    """How much of every class runs have used, as a share of what a full run uses: 1 is a whole run on all of the class's images.

    Args:
      before: [R, K], share of a class's training images that a run uses before its deletion.
      after: [R, K], the same after it.
      deletion_time: [R], share of the run; after its end where nothing is deleted.
      progress: [S], moments as shares of the run.

    Returns:
      [S, R, K]; 0 only where the run has used no image of the class.
    """
    moments, deletions = progress[:, None, None], deletion_time[None, :, None]
    early = jnp.minimum(moments, deletions)  # [S, R, 1]
    late = jnp.maximum(moments - deletions, 0.0)  # [S, R, 1]
    return before[None] * early + after[None] * late


def is_clean(exposures: Floats, progress: Floats, forget: Sequence[int]) -> Mask:
    """Which checkpoints never saw a forget set and saw all else in full; for the empty set those that saw everything in full.

    Args:
      exposures: [n, K].
      progress: [n].
      forget: output positions.

    Returns:
      [n]: exposure is exactly 0 to every class of the set, and equals progress (within 1e-6) for every other class.
    """
    wanted = np.isin(np.arange(exposures.shape[-1]), list(forget))  # [K]
    fine = np.where(wanted, exposures == 0.0, _is_full(exposures, progress))  # [n, K]
    return np.asarray(fine.all(-1))


def is_last(progress: Floats) -> Mask:
    """Which checkpoints [n] are of the end of their runs, where progress [n] is exactly 1."""
    return progress == 1.0


def clean_codes(exposures: Floats, progress: Floats, classes: Sequence[int]) -> Codes:
    """For which set of some classes each checkpoint is clean, as a code like those of `coverage.combination`.

    Args:
      exposures: [n, K].
      progress: [n].
      classes: output positions, m of them, lowest bit first.

    Returns:
      [n]; 0 is the empty set, -1 a checkpoint that is clean for none.
    """
    never = exposures[:, list(classes)] == 0.0  # [n, m]
    codes = never.astype(np.int64) @ (1 << np.arange(len(classes), dtype=np.int64))  # [n]
    others = np.setdiff1d(np.arange(exposures.shape[-1]), list(classes))
    full = _is_full(exposures, progress)  # [n, K]
    fine = full[:, others].all(-1) & (never | full[:, list(classes)]).all(-1)
    return np.where(fine, codes, -1)


def contains_one_of(never: Mask, held_out: Iterable[Sequence[int]]) -> Mask:
    """Whether the classes [n, K] that runs never saw contain one of some sets, given by output positions: [n]."""
    found = np.zeros(len(never), bool)
    for forget in held_out:
        found |= never[:, list(forget)].all(-1)
    return found


def validate_held_out_sets(held_out: Iterable[Sequence[int]], classes: Sequence[int], pivots: Sequence[int]) -> None:
    """Refuses `zoo.held_out_sets` that no request could name.

    Args:
      held_out: sets of labels.
      classes: labels in the order of the outputs.
      pivots: labels that are never forgotten.

    Raises:
      HyperForgetError: an empty set, an unknown class, a pivot, a class twice; names it.
    """
    forgettable = [label for label in classes if label not in pivots]
    for forget in held_out:
        if not forget:
            raise HyperForgetError("zoo.held_out_sets has an empty set: name at least one class in each")
        for label in forget:
            if label not in forgettable:
                kind = "a pivot" if label in classes else "no class of the data"
                raise HyperForgetError(
                    f"zoo.held_out_sets has {label}, which is {kind}: choose from {', '.join(map(str, forgettable))}"
                )
        if len(set(forget)) < len(forget):
            raise HyperForgetError(f"zoo.held_out_sets has {','.join(map(str, forget))}: name each class once")


def _is_full(exposures: Floats, progress: Floats) -> Mask:
    return np.abs(exposures - progress[..., None]) <= FULL
