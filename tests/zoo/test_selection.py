"""The conditions under which a snapshot is stored, against loops that follow the lines of Figure 25."""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.zoo import selection

Numbers = np.ndarray[Any, Any]


def test_pivot_accuracies_by_hand() -> None:
    accuracies = jnp.array([[0.9, 0.9, 0.0], [0.9, 0.7, 1.0], [0.7, 0.9, 1.0], [0.75, 0.76, 1.0]])
    passes = selection.passes_pivots
    np.testing.assert_array_equal(passes(accuracies, (0, 1), 0.75), [True, False, False, False])
    np.testing.assert_array_equal(passes(accuracies[None], (2,), 0.5), [[False, True, True, True]])


def test_without_pivots_every_checkpoint_passes() -> None:
    np.testing.assert_array_equal(selection.passes_pivots(jnp.zeros((3, 4)), (), 0.5), [True] * 3)


@pytest.mark.parametrize(
    ("least", "expected"),
    [(0, [True, True, True]), (1, [True, True, False]), (2, [True, False, False]), (3, [False] * 3)],
)
def test_the_relaxed_condition_counts_classes_over_the_threshold(least: int, expected: list[bool]) -> None:
    accuracies = jnp.array([[0.9, 0.1, 0.81], [0.8, 0.2, 0.9], [0.8, 0.8, 0.0]])
    np.testing.assert_array_equal(selection.has_learned(accuracies, least, 0.8), expected)


def test_the_chance_of_a_snapshot_falls_linearly() -> None:
    chances = selection.selection_probability(jnp.array([0.0, 0.25, 1.0]), (1.0, 0.5))
    np.testing.assert_allclose(chances, [1.0, 0.875, 0.5], rtol=1e-6)


def test_a_shift_is_a_class_loss_that_moved_up_or_down_since_the_snapshot_before() -> None:
    noise = np.random.default_rng(0)
    losses = noise.uniform(0.0, 3.0, (5, 20, 3)).astype(np.float32)
    expected = np.zeros((5, 20), bool)
    for moment in range(1, 5):
        for run in range(20):
            moved = [abs(losses[moment, run, k] - losses[moment - 1, run, k]) for k in range(3)]
            expected[moment, run] = max(moved) > 1.5
    found = np.asarray(selection.has_shifted(jnp.asarray(losses), 1.5))
    np.testing.assert_array_equal(found, expected)
    assert 0 < found[1:].mean() < 1


def candidates(
    config: ZooConfig, losses: Numbers, accuracies: Numbers, pivots: tuple[int, ...] = (0,)
) -> tuple[Numbers, Numbers]:
    """Masks [S, R] of good snapshots and of selected ones."""
    keys = jax.random.split(jax.random.key(0), losses.shape[1])
    masks = selection.candidates(keys, jnp.asarray(losses), jnp.asarray(accuracies), pivots, config)
    good, selected = (np.asarray(mask) for mask in masks)
    return good, selected


SNAPSHOTS, RUNS = 5, 4000
STILL = np.ones((SNAPSHOTS, RUNS, 2), np.float32)
"""Losses that never move, or accuracies that are all perfect."""


def test_snapshots_are_selected_with_the_chance_of_their_moment_independently_of_each_other() -> None:
    good, selected = candidates(ZooConfig(selection_probability=(1.0, 0.25)), STILL, STILL)
    assert good.all()
    expected = [0.85, 0.7, 0.55, 0.4, 0.25]  # at progress 0.2, 0.4, ..., 1
    np.testing.assert_allclose(selected.mean(1), expected, atol=4 * 0.5 / np.sqrt(RUNS))
    between_moments = np.corrcoef(selected) - np.eye(SNAPSHOTS)
    assert np.abs(between_moments).max() < 5 / np.sqrt(RUNS)


def test_only_good_snapshots_are_selected() -> None:
    accuracies = np.random.default_rng(1).random((SNAPSHOTS, RUNS, 2)).astype(np.float32)
    config = ZooConfig(selection_probability=(0.9, 0.5), pivot_accuracy=0.6, min_learned=2)
    good, selected = candidates(config, STILL, accuracies)
    np.testing.assert_array_equal(good, (accuracies > 0.6).all(2))
    assert not np.any(selected & ~good)
    assert 0.5 < selected[good].mean() < 0.9
    relaxed = ZooConfig(pivot_accuracy=0.6, min_learned=1)
    good, _ = candidates(relaxed, STILL, accuracies, pivots=())
    np.testing.assert_array_equal(good, (accuracies > 0.6).any(2))


def test_a_shift_is_kept_whatever_the_chance_if_the_snapshot_is_good() -> None:
    losses = STILL.copy()
    losses[2:, ::2, 1] = 1.6  # a jump at the third snapshot of every other run
    accuracies = STILL.copy()
    accuracies[:, ::4, 0] = 0.0
    never = {"selection_probability": (0.0, 0.0)}
    _, selected = candidates(ZooConfig(**never, loss_shift_threshold=0.5), losses, accuracies)
    expected = np.zeros((SNAPSHOTS, RUNS), bool)
    expected[2, 2::4] = True
    np.testing.assert_array_equal(selected, expected)
    for config in (ZooConfig(**never, loss_shift_threshold=0.7), ZooConfig(**never)):
        assert not candidates(config, losses, accuracies)[1].any()


def within_bins_by_hand(losses: Numbers, edges: list[float], cap: int) -> list[bool]:
    """Figure 25, lines 13 to 16: keep and count a checkpoint while the bin of some class is not full."""
    filled: Counter[tuple[int, int]] = Counter()
    kept = []
    for checkpoint in losses:
        bins = [(k, sum(loss >= edge for edge in edges)) for k, loss in enumerate(checkpoint)]
        kept.append(any(filled[each] < cap for each in bins))
        if kept[-1]:
            filled.update(bins)
    return kept


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 60),
    classes=st.integers(1, 4),
    edges=st.lists(st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0]), min_size=1, unique=True).map(sorted),
    cap=st.integers(1, 12),
)
def test_a_checkpoint_is_kept_while_one_of_its_bins_has_room(
    seed: int, count: int, classes: int, edges: list[float], cap: int
) -> None:
    losses = np.random.default_rng(seed).choice([0.0, 0.5, 0.7, 1.2, 1.5, 3.0, 5.0], (count, classes))
    found = selection.within_bins(losses.astype(np.float32), edges, cap)
    assert found.tolist() == within_bins_by_hand(losses, edges, cap)


@given(codes=st.lists(st.integers(0, 7), max_size=60), cap=st.integers(1, 12))
def test_the_first_of_every_combination_are_kept(codes: list[int], cap: int) -> None:
    expected = [codes[:place].count(code) < cap for place, code in enumerate(codes)]
    assert selection.within_combinations(np.array(codes, np.int64), cap).tolist() == expected
