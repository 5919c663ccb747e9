"""A problem of 96 points in three clusters, and a model that knows them, shared by all tests of baselines."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.baselines.method import Problem, answer, problem
from hyperforget_jax.baselines.retrain import Retrain
from hyperforget_jax.classifier import Params

SIZES = (6, 5, 3)


class Case(NamedTuple):
    """Images and labels, a problem without class 2, one without any class to forget, and one original model."""

    images: jax.Array
    labels: jax.Array
    forgetting: Problem
    nothing: Problem
    original: Params


@pytest.fixture(scope="session")
def case() -> Case:
    rng = np.random.default_rng(0)
    labels = np.arange(96, dtype=np.int32) % 3
    centres = np.eye(6, dtype=np.float32)[:3] * 3
    images = jnp.asarray(centres[labels] + rng.normal(0, 0.5, (96, 6)).astype(np.float32))
    forgetting, nothing = (problem(jax.random.key(7), images, jnp.asarray(labels), forget, 3) for forget in ((2,), ()))
    starts = jax.tree.map(lambda leaf: leaf[None], classifier.init(jax.random.key(1), SIZES))
    trained = answer(
        Retrain(epochs=30, batch_size=32, learning_rate=0.02), starts, nothing, jax.random.split(jax.random.key(2), 1)
    )
    return Case(images, jnp.asarray(labels), forgetting, nothing, jax.tree.map(lambda leaf: leaf[0], trained))
