"""Summaries and bootstrap intervals."""

from typing import Literal

import numpy as np
import pytest
import scipy.stats

from hyperforget_jax.metrics.statistics import bootstrap, summarise


def test_summary_by_hand() -> None:
    values = np.arange(21, dtype=np.float32)[::-1]
    assert summarise(values) == {"mean": 10.0, "median": 10.0, "q05": 1.0, "q95": 19.0}


def test_summary_is_in_float64() -> None:
    values = np.full(10_000, 0.1, np.float32)
    assert summarise(values)["mean"] == pytest.approx(float(np.float32(0.1)), rel=1e-13)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_interval_equals_scipy(statistic: Literal["mean", "median"]) -> None:
    values = np.random.default_rng(0).exponential(size=81)
    interval = bootstrap(values, statistic, 4000, seed=1)
    reduce = {"mean": np.mean, "median": np.median}[statistic]
    expected = scipy.stats.bootstrap(
        (values,), reduce, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    spread = expected.high - expected.low
    np.testing.assert_allclose(interval, expected, atol=0.1 * spread)


@pytest.mark.parametrize("count", [2, 5, 256])
def test_resamples_are_those_of_the_seed(count: int) -> None:
    values = np.random.default_rng(0).random(count)
    drawn = values[np.random.default_rng(7).integers(count, size=(300, count))]
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    assert bootstrap(values, "median", 300, seed=7) == (low, high)


def test_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    low, high = bootstrap(values, "mean", 4000, seed=0)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=0.1 * half)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(30)
    assert bootstrap(values, "mean", 50, seed=3) == bootstrap(values, "mean", 50, seed=3)
    assert bootstrap(values, "mean", 50, seed=3) != bootstrap(values, "mean", 50, seed=4)


def test_equal_values_have_no_width() -> None:
    assert bootstrap(np.full(5, 0.25), "median", 20, seed=0) == (0.25, 0.25)
