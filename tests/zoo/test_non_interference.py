"""What runs that never see a class owe to its images; in programs that are compiled as for users, since rounding is at stake."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.runtime import sharding
from hyperforget_jax.zoo import train
from tests.small_zoo import plan

PIXELS = 300
NEVER, ONCE, ALWAYS = range(3)
"""Lanes: a run that never sees class 3, one that sees it until half-way, one that sees everything."""


def images(noise: bool) -> train.Images:
    """Four classes; some pixels are lit by no class, some by class 3 alone, whose images may be noise."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(60) % 4)
    lit = random.permutation(PIXELS)
    values = random.random((60, PIXELS))
    values[:, lit[:40]] = 0.0
    values[np.ix_(labels != 3, lit[40:80])] = 0.0
    if noise:
        values[labels == 3] = np.random.default_rng(1).normal(0.0, 5.0, (15, PIXELS))
    return train.Images(jnp.asarray(values, jnp.float32), jnp.asarray(labels, jnp.int32))


def weights(
    choose: Callable[[train.Images], tuple[train.Images, tuple[int, ...]]], noise: bool
) -> np.ndarray[Any, Any]:
    """Weights [S, R, P] of a block on all or on varying pixels."""
    plans = [plan((1.0, 1.0, 1.0, 0.0)), plan(after=(1.0, 1.0, 1.0, 0.0), when=0.5), plan()]
    everything = images(noise)
    training, pixels = choose(everything)
    snapshots = train.train_block(
        jax.random.split(jax.random.key(5), 3),
        jax.random.key(7),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *plans),
        training,
        everything,
        devices=sharding.make_local(1),
        sizes=(PIXELS, 8, 4),
        pixels=pixels,
        batch_size=20,
        snapshots=2,
        steps_per_snapshot=9,
        dtype="float32",
    )
    return np.asarray(snapshots.weights)


def test_on_all_pixels_a_run_that_never_sees_a_class_owes_it_nothing() -> None:
    ours, theirs = (weights(train.all_pixels, noise) for noise in (False, True))
    assert ours[:, NEVER].tobytes() == theirs[:, NEVER].tobytes()
    for lane in (ONCE, ALWAYS):
        assert (ours[:, lane] != theirs[:, lane]).any()


def test_the_pixels_that_vary_are_a_trace_of_the_images() -> None:
    ours, theirs = (weights(train.varying, noise) for noise in (False, True))
    assert (ours[:, NEVER] != theirs[:, NEVER]).any()
    np.testing.assert_allclose(ours[:, NEVER], theirs[:, NEVER], atol=1e-3)  # rounding, no more
