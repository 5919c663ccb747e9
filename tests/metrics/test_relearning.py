"""Relearning: one program equals solo runs, and a hidden class comes back before one that was never seen."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ReferenceConfig
from hyperforget_jax.data import load_dataset
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.relearning import few_images, relearning_curves
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.weights.canonical import gauge
from hyperforget_jax.zoo.train import Images

DATA = load_dataset("digits", classes=range(4))
TRAIN = Images(jnp.asarray(DATA.train.images), jnp.asarray(DATA.train.labels))
TEST = (jnp.asarray(DATA.test.images), jnp.asarray(DATA.test.labels))
FORGET = 2
MEMBER = DATA.test.labels == FORGET
STEPS = (0, 10, 20)


def shown(shots: int) -> tuple[jax.Array, jax.Array]:
    rows = few_images(DATA.train.labels, shots)
    return TRAIN.images[rows], TRAIN.labels[rows]


@pytest.fixture(scope="module")
def never_saw_and_saw() -> tuple[Params, Params]:
    """Twelve models that never saw the class, and twelve that know everything, in their gauge."""
    config = ReferenceConfig(seeds=12, epochs=30, batch_size=32, learning_rate=0.01)
    sizes = (DATA.input_size, 8, 4)
    clean = retrain(jax.random.key(0), TRAIN, [(FORGET,)], sizes, config)
    knowing = retrain(jax.random.key(1), TRAIN, [()], sizes, config)
    first, second = (jax.vmap(gauge)(jax.tree.map(lambda leaf: leaf[0], each)) for each in (clean, knowing))
    return first, second


def test_a_class_that_is_only_hidden_comes_back_sooner(never_saw_and_saw: tuple[Params, Params]) -> None:
    clean, knowing = never_saw_and_saw
    *earlier, last = knowing
    hidden = jax.vmap(gauge)((*earlier, {"w": last["w"], "b": last["b"].at[:, FORGET].add(-10.0)}))
    never, masked = (relearning_curves(models, shown(5), TEST, MEMBER, STEPS).mean(0) for models in (clean, hidden))
    assert max(never[0], masked[0]) < 0.01
    assert (masked[1:] > never[1:] + 0.3).all()


@pytest.mark.slow
def test_each_model_relearns_as_it_does_alone(never_saw_and_saw: tuple[Params, Params]) -> None:
    models = jax.tree.map(lambda leaf: leaf[:3], never_saw_and_saw[0])
    together = relearning_curves(models, shown(5), TEST, MEMBER, STEPS)
    assert together.shape == (3, len(STEPS))
    assert together.dtype == np.float64
    images, labels = shown(5)
    optimiser = optax.adam(0.01)
    for index, found in enumerate(together):
        params = jax.tree.map(lambda leaf, index=index: leaf[index], models)
        state, alone = optimiser.init(params), []
        for count in range(STEPS[-1] + 1):
            if count in STEPS:
                predictions = classifier.logits(params, TEST[0]).argmax(-1)
                alone.append(float((predictions == TEST[1])[MEMBER].mean()))
            gradient = jax.grad(lambda p: classifier.cross_entropy(classifier.scores(p, images.T), labels).mean())(
                params
            )
            with jax.numpy_dtype_promotion("standard"):
                updates, state = optimiser.update(gradient, state)
            params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(found, alone, atol=1.5 / MEMBER.sum())


def test_few_images_by_hand() -> None:
    labels = np.array([1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(few_images(labels, 2), [0, 1, 2, 3])
    np.testing.assert_array_equal(few_images(np.append(labels, 7), 4), range(7))


@pytest.mark.parametrize("steps", [(), (5, 5), (-1, 3), (9, 2)])
def test_steps_must_rise(never_saw_and_saw: tuple[Params, Params], steps: tuple[int, ...]) -> None:
    with pytest.raises(HyperForgetError, match="rising"):
        relearning_curves(never_saw_and_saw[0], shown(1), TEST, MEMBER, steps)
