"""The held-out images are a partition that no version changes, and a rare class is on both sides of it."""

from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.data import digits, idx
from hyperforget_jax.data.source import hold_out


@pytest.mark.parametrize("held", [0, 1, 37, 100])
def test_hold_out_is_a_partition_in_rising_order(held: int):
    kept, out = hold_out(100, held)
    assert len(out) == held
    assert sorted([*kept, *out]) == list(range(100))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(out) > 0).all()
    assert set(out) <= set(hold_out(100, min(held + 1, 100))[1])


def test_hold_out_never_changes():
    """These numbers were written down once; published results depend on them."""
    assert hold_out(20, 6)[1].tolist() == [4, 8, 9, 13, 14, 15]
    assert hold_out(60_000, 5_000)[1][:6].tolist() == [14, 26, 30, 39, 42, 78]


def test_a_rare_class_is_on_both_sides():
    labels = np.zeros(1000, np.int64)
    labels[[3, 500]] = -7
    labels[[10, 11, 12]] = 40
    for held in (3, 30, 500, 997):
        kept, out = hold_out(1000, held, labels)
        assert len(out) == held
        assert sorted([*kept, *out]) == list(range(1000))
        assert set(labels[kept].tolist()) == set(labels[out].tolist()) == {-7, 0, 40}
        assert set(out) <= set(hold_out(1000, held + 1, labels)[1])


@pytest.mark.parametrize("held", [100, 360, 1200])
def test_where_every_class_is_there_anyway_labels_change_nothing(held: int):
    labels = digits.read().train.labels
    for ours, theirs in zip(hold_out(len(labels), held, labels), hold_out(len(labels), held), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_held_out_images_of_mnist_are_what_they_were(mnist_dir: Path):
    labels = idx.read("mnist", mnist_dir).train.labels
    np.testing.assert_array_equal(hold_out(60_000, 5000, labels)[1], hold_out(60_000, 5000)[1])
