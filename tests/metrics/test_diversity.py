"""Diversity against loops over pairs, values by hand, and near-clones, which it must tell."""

from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.diversity import disagreement, loss_spread


def test_disagreement_equals_a_loop_over_pairs() -> None:
    predictions = np.random.default_rng(0).integers(4, size=(9, 50), dtype=np.int32)
    expected = np.mean([(one != other).mean() for one, other in combinations(predictions, 2)])
    assert disagreement(jnp.asarray(predictions), 4) == pytest.approx(expected, rel=1e-12)


def test_disagreement_by_hand() -> None:
    assert disagreement(np.array([[0, 1], [0, 2], [0, 2]]), 3) == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    assert disagreement(np.zeros((5, 7), int), 2) == 0.0
    assert disagreement(np.array([[0], [1]]), 2) == 1.0


def test_near_clones_are_told_from_models_that_differ() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(4, size=400)
    free = np.where(rng.random((32, 400)) < 0.1, rng.integers(4, size=(32, 400)), truth)
    clones = np.where(rng.random((32, 400)) < 0.005, rng.integers(4, size=(32, 400)), free[0])
    other = np.where(rng.random((32, 400)) < 0.1, rng.integers(4, size=(32, 400)), truth)
    reference = disagreement(other, 4)
    assert disagreement(clones, 4) < 0.2 * reference
    assert disagreement(free, 4) == pytest.approx(reference, rel=0.1)


def test_loss_spread_by_hand() -> None:
    losses = np.exp([[0.0, 1.0], [2.0, 1.0]]) - 1e-3
    np.testing.assert_allclose(loss_spread(losses), [np.sqrt(2), 0], atol=1e-12)
    assert loss_spread(losses.astype(np.float32)).dtype == np.float64


def test_one_model_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="1 models"):
        disagreement(np.zeros((1, 3), int), 2)
