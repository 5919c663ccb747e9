"""Membership inference, against scikit-learn's logistic regression."""

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.membership import entropy, membership_inference

Array = NDArray[np.float64]


def reference(retain: Array, test: Array, asked: Array, **settings: float) -> tuple[float, float]:
    """Scikit-learn's score, and the entropy at which its decision changes."""
    features = np.concatenate([retain, test])[:, None]
    labels = np.repeat([1, 0], [len(retain), len(test)])
    model = LogisticRegression(class_weight="balanced", **settings).fit(features, labels)
    return model.predict(asked[:, None]).mean(), -model.intercept_[0] / model.coef_[0, 0]


def entropies(seed: int) -> tuple[Array, Array, Array]:
    """Three models, from hard to tell apart to easy: 403 members, 151 others, 207 asked."""
    rng = np.random.default_rng(seed)
    shift = np.array([[0.02], [0.3], [1.0]])
    retain, test, forget = rng.gamma(0.5, 0.4, (3, 403)), rng.gamma(0.5, 0.4, (3, 151)), rng.random((3, 207))
    return retain, test + shift, forget


def test_entropy_equals_scipy() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), (3, 7))
    np.testing.assert_allclose(entropy(p), scipy.stats.entropy(p, axis=-1), atol=1e-14)


def test_entropy_by_hand() -> None:
    p = np.array([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]], np.float32)
    result = entropy(p)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, [0.0, np.log(4), np.log(2)], rtol=1e-15)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_scikit_learn(seed: int) -> None:
    retain, test, forget = entropies(seed)
    exact = [reference(*sets, tol=1e-12, max_iter=10_000)[0] for sets in zip(retain, test, forget, strict=True)]
    rough = [reference(*sets)[0] for sets in zip(retain, test, forget, strict=True)]
    scores = membership_inference(retain, test, forget)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, exact)
    np.testing.assert_allclose(scores, rough, atol=0.01)


def test_the_decision_changes_where_scikit_learns_does() -> None:
    retain, test, _ = entropies(0)
    grid = np.linspace(0, 2, 400_001)
    changes = [reference(*sets, grid, tol=1e-12, max_iter=10_000)[1] for sets in zip(retain, test, strict=True)]
    # Members have the lower entropies, so the share of the grid taken for members is the boundary.
    boundary = 2 * membership_inference(retain, test, np.tile(grid, (3, 1)))
    np.testing.assert_allclose(boundary, changes, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_separable_entropies_of_any_scale(scale: float) -> None:
    retain, test = scale * np.linspace(0, 1, 50)[None], scale * np.linspace(2, 3, 20)[None]
    forget = scale * np.array([[0.2, 0.7, 2.5, 2.8, 2.9]])
    np.testing.assert_array_equal(membership_inference(retain, test, forget), [0.4])


def test_classes_weigh_the_same_whatever_their_size() -> None:
    retain, test, forget = entropies(0)
    # Without the balance the larger class would win everywhere for models that are hard to tell apart.
    assert (membership_inference(np.repeat(retain, 40, axis=1), test, forget) < 0.9).all()
    assert (membership_inference(retain, np.repeat(test, 40, axis=1), forget) > 0.1).all()


def test_many_models_equal_one_at_a_time() -> None:
    sets = entropies(1)
    alone = [membership_inference(*(values[i : i + 1] for values in sets)).item() for i in range(3)]
    np.testing.assert_array_equal(membership_inference(*sets), alone)


def test_entropies_that_are_not_finite_are_refused() -> None:
    retain, test, forget = entropies(0)
    test[1, 4] = np.nan
    with pytest.raises(HyperForgetError, match=r"test entropies that are not finite for model 1 \(1 of 3"):
        membership_inference(retain, test, forget)


def test_an_empty_set_is_refused() -> None:
    retain, test, _ = entropies(0)
    with pytest.raises(HyperForgetError, match="0 forget-train images"):
        membership_inference(retain, test, np.empty((3, 0)))
