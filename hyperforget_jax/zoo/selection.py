"""Which snapshots of a block are stored: the checkpoint-saving conditions of section A.5 and Figure 25.

Each condition is a pure function of a block's scores. The caps hold per block, so a zoo is the same whoever makes its blocks and in
whatever order, and a cap of the whole zoo is the cap of a block times the number of blocks.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.zoo import coverage

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


def passes_pivots(accuracies: jax.Array, pivots: Sequence[int], threshold: float) -> jax.Array:
    """Whether every pivot's accuracy is over gamma (Figure 25, line 12); with no pivot every checkpoint passes.

    Args:
      accuracies: [..., K].
      pivots: output positions.
      threshold: gamma, in [0, 1].

    Returns:
      [...] bool.
    """
    return (accuracies[..., jnp.array(pivots, jnp.int32)] > threshold).all(-1)


def has_learned(accuracies: jax.Array, least: int, threshold: float) -> jax.Array:
    """Whether at least some classes, whichever, are over gamma: the relaxed condition with few pivots or none.

    Args:
      accuracies: [..., K].
      least: how many; 0 lets everything pass.
      threshold: gamma, in [0, 1].

    Returns:
      [...] bool.
    """
    return (accuracies > threshold).sum(-1) >= least


def is_good(accuracies: jax.Array, pivots: Sequence[int], config: ZooConfig) -> jax.Array:
    """Whether models [...] pass both conditions on accuracies [..., K]: what the zoo may store."""
    threshold = config.pivot_accuracy
    return passes_pivots(accuracies, pivots, threshold) & has_learned(accuracies, config.min_learned, threshold)


def selection_probability(progress: jax.Array, ends: tuple[float, float]) -> jax.Array:
    """Chance beta of looking at a snapshot: linear in progress, higher early in training (Figure 25, line 11)."""
    return ends[0] + (ends[1] - ends[0]) * progress


def has_shifted(losses: jax.Array, shift: float) -> jax.Array:
    """Whether a class's loss moved by more than `shift` nats since the run's snapshot before.

    Args:
      losses: [S, R, K], nats.
      shift: nats.

    Returns:
      [S, R] bool; False at the first snapshot.
    """
    moved = (jnp.abs(jnp.diff(losses, axis=0)) > shift).any(-1)  # [S - 1, R]
    return jnp.concatenate([jnp.zeros_like(moved[:1]), moved])


def candidates(
    key: jax.Array, losses: jax.Array, accuracies: jax.Array, pivots: Sequence[int], config: ZooConfig
) -> tuple[jax.Array, jax.Array]:
    """Snapshots that are good enough, and those of them that chance or a significant shift selects.

    Args:
      key: [R], one typed key a run.
      losses: [S, R, K], nats.
      accuracies: [S, R, K].
      pivots: output positions.
      config: gamma, beta and the shift.

    Returns:
      Two masks [S, R].
    """
    good = is_good(accuracies, pivots, config)
    num_snapshots = losses.shape[0]
    progress = (jnp.arange(num_snapshots, dtype=jnp.float32) + 1) / num_snapshots  # [S]
    selected = jax.vmap(lambda k, chance: jax.random.bernoulli(k, chance), in_axes=(0, None), out_axes=1)(
        key, selection_probability(progress, config.selection_probability)
    )
    if config.loss_shift_threshold is not None:
        selected |= has_shifted(losses, config.loss_shift_threshold)
    return good, good & selected


def within_bins(losses: Floats, edges: Sequence[float], cap: int) -> Mask:
    """Whether a bin of some class still has room (Figure 25, lines 13-14).

    Every class has one bin per loss level. A checkpoint is kept while at least one of its bins holds fewer than `cap`; since all
    are kept until then, that is: while it is among the first `cap` that fall into one of its bins.

    Args:
      losses: [n, m], nats, of the forgettable classes, in the order in which the checkpoints are considered.
      edges: increasing bounds between the levels, in nats.
      cap: most checkpoints in a bin, b_u.

    Returns:
      [n].
    """
    levels = np.digitize(losses, edges)  # [n, m]
    keep = np.zeros(len(losses), bool)
    for column in levels.T:
        keep |= _rank(column) < cap
    return keep


def within_combinations(codes: coverage.Codes, cap: int) -> Mask:
    """Whether a checkpoint is among the first `cap` of its combination; codes [n] in the order of consideration."""
    return _rank(codes) < cap


def _rank(groups: np.ndarray[Any, Any]) -> coverage.Codes:
    """Number [n] of equal entries before each."""
    order = np.argsort(groups, kind="stable")
    _, first, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(first, sizes)
    return ranks
