"""Scores of attackers: scikit-learn's area under the curve, and values by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hyperforget_jax.attacks.roc import area_under_curve, balanced_accuracy, true_positive_rate


def test_the_area_equals_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 6, (3, 40)).astype(float), rng.integers(0, 5, (3, 70)).astype(float)
    expected = [
        roc_auc_score(np.repeat([1, 0], [40, 70]), np.concatenate(both)) for both in zip(members, others, strict=True)
    ]
    np.testing.assert_allclose(area_under_curve(members, others), expected, rtol=1e-12)


def test_balanced_accuracy_by_hand() -> None:
    assert balanced_accuracy(np.array([1.0, 2.0, -1.0, 3.0]), np.array([-1.0, 1.0])) == pytest.approx((0.75 + 0.5) / 2)
    assert balanced_accuracy(np.zeros(3), np.zeros(2)) == 0.5


def test_the_true_positive_rate_by_hand() -> None:
    others = np.arange(100.0)  # at 1%, one of them may be above the threshold: it is 98
    members = np.array([97.0, 98.0, 98.5, 99.5])
    assert true_positive_rate(members, others, 0.01) == 0.5
    assert true_positive_rate(members, others, 0.001) == 0.25
    assert true_positive_rate(members, others, 0.02) == 0.75
