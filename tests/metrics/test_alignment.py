"""Prompt alignment, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from hyperforget_jax.metrics.alignment import pearson, prompt_alignment, summary

TARGETS = np.linspace(0.1, 6.0, 20)
OBSERVED = TARGETS + np.random.default_rng(0).standard_normal((7, 20)) * np.arange(7)[:, None]


def test_r2_equals_scikit_learn() -> None:
    expected = [r2_score(TARGETS, family) for family in OBSERVED]
    np.testing.assert_allclose(prompt_alignment(TARGETS, OBSERVED, 0.0), expected, rtol=1e-12)


def test_r2_by_hand() -> None:
    targets = np.array([0.0, 1.0, 2.0])
    observed = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [2.0, 1.0, 0.0]], np.float32)
    result = prompt_alignment(targets, observed, 0.0)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, [1.0, 0.0, -3.0])
    np.testing.assert_array_equal(prompt_alignment(targets, observed, 2.0), [1.0, 0.5, -1.0])


def test_families_with_targets_of_their_own_are_those_families_alone() -> None:
    targets = TARGETS * np.arange(1, 8)[:, None]
    for measure in (lambda t, o: prompt_alignment(t, o, 1e-8), pearson):
        alone = [measure(target, family[None])[0] for target, family in zip(targets, OBSERVED, strict=True)]
        np.testing.assert_allclose(measure(targets, OBSERVED), alone, rtol=1e-12)


def test_epsilon_keeps_equal_targets_finite() -> None:
    assert prompt_alignment(np.ones(4), np.array([[1.0, 1.0, 1.0, 2.0]]), 0.5) == pytest.approx(-1.0)


def test_pearson_equals_scipy() -> None:
    expected = [pearsonr(TARGETS, family).statistic for family in OBSERVED]
    np.testing.assert_allclose(pearson(TARGETS, OBSERVED), expected, rtol=1e-12)


def test_pearson_ignores_scale_and_offset_and_sees_the_sign() -> None:
    np.testing.assert_allclose(pearson(TARGETS, np.stack([0.01 * TARGETS + 5, 1 - TARGETS])), [1, -1], rtol=1e-12)


def test_pearson_without_variation_is_zero() -> None:
    constant = np.full((1, 20), 0.1)
    np.testing.assert_array_equal(pearson(TARGETS, np.concatenate([constant, OBSERVED[:1]])), [0.0, 1.0])
    np.testing.assert_array_equal(pearson(constant[0], OBSERVED), np.zeros(7))


def test_summary_by_hand() -> None:
    assert summary(np.array([-9.0, 0.5, 0.9, 1.0])) == {
        "mean": pytest.approx(-1.65),
        "median": pytest.approx(0.7),
        "mean_clipped": pytest.approx(0.6),
        "share_aligned": 0.5,
    }
