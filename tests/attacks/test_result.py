"""A result's numbers by hand, its calibration, and the groups that attacks are played with."""

import numpy as np
import pytest

from hyperforget_jax.attacks.result import AttackResult, beside_reference, groups, rows
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import CLEAN, COLUMNS, Context


def test_numbers_by_hand() -> None:
    reference = np.arange(101, dtype=np.float64)  # mean 50, quantiles 5 and 95
    result = beside_reference("auc", np.array([96.0, 97.0, 5.0, 94.0]), reference)
    assert result.value == 73.0
    assert result.interval == (5.0, 95.0)
    assert result.position == "inside"
    assert result.share_inside == 0.5
    assert result.z_score == pytest.approx(23 / np.std(np.arange(101), ddof=1))
    assert [beside_reference("auc", np.array([x]), reference).position for x in (4.0, 96.0)] == ["below", "above"]


def test_a_reference_without_spread() -> None:
    z_of = [AttackResult("auc", np.array([x]), np.full(3, 0.5)).z_score for x in (0.5, 0.6, 0.4)]
    assert z_of == [0.0, np.inf, -np.inf]


@pytest.mark.parametrize("distribution", ["normal", "exponential"])
def test_reference_against_reference_is_inside_its_own_range_in_nine_of_ten_cases(distribution: str) -> None:
    rng, models, inside = np.random.default_rng(0), 199, []
    for _ in range(2000):
        values = getattr(rng, distribution)(size=models + 1)
        inside.append(beside_reference("auc", values[:1], values[1:]).position == "inside")
    expected = 0.9 * (models - 1) / (models + 1)  # of interpolated quantiles of so many values: 0.891
    assert abs(np.mean(inside) - expected) < 3 * np.sqrt(0.9 * 0.1 / 2000)
    shifted = [beside_reference("auc", rng.normal(3, 1, 1), rng.normal(0, 1, models)).position for _ in range(100)]
    assert shifted.count("inside") < 25


def test_groups_are_of_one_size_and_share_no_reference_model() -> None:
    found = list(groups("klom", 7, 11, 5, splits=6, seed=0))
    assert len(found) == 6
    for ours, control, against in found:
        assert {len(ours), len(control), len(against)} == {5}
        assert len({*control.tolist(), *against.tolist()}) == 10
        assert max(ours) < 7
    assert len({tuple(control) for _, control, _ in found}) == 6
    with pytest.raises(
        HyperForgetError, match="klom got 7 unlearned and 9 reference models, expected at least 5 and 10"
    ):
        next(groups("klom", 7, 9, 5, splits=6, seed=0))


def test_rows_are_those_of_a_metric() -> None:
    context = Context("mnist4", "784-2-4", "scrub", (2, 3), "all", "test", "strict")
    result = beside_reference("auc", np.array([0.4, 0.6]), np.array([0.5, 0.5, 0.8]))
    found = rows(result, context, CLEAN, resamples=20, seed=0)
    assert {tuple(row) for row in found} == {COLUMNS}
    means = {(row["method"], row["selection"]): row["value"] for row in found if row["statistic"] == "mean"}
    assert means == {("scrub", "all"): 0.5, (CLEAN, None): pytest.approx(0.6)}


@pytest.mark.parametrize(
    ("ours", "reference", "message"),
    [
        ([], [0.0, 1.0], "0 values of unlearned models"),
        ([0.0], [0.0], "1 values of reference models, expected at least 2"),
        ([0.0, np.nan], [0.0, 1.0], "not finite for 1 of 2 unlearned"),
    ],
)
def test_too_few_or_broken_values_are_refused(ours: list[float], reference: list[float], message: str) -> None:
    with pytest.raises(HyperForgetError, match=message):
        beside_reference("auc", np.array(ours), np.array(reference))
