"""Other membership attackers, against scikit-learn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.svm import SVC

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.membership_attacks import area_under_curve, cross_validated, kernel_membership

Array = NDArray[np.float64]


def entropies(seed: int) -> tuple[Array, Array]:
    """Three models, from hard to tell apart to easy: 203 members, 151 others; some are equal."""
    rng = np.random.default_rng(seed)
    shift = np.array([[0.0], [0.3], [1.0]])
    return rng.gamma(0.5, 0.4, (3, 203)).round(2), (rng.gamma(0.5, 0.4, (3, 151)) + shift).round(2)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_area_equals_scikit_learns(seed: int) -> None:
    members, others = entropies(seed)
    labels = np.repeat([1, 0], [members.shape[1], others.shape[1]])
    exact = [roc_auc_score(labels, -np.concatenate(each)) for each in zip(members, others, strict=True)]
    found = area_under_curve(members, others)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_the_area_by_hand() -> None:
    members, others = np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    np.testing.assert_allclose(area_under_curve(members, others), [(3 + 2.5) / 6, 0.5], rtol=1e-15)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_folds_equal_scikit_learns(seed: int) -> None:
    members, others = entropies(seed)
    labels = np.repeat([1, 0], [members.shape[1], others.shape[1]])
    places = [np.arange(each.shape[1]) % 5 for each in (members, others)]
    model = LogisticRegression(class_weight="balanced", tol=1e-12, max_iter=10_000)
    exact = [
        cross_val_score(
            model,
            np.concatenate(each)[:, None],
            labels,
            cv=PredefinedSplit(np.concatenate(places)),
            scoring="balanced_accuracy",
        ).mean()
        for each in zip(members, others, strict=True)
    ]
    np.testing.assert_allclose(cross_validated(members, others), exact, rtol=1e-12)


def test_one_distribution_is_not_told_apart_and_two_are() -> None:
    rng = np.random.default_rng(2)
    alike, apart = rng.random((1, 20_000)), 2 + rng.random((1, 20_000))
    again = rng.random((1, 20_000))
    np.testing.assert_allclose(area_under_curve(alike, again), 0.5, atol=0.01)
    np.testing.assert_allclose(cross_validated(alike, again), 0.5, atol=0.02)
    np.testing.assert_array_equal(area_under_curve(alike, apart), 1.0)
    np.testing.assert_array_equal(cross_validated(alike, apart), 1.0)


def test_the_kernel_attacker_is_scikit_learns_on_images_that_are_evenly_spaced() -> None:
    members, others = entropies(0)
    asked = np.random.default_rng(3).random((3, 77))
    found = kernel_membership(members, others, asked, 51)
    for place, share in enumerate(found):
        learned = [each[place, [round(i * (each.shape[1] - 1) / 50) for i in range(51)]] for each in (members, others)]
        machine = SVC(C=3, kernel="rbf", class_weight="balanced")
        machine.fit(np.concatenate(learned)[:, None], np.repeat([1, 0], 51))
        assert share == machine.predict(asked[place, :, None]).mean()
        assert balanced_accuracy_score(np.repeat([1, 0], 51), machine.predict(np.concatenate(learned)[:, None])) > 0.5


def test_no_more_images_are_learned_from_than_there_are() -> None:
    members, others = entropies(1)
    np.testing.assert_array_equal(
        kernel_membership(members, others, members, 203), kernel_membership(members, others, members, 9999)
    )


@pytest.mark.parametrize("attack", [area_under_curve, cross_validated])
def test_sets_that_no_attacker_can_use_are_refused(attack: object) -> None:
    assert callable(attack)
    members, others = entropies(0)
    with pytest.raises(HyperForgetError, match="0 non-member images"):
        attack(members, np.empty((3, 0)))
    members[2, 5] = np.inf
    with pytest.raises(HyperForgetError, match="member entropies that are not finite for model 2"):
        attack(members, others)


def test_fewer_images_than_folds_are_refused() -> None:
    members, others = entropies(0)
    with pytest.raises(HyperForgetError, match="4 member images, and 5 folds"):
        cross_validated(members[:, :4], others)
