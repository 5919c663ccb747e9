"""What varies between the runs of a zoo (section A.5, Figures 23 and 24).

Pure functions, written for one run; the hyper-parameters are arrays, so one compiled program trains runs that all differ.
With `undersample_probability` and `deletion_probability` 0 the runs are plain, as G.pt's (section A.6).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.config import ZooConfig

NEVER = 2.0
"""A moment after the end of every run."""


class Hyperparameters(NamedTuple):
    """One training run.

    Attributes:
      learning_rate: [], Adam's step size at the start.
      keep_before: [K], share of each class's images the run sees.
      keep_after: [K], the same from the deletion on.
      deletion_time: [], moment of the deletion as a share of the run, or NEVER.
    """

    learning_rate: jax.Array
    keep_before: jax.Array
    keep_after: jax.Array
    deletion_time: jax.Array


def draw(
    key: jax.Array,
    config: ZooConfig,
    forgettable: Sequence[int],
    num_classes: int,
    held_out: Sequence[Sequence[int]] = (),
) -> Hyperparameters:
    """Hyper-parameters of one random run.

    A random non-empty subset of the forgettable classes is undersampled, each at its own rate (Figure 23); in some runs another such
    subset is deleted part-way, and its losses climb (de-optimisation, Figure 24). Pivots always keep all their images.

    Args:
      key: a typed key.
      config: the protocol's ranges and probabilities.
      forgettable: output positions of the classes that may be forgotten.
      num_classes: K.
      held_out: output positions of the sets that no run leaves out: of each that it would, it sees one class in full.
    """
    keys = jax.random.split(key, 8)
    allowed = jnp.zeros(num_classes, bool).at[jnp.array(forgettable, jnp.int32)].set(True)  # [K]
    rates = jnp.where(
        jax.random.bernoulli(keys[0], config.never_seen_probability, (num_classes,)),
        0.0,
        log_uniform(keys[1], config.keep_rate, (num_classes,)),
    )  # [K]
    undersampled = _subset(keys[2], allowed) & jax.random.bernoulli(keys[3], config.undersample_probability)
    deleted = _subset(keys[4], allowed)
    keep_before = jnp.where(undersampled, rates, 1.0)
    keep_after = jnp.where(deleted, 0.0, keep_before)
    for number, forget in enumerate(held_out):
        # a key that `split` has not given
        seen = jax.random.choice(jax.random.fold_in(key, len(keys) + number), jnp.array(forget, jnp.int32))
        left_out = (jnp.maximum(keep_before, keep_after)[jnp.array(forget, jnp.int32)] == 0.0).all()
        in_full = left_out & (jnp.arange(num_classes) == seen)  # [K]
        keep_before, keep_after = (jnp.where(in_full, 1.0, kept) for kept in (keep_before, keep_after))
    return Hyperparameters(
        learning_rate=log_uniform(keys[5], config.learning_rate, ()),
        keep_before=keep_before,
        keep_after=keep_after,
        deletion_time=jnp.where(
            jax.random.bernoulli(keys[6], config.deletion_probability),
            jax.random.uniform(keys[7], (), jnp.float32, config.deletion_time[0], config.deletion_time[1]),
            NEVER,
        ),
    )


def aim(run: Hyperparameters, code: jax.Array, forgettable: Sequence[int]) -> Hyperparameters:
    """The same run, aimed at a combination: it never sees the classes whose loss shall be high, and all images of the others.

    Args:
      run: a drawn run.
      code: [], the combination, as in `coverage.combination`; negative leaves the run as it is.
      forgettable: output positions of the classes that may be forgotten, lowest bit first.
    """
    high = (code >> jnp.arange(len(forgettable))) & 1  # [m]
    low = (high == 0).astype(jnp.float32)  # [m]
    keep = jnp.ones_like(run.keep_before).at[jnp.array(forgettable, jnp.int32)].set(low)  # [K]
    aimed = Hyperparameters(run.learning_rate, keep, keep, jnp.float32(NEVER))
    return jax.tree.map(lambda new, old: jnp.where(code >= 0, new, old), aimed, run)


def never_see(classes: Sequence[int], learning_rate: float, num_classes: int) -> Hyperparameters:
    """A plain run that never sees some classes: the retrained model of a forget set.

    Args:
      classes: output positions of the classes left out.
      learning_rate: Adam's step size at the start.
      num_classes: K.
    """
    keep = jnp.ones(num_classes, jnp.float32).at[jnp.array(classes, jnp.int32)].set(0.0)
    return Hyperparameters(
        learning_rate=jnp.float32(learning_rate), keep_before=keep, keep_after=keep, deletion_time=jnp.float32(NEVER)
    )


def keep_rates(run: Hyperparameters, progress: jax.Array) -> jax.Array:
    """Share [K] of each class's images in use at a moment of the run (progress in [0, 1])."""
    return jnp.where(progress < run.deletion_time, run.keep_before, run.keep_after)


def log_uniform(key: jax.Array, bounds: tuple[float, float], shape: tuple[int, ...]) -> jax.Array:
    """Draws whose logarithm is uniform between two positive bounds."""
    low, high = jnp.log(jnp.float32(bounds[0])), jnp.log(jnp.float32(bounds[1]))
    return jnp.exp(jax.random.uniform(key, shape, jnp.float32, low, high))


def _subset(key: jax.Array, allowed: jax.Array) -> jax.Array:
    """A non-empty subset [K]: each allowed class by a fair coin; one of them, uniformly, if none comes up."""
    member_key, one_key = jax.random.split(key)
    members = jax.random.bernoulli(member_key, 0.5, allowed.shape) & allowed
    one = jax.nn.one_hot(
        jax.random.categorical(one_key, jnp.where(allowed, 0.0, -jnp.inf)), allowed.shape[0], dtype=bool
    )
    return jnp.where(members.any(), members, one)
