"""Accuracy over the images of a set."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.accuracy import accuracy


def test_it_is_over_images_and_not_a_mean_of_class_accuracies() -> None:
    labels = np.array([0, 0, 0, 1, 2])
    predictions = np.array([[0, 0, 0, 2, 2], [1, 1, 1, 1, 0]])
    member = labels < 2
    np.testing.assert_array_equal(accuracy(predictions, labels, member), [3 / 4, 1 / 4])


def test_it_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(4, size=53), rng.integers(4, size=(6, 53)).astype(np.int32)
    member = np.isin(labels, (1, 3))
    expected = [accuracy_score(labels[member], row[member]) for row in predictions]
    result = accuracy(predictions, labels, member)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-15)


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="0 images"):
        accuracy(np.zeros((2, 3), int), np.zeros(3, int), np.zeros(3, bool))
