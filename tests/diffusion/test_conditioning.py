"""Conditions: standardised log losses, classes of which any loss will do, and how often training drops them."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.diffusion import conditioning
from hyperforget_jax.diffusion.conditioning import Condition, Dropout

RANDOM = np.random.default_rng(0)
LOSSES = np.exp(RANDOM.normal(-1.0, 2.0, size=(200, 4))).astype(np.float32)
"""Heavy-tailed, as those of a zoo."""


def test_conditions_of_the_zoo_have_mean_0_and_deviation_1() -> None:
    fitted = conditioning.fit(LOSSES, 1e-3)
    conditions = np.asarray(conditioning.standardise(fitted, jnp.asarray(LOSSES)))
    np.testing.assert_allclose(conditions.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(conditions.std(0), 1.0, rtol=1e-5)


def test_a_condition_by_hand() -> None:
    fitted = conditioning.fit(np.array([[0.0], [2.0]], np.float32), 0.5)
    middle, half = (math.log(0.5) + math.log(2.5)) / 2, (math.log(2.5) - math.log(0.5)) / 2
    assert float(fitted.mean[0]) == pytest.approx(middle)
    assert float(fitted.std[0]) == pytest.approx(half)
    (condition,) = conditioning.standardise(fitted, jnp.array([[1.5]]))[0]
    assert float(condition) == pytest.approx((math.log(2.0) - middle) / half, rel=1e-5)


def test_nothing_can_be_asked_of_a_purged_class() -> None:
    purged = LOSSES.copy()
    purged[:, 1] = np.nan
    ours, whole = conditioning.fit(purged, 1e-3), conditioning.fit(LOSSES, 1e-3)
    others = [0, 2, 3]
    for name in ("mean", "std"):
        np.testing.assert_array_equal(getattr(ours, name)[jnp.array(others)], getattr(whole, name)[jnp.array(others)])
    for value in (np.nan, 0.0, 7.0):
        condition = conditioning.ask(ours, jnp.array([[0.1, value, 0.2, 0.3]]))
        assert condition.asked.tolist() == [[1.0, 0.0, 1.0, 1.0]]
        assert condition.target[0, 1] == 0.0
        assert conditioning.standardise(ours, jnp.array([[0.1, value]]))[0, 1] == 0.0


def test_losses_that_never_vary_and_vanish_give_finite_conditions() -> None:
    fitted = conditioning.fit(np.zeros((10, 2), np.float32), 1e-3)
    conditions = conditioning.standardise(fitted, jnp.array([[0.0, 5.0]]))
    assert np.isfinite(conditions).all()
    assert conditions[0, 0] == pytest.approx(0.0, abs=1e-3)


class Asking(chex.TestCase):
    """Asking gives the same inside a compiled program and outside."""

    @chex.variants(with_jit=True, without_jit=True)  # type: ignore[untyped-decorator]
    def test_a_class_that_is_nan_is_not_asked_for(self) -> None:
        fitted = conditioning.fit(LOSSES, 1e-3)
        losses = jnp.asarray(LOSSES[:3])
        condition = self.variant(conditioning.ask)(fitted, losses.at[1, 2].set(jnp.nan))
        expected = np.ones((3, 4), np.float32)
        expected[1, 2] = 0.0
        np.testing.assert_array_equal(condition.asked, expected)
        standard = conditioning.standardise(fitted, losses)
        np.testing.assert_allclose(condition.target, standard * expected, rtol=1e-6, atol=1e-6)
        assert condition.current is None
        assert condition.start is None


def test_dropped_classes_are_those_of_the_rates_and_are_no_longer_told() -> None:
    """A class is kept if neither it (0.7) nor the whole condition (0.8) is dropped."""
    count = 20_000
    condition = Condition(jnp.full((count, 3), 2.0), jnp.ones((count, 3)).at[:, 2].set(0.0))
    dropped = conditioning.drop(jax.random.key(0), condition, Dropout(0.3, 0.0, 0.2, (3,)))
    asked = np.asarray(dropped.asked)
    assert (asked[:, 2] == 0).all()  # what was not asked for is not asked for now
    np.testing.assert_allclose(asked[:, :2].mean(0), 0.7 * 0.8, atol=4 * 0.5 / math.sqrt(count))
    neither = float((asked[:, :2] == 0).all(1).mean())
    assert neither == pytest.approx(0.2 + 0.8 * 0.3**2, abs=4 * 0.5 / math.sqrt(count))
    np.testing.assert_array_equal(dropped.target[:, :2], 2.0 * asked[:, :2])


@pytest.mark.parametrize(("rates", "kept"), [((0.0, 0.0), 1.0), ((1.0, 0.0), 0.0), ((0.0, 1.0), 0.0)])
def test_rates_of_0_and_1_drop_nothing_and_everything(rates: tuple[float, float], kept: float) -> None:
    condition = Condition(jnp.full((50, 3), 2.0), jnp.ones((50, 3)), jnp.full((50, 3), 3.0))
    dropped = conditioning.drop(jax.random.key(1), condition, Dropout(rates[0], 0.0, rates[1], (3,)))
    assert (dropped.asked == kept).all()
    assert (dropped.target == 2.0 * kept).all()
    np.testing.assert_array_equal(dropped.current, 3.0)  # where to start from is always told


def test_a_kind_is_dropped_as_a_whole() -> None:
    count, kinds = 20_000, (3, 2, 1)
    condition = Condition(jnp.full((count, 6), 2.0), jnp.ones((count, 6)))
    asked = np.asarray(conditioning.drop(jax.random.key(2), condition, Dropout(0.0, 0.25, 0.0, kinds)).asked)
    parts = np.split(asked, np.cumsum(kinds)[:-1], axis=1)
    for part in parts:
        assert (part == part[:, :1]).all()
    firsts = np.stack([part[:, 0] for part in parts])
    np.testing.assert_allclose(firsts.mean(1), 0.75, atol=4 * 0.5 / math.sqrt(count))
    assert np.abs(np.corrcoef(firsts) - np.eye(3)).max() < 0.04  # each for itself


def test_columns_that_a_prompt_does_not_reach_are_not_asked_for() -> None:
    fitted = conditioning.fit(LOSSES, 1e-3)
    condition = conditioning.ask(fitted, jnp.asarray(LOSSES[:3, :2]))
    np.testing.assert_array_equal(condition.asked, [[1, 1, 0, 0]] * 3)
    np.testing.assert_array_equal(condition.target[:, 2:], 0.0)
    np.testing.assert_allclose(condition.target[:, :2], conditioning.standardise(fitted, jnp.asarray(LOSSES[:3, :2])))
