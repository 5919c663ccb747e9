"""The two-sample test: it catches what gives a group away, passes equal distributions, and its interval holds under the null."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import (
    Classifier,
    TwoSample,
    class_score_features,
    spaced_images,
    two_sample_test,
)
from hyperforget_jax.runtime import machine

BOTH: list[Classifier] = ["forest", "logistic"]


def noise(count: int, width: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def run(
    first: NDArray[np.float32], second: NDArray[np.float32], classifier: Classifier, permutations: int = 10
) -> TwoSample:
    return two_sample_test(first, second, classifier, trees=50, permutations=permutations, seed=0)


@pytest.mark.parametrize("classifier", BOTH)
def test_equal_distributions_lie_inside_the_null_interval(classifier: Classifier) -> None:
    auc, low, high = run(noise(64, 30, 0), noise(64, 30, 1), classifier)
    assert 0.3 < low < auc < high < 0.7
    assert low + high == pytest.approx(1.0)


@pytest.mark.parametrize("classifier", BOTH)
def test_a_shift_of_the_mean_is_told(classifier: Classifier) -> None:
    shift = np.zeros(30, np.float32)
    shift[:3] = 2.0
    auc, _, high = run(noise(64, 30, 0), noise(64, 30, 1) + shift, classifier)
    assert auc > 0.95 > high


def test_the_forest_tells_weights_of_dead_pixels_that_are_zero() -> None:
    """Constant zeros against initialisation noise of mean 0: no linear rule sees it, a forest does."""
    alive, other = noise(64, 40, 0), noise(64, 40, 1)
    alive[:, :20] = 0.0
    assert run(alive, other, "forest").auc > 0.99


def test_a_forest_tells_scale_and_a_linear_rule_does_not() -> None:
    wide, narrow = 3 * noise(96, 6, 0), noise(96, 6, 1)
    forest, logistic = (run(wide, narrow, classifier) for classifier in BOTH)
    assert forest.auc > 0.9
    assert logistic.auc < 0.65


@pytest.mark.slow
def test_the_interval_holds_for_19_of_20_tests_under_the_null() -> None:
    aucs = [run(noise(40, 8, 2 * seed), noise(40, 8, 2 * seed + 1), "logistic", 0).auc for seed in range(100, 200)]
    low, high = run(noise(40, 8, 0), noise(40, 8, 1), "logistic", 200)[1:]
    inside = np.mean([low <= auc <= high for auc in aucs])
    assert 0.88 <= inside <= 0.99


@pytest.mark.parametrize("width", [7, 200])
def test_logistic_regression_equals_scikit_learn_on_the_features_themselves(width: int) -> None:
    """The rotation to principal components changes no probability: a pipeline without it has the same AUC."""
    first, second = noise(50, width, 0), noise(50, width, 1) + 0.3 * noise(1, width, 2)
    features, labels = StandardScaler().fit_transform(np.concatenate([first, second])), np.repeat([1, 0], 50)
    expected = [
        roc_auc_score(
            labels[held_out],
            make_pipeline(LogisticRegression(tol=1e-8, max_iter=5000))
            .fit(features[fitted], labels[fitted])
            .predict_proba(features[held_out])[:, 1],
        )
        for fitted, held_out in StratifiedKFold(5, shuffle=True, random_state=0).split(features, labels)
    ]
    assert run(first, second, "logistic", 0).auc == pytest.approx(np.mean(expected), abs=0.005)


def test_equal_numbers_of_either_are_taken() -> None:
    first, second = noise(40, 4, 0), noise(60, 4, 1)
    assert run(first, second, "logistic") == run(first, second[:40], "logistic")
    assert np.isnan(run(first, second, "forest", 0)[1:]).all()


@pytest.mark.parametrize("classifier", BOTH)
def test_the_number_of_cores_changes_no_number(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list[TwoSample]()
    for cores in (1, 4):
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        found.append(run(noise(40, 300, 0), noise(40, 300, 1) + 0.1, classifier, 4))
    assert found[0] == found[1]


def test_what_cannot_be_tested_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="4 and 9 models"):
        run(noise(4, 3, 0), noise(9, 3, 1), "forest")
    broken = noise(9, 3, 0)
    broken[2, 1] = np.nan
    with pytest.raises(HyperForgetError, match="not finite"):
        run(broken, noise(9, 3, 1), "forest")


def test_class_score_features_by_hand() -> None:
    found = class_score_features(np.array([[0.0, 0.999]]), np.array([[1.0, 0.25]]))
    np.testing.assert_allclose(found, [[np.log(1e-3), 0.0, 1.0, 0.25]], rtol=1e-6)
    assert found.dtype == np.float32


def test_spaced_images_by_hand() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2])
    np.testing.assert_array_equal(spaced_images(labels, 9), [0, 2, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(spaced_images(labels, 1), [0, 5, 8])
