"""KLoM by hand, of equal distributions, and by numpy's histogram."""

from dataclasses import replace

import numpy as np
import pytest

from hyperforget_jax.attacks.klom import divergences, klom, percentile
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

CONFIG = AttackConfig()


def test_two_bins_by_hand() -> None:
    config = replace(CONFIG, klom_bins=2)
    ours = np.array([[0.0], [0.2], [0.4], [1.0]])  # 3/4 in the lower bin
    reference = np.array([[0.1], [0.9], [0.8], [0.7]])  # 1/4
    expected = 0.75 * np.log(0.75 / 0.25) + 0.25 * np.log(0.25 / 0.75)
    np.testing.assert_allclose(divergences(ours, reference, config), [expected], rtol=1e-12)


def test_a_bin_without_reference_models_has_the_floor_and_one_without_ours_adds_nothing() -> None:
    config = replace(CONFIG, klom_bins=2)
    ours, reference = np.array([[0.0], [1.0]]), np.array([[1.0], [0.9]])
    np.testing.assert_allclose(divergences(ours, reference, config), [0.5 * np.log(0.5 / 1e-5) + 0.5 * np.log(0.5)])
    np.testing.assert_allclose(divergences(reference, ours, config), [np.log(2)])


def test_it_equals_numpys_histogram_and_clips() -> None:
    rng = np.random.default_rng(0)
    ours, reference = rng.normal(0, 60, (150, 5)), rng.normal(20, 60, (130, 5))
    expected = []
    for p, q in zip(np.clip(ours, -100, 100).T, np.clip(reference, -100, 100).T, strict=True):
        edges = np.histogram_bin_edges(np.concatenate([p, q]), 20)
        shares, others = (np.histogram(each, edges)[0] / len(each) for each in (p, q))
        kept = shares > 0
        expected.append((shares[kept] * np.log(shares[kept] / np.maximum(others[kept], 1e-5))).sum())
    np.testing.assert_allclose(divergences(ours, reference, CONFIG), expected, rtol=1e-9)
    assert percentile(ours, reference, CONFIG) == pytest.approx(np.quantile(expected, 0.95))


def test_equal_distributions_are_near_zero_and_one_value_everywhere_is_zero() -> None:
    rng = np.random.default_rng(0)
    assert percentile(rng.normal(size=(20_000, 30)), rng.normal(size=(20_000, 30)), CONFIG) < 0.003
    assert percentile(np.full((5, 3), 2.0), np.full((7, 3), 2.0), CONFIG) == 0.0


def test_the_control_has_the_bias_of_ours() -> None:
    rng = np.random.default_rng(0)
    reference, same, shifted = rng.normal(size=(200, 40)), rng.normal(size=(100, 40)), rng.normal(1, 1, (100, 40))
    assert klom(same, reference, CONFIG).position == "inside"
    assert klom(same, reference, CONFIG).value > 0.2  # which is no sign of a difference
    assert klom(shifted, reference, CONFIG).position == "above"


@pytest.mark.parametrize(("ours", "reference"), [(99, 500), (300, 199)])
def test_few_models_are_refused(ours: int, reference: int) -> None:
    with pytest.raises(HyperForgetError, match="expected at least 100 and 200"):
        klom(np.zeros((ours, 3)), np.zeros((reference, 3)), CONFIG)


def test_margins_that_are_not_finite_are_refused() -> None:
    with pytest.raises(HyperForgetError, match="not finite"):
        klom(np.full((100, 3), np.nan), np.zeros((200, 3)), CONFIG)
