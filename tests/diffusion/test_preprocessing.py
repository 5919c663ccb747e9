"""From checkpoints to what the transformer learns from: theta and theta* in one order, and random starts at their share."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import CodecConfig, TrainingConfig
from hyperforget_jax.diffusion import conditioning, preprocessing
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import num_weights, unflatten

SIZES = (5, 3, 4)
COUNT = 2000
RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.normal(size=(COUNT, num_weights(SIZES))).astype(np.float32)
LOSSES, TARGETS = RANDOM.uniform(0.1, 3.0, (2, COUNT, 4)).astype(np.float32)
STATISTICS = conditioning.fit(LOSSES, 1e-3)
MARKS = np.arange(1.0, 6.0, dtype=np.float32)
"""Losses of five untrained models, and a hundredth of their tokens, which no order changes."""


class Checkpoints(NamedTuple):
    """What preprocessing reads of a batch."""

    weights: Any
    losses: Any
    exposures: Any
    progress: Any


def checkpoints(weights: Any, losses: Any) -> Checkpoints:
    """Checkpoints at the end of runs that saw everything in full."""
    return Checkpoints(weights, losses, np.ones_like(losses), np.ones(len(losses), np.float32))


class Pair(NamedTuple):
    """Both ends of pairs."""

    current: Checkpoints
    target: Checkpoints


@pytest.fixture(scope="module")
def coder() -> Codec:
    models = jax.vmap(lambda vector: unflatten(vector, SIZES))(jnp.asarray(WEIGHTS))
    return codec.fit(
        CodecConfig(kind="raw", chunk_size=7), SIZES, models, np.zeros((1, 5), np.float32), np.zeros(1, np.int32)
    )


@pytest.fixture(scope="module")
def tokens(coder: Codec) -> np.ndarray[Any, Any]:
    """Of the models, in their own order."""
    return np.asarray(jax.vmap(lambda vector: coder.encode(unflatten(vector, SIZES)))(jnp.asarray(WEIGHTS)))


def update(coder: Codec, share: float, unrelated: float = 0.0) -> tuple[jax.Array, Condition]:
    """Clean tokens and their condition, for pairs of a model and its double."""
    marks = jnp.where(coder.layout.mask[None], 100.0 * jnp.asarray(MARKS)[:, None, None], 0.0)
    untrained = preprocessing.Untrained(marks, jnp.tile(jnp.asarray(MARKS)[:, None], (1, 4)))
    config = TrainingConfig(untrained_share=share, unrelated_share=unrelated)
    ready = jax.jit(preprocessing.update(coder, STATISTICS, untrained, config))
    clean, condition = ready(jax.random.key(1), Pair(checkpoints(WEIGHTS, LOSSES), checkpoints(2.0 * WEIGHTS, TARGETS)))
    return clean, condition


def assert_conditions(found: Any, losses: np.ndarray[Any, Any]) -> None:
    expected = conditioning.standardise(STATISTICS, jnp.asarray(losses))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def assert_in_random_order(found: Any, tokens: np.ndarray[Any, Any], coder: Codec) -> None:
    """The same weights, and of the 3! orders of hidden units each a sixth of the time the old one."""
    ours, theirs = (np.sort((np.asarray(x) * coder.scale).reshape(COUNT, -1)) for x in (found, tokens))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    moved = (np.abs(found - tokens) > 1e-4).any((1, 2))
    assert np.mean(moved) == pytest.approx(5 / 6, abs=4 * math.sqrt(5 / 36 / COUNT))


def test_theta_and_its_target_are_permuted_alike(coder: Codec, tokens: np.ndarray[Any, Any]) -> None:
    clean, condition = update(coder, share=0.0)
    assert condition.start is not None
    np.testing.assert_allclose(clean, 2.0 * condition.start, rtol=1e-5, atol=1e-6)
    assert_in_random_order(condition.start, tokens, coder)


def test_an_update_knows_its_own_losses_and_asks_for_those_of_the_target(coder: Codec) -> None:
    _, condition = update(coder, share=0.0)
    assert_conditions(condition.current, LOSSES)
    assert_conditions(condition.target, TARGETS)
    assert (condition.asked == 1).all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_untrained_starts_take_their_share_each_with_its_own_losses(coder: Codec, share: float) -> None:
    clean, condition = update(coder, share)
    marks = np.asarray(condition.start)[:, 0, 0] / 100.0
    swapped = marks > 0.5
    assert swapped.mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / COUNT))
    marks = np.rint(marks)[:, None]
    assert_conditions(condition.current, np.where(swapped[:, None], marks, LOSSES).astype(np.float32))
    assert {*marks[swapped, 0]} == {*MARKS}  # each of them comes up
    assert np.abs(clean).max() < 50.0  # and never as a target
    assert_conditions(condition.target, TARGETS)


def test_unrelated_starts_take_their_share_and_come_with_their_own_losses(coder: Codec) -> None:
    """The theta of the example before, as the losses tell; never the example's own."""
    _, condition = update(coder, share=0.25, unrelated=0.5)
    current = np.asarray(condition.current)
    own, before = (
        np.isclose(current, conditioning.standardise(STATISTICS, jnp.asarray(each)), rtol=1e-4, atol=1e-5).all(1)
        for each in (LOSSES, np.roll(LOSSES, 1, axis=0))
    )
    assert own.mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / COUNT))
    assert before.mean() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / COUNT))
    starts = np.asarray(condition.start)
    marks = np.rint(starts[:, 0, 0] / 100.0) > 0
    assert not (marks & (own | before)).any()
    assert (marks | own | before).all()
    assert_conditions(condition.target, TARGETS)


def test_a_generation_asks_for_what_its_own_model_reaches(coder: Codec, tokens: np.ndarray[Any, Any]) -> None:
    clean, condition = jax.jit(preprocessing.generation(coder, STATISTICS))(
        jax.random.key(2), checkpoints(WEIGHTS, LOSSES)
    )
    assert_conditions(condition.target, LOSSES)
    assert (condition.asked == 1).all()
    assert condition.current is None
    assert condition.start is None
    assert_in_random_order(clean, tokens, coder)


def test_a_condition_has_losses_then_exposures_then_the_age(coder: Codec) -> None:
    exposures, ages = RANDOM.random((COUNT, 4)).astype(np.float32), RANDOM.random(COUNT).astype(np.float32)
    values = np.concatenate([LOSSES, exposures, ages[:, None]], axis=1)
    floors = np.array([1e-3] * 4 + [1e-5] * 4 + [0.1])
    _, condition = jax.jit(preprocessing.generation(coder, conditioning.fit(values, floors)))(
        jax.random.key(3), Checkpoints(WEIGHTS, LOSSES, exposures, ages)
    )
    logs = np.log(values.astype(np.float64) + floors)
    np.testing.assert_allclose(condition.target, (logs - logs.mean(0)) / logs.std(0), rtol=1e-4, atol=1e-4)
    assert (condition.asked == 1).all()
