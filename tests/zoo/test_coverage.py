"""Combinations of high and low losses by hand, histograms by hand, and chances that even out what is skewed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperforget_jax.zoo import coverage

ACCURACIES = np.array(
    [[0.1, 0.9, 0.9, 0.9], [0.9, 0.9, 0.5, 0.9], [0.9, 0.9, 0.9, 0.0], [0.9, 0.9, 0.2, 0.49]], np.float32
)


def test_a_class_of_which_nothing_is_known_counts_as_high_and_its_loss_for_nothing() -> None:
    purged = ACCURACIES.copy()
    purged[:, 2] = np.nan
    assert (coverage.combination(purged, (2, 3)) & 1 == 1).all()
    assert coverage.combination(purged, (3,)).tolist() == coverage.combination(ACCURACIES, (3,)).tolist()
    losses = np.array([[1.0, np.nan, 3.0], [0.1, np.nan, 0.3]], np.float32)
    assert coverage.loss_levels(losses, 2).tolist() == coverage.loss_levels(losses[:, [0, 2]], 2).tolist() == [1, 0]


def test_combination_codes_by_hand() -> None:
    assert coverage.combination(ACCURACIES, (2, 3)).tolist() == [0, 1, 2, 3]
    assert coverage.combination(ACCURACIES, (3, 2)).tolist() == [0, 2, 1, 3]
    assert coverage.combination(ACCURACIES, (0, 2, 3)).tolist() == [1, 2, 4, 6]
    assert coverage.combination(ACCURACIES, ()).tolist() == [0, 0, 0, 0]


def test_combinations_of_a_block_have_its_shape() -> None:
    block = ACCURACIES.reshape(2, 2, 4)
    assert coverage.combination(block, (2, 3)).tolist() == [[0, 1], [2, 3]]


def test_names_by_hand() -> None:
    names = [coverage.name(code, (4, 9)) for code in range(4)]
    assert names == ["4 low, 9 low", "4 high, 9 low", "4 low, 9 high", "4 high, 9 high"]


def test_counts_by_hand() -> None:
    assert coverage.counts(np.array([[5, 0], [5, 2]]), 3).tolist() == [1, 0, 1, 0, 0, 2, 0, 0]
    assert coverage.counts(np.array([], np.int64), 1).tolist() == [0, 0]


def test_histograms_by_hand() -> None:
    losses = np.array([[0.0, 7.0], [0.5, 0.4], [1.9, 9.0], [2.0, 0.1]], np.float32)
    assert coverage.histograms(losses, (0.5, 2.0)).tolist() == [[1, 2, 1], [2, 0, 2]]


def test_every_checkpoint_is_once_in_each_classs_histogram() -> None:
    losses = np.random.default_rng(0).exponential(2.0, (500, 3)).astype(np.float32)
    found = coverage.histograms(losses, (0.1, 0.5, 1.0, 2.0, 4.0, 8.0))
    assert found.shape == (3, 7)
    assert found.sum(1).tolist() == [500] * 3
    assert (found[:, -1] == (losses >= 8.0).sum(0)).all()


def test_balanced_chances_by_hand() -> None:
    np.testing.assert_allclose(coverage.balanced(np.array([5, 0, 5, 5])), [1 / 6, 1 / 2, 1 / 6, 1 / 6])


@given(codes=st.lists(st.integers(0, 9), min_size=1))
def test_every_group_has_the_same_total_chance_and_its_members_too(codes: list[int]) -> None:
    groups, chances = np.array(codes), coverage.balanced(np.array(codes))
    totals = [chances[groups == group].sum() for group in set(codes)]
    np.testing.assert_allclose(totals, 1 / len(set(codes)))
    for group in set(codes):
        assert len(set(chances[groups == group])) == 1


def test_loss_levels_by_hand() -> None:
    losses = np.array([[1.0, 1.0], [1.0, 5.0], [1.5, 3.5], [16.0, 16.0], [8.0, 10.0]], np.float32)
    np.testing.assert_allclose(coverage.level_bounds(losses, 4), [1, 2, 4, 8, 16])
    assert coverage.loss_levels(losses, 4).tolist() == [0, 1, 1, 3, 3]  # means 1, 3, 2.5, 16, 9
    assert coverage.loss_levels(losses, 2).tolist() == [0, 0, 0, 1, 1]


def test_losses_of_nothing_are_in_the_lowest_level() -> None:
    losses = np.array([[0.0, 0.0], [1e-9, 0.0], [1.0, 1.0]], np.float32)
    assert np.isfinite(coverage.level_bounds(losses, 5)).all()
    assert coverage.loss_levels(losses, 5).tolist() == [0, 0, 4]
    assert len(set(coverage.loss_levels(losses[:2], 5).tolist())) == 1


def test_balanced_loss_levels_flatten_a_skewed_histogram() -> None:
    losses = np.random.default_rng(1).lognormal(0.0, 0.6, (20_000, 2)).astype(np.float32)
    means = losses.astype(np.float64).mean(1)
    bounds = coverage.level_bounds(losses, 8)
    before, _ = np.histogram(means, bounds)
    assert before.max() > 100 * before.min()
    after, _ = np.histogram(means, bounds, weights=coverage.balanced(coverage.loss_levels(losses, 8)))
    assert after == pytest.approx(np.full(8, 1 / 8), abs=2e-3)  # at a bound, the constant moves one or two
