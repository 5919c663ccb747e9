"""Problems, minibatches and answers."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.baselines import registry, search, steps
from hyperforget_jax.baselines.fine_tune import FineTune
from hyperforget_jax.baselines.method import answer, problem
from hyperforget_jax.errors import HyperForgetError
from tests.baselines.conftest import SIZES, Case

pytestmark = pytest.mark.usefixtures("programs")


def test_minibatches_are_of_the_retain_and_of_the_forget_set(case: Case) -> None:
    step = jax.jit(steps.draw, static_argnums=2)(case.forgetting, jnp.asarray(3), 512)
    assert set(np.unique(step.retained.labels)) == {0, 1}
    assert set(np.unique(step.forgotten.labels)) == {2}
    assert len(np.unique(step.retained.rows)) == 64  # with so many draws every image comes up
    assert len(np.unique(step.forgotten.rows)) == 32
    assert float(step.present) == 1.0
    np.testing.assert_array_equal(step.retained.columns.T, case.images[step.retained.rows])


def test_with_nothing_to_forget_nothing_is_present(case: Case) -> None:
    step = steps.draw(case.nothing, jnp.asarray(0), 8)
    assert float(step.present) == 0.0
    assert set(np.unique(steps.draw(case.nothing, jnp.asarray(0), 512).retained.labels)) == {0, 1, 2}


def test_a_model_among_many_is_as_by_itself(case: Case) -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    originals = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(1), 3))
    method = FineTune(epochs=2, batch_size=16)
    together = answer(method, originals, case.forgetting, keys)
    for row in range(3):
        part = slice(row, row + 1)
        alone = answer(method, jax.tree.map(lambda leaf, part=part: leaf[part], originals), case.forgetting, keys[part])
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf, part=part: leaf[part], together), alone, rtol=1e-4, atol=1e-6
        )


def test_divergence_is_kl_in_nats() -> None:
    from scipy.special import softmax
    from scipy.stats import entropy

    teacher, student = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
    expected = 4.0 * np.mean(entropy(softmax(teacher / 2, axis=0), softmax(student / 2, axis=0)))
    np.testing.assert_allclose(steps.divergence(jnp.asarray(teacher), jnp.asarray(student), 2.0), expected, rtol=1e-5)


@pytest.mark.parametrize(("forget", "message"), [((3,), "got output 3"), ((0, 1, 2), "leaves 0 of 96 images")])
def test_what_cannot_be_forgotten_is_refused(case: Case, forget: tuple[int, ...], message: str) -> None:
    with pytest.raises(HyperForgetError, match=message):
        problem(jax.random.key(0), case.images, case.labels, forget, 3)


def test_a_search_prefers_candidates_that_forget_and_then_those_that_retain(case: Case) -> None:
    originals = jax.tree.map(lambda leaf: leaf[None], case.original)
    keys = jax.random.split(jax.random.key(0), 1)
    method = FineTune(epochs=20, batch_size=16, learning_rate=1e-5)  # changes nothing
    best, found = search.search(method, originals, case.forgetting, keys, (case.images, case.labels), 9, 0)
    assert found[0].settings["learning_rate"] == pytest.approx(1e-5)
    assert found[0].forget_accuracy > 0.9
    assert found[0].score == -found[0].forget_accuracy
    assert len(found) == 9
    chosen = max(found, key=lambda each: each.score)
    assert best == replace(method, learning_rate=chosen.settings["learning_rate"])
    assert chosen.forget_accuracy <= search.TOLERANCE
    assert chosen.score == chosen.retain_accuracy == max(e.retain_accuracy for e in found if e.forget_accuracy <= 0.01)
    low, high = FineTune.ranges[0][1:]
    assert all(low <= each.settings["learning_rate"] <= high for each in found[1:])


def test_a_search_without_a_budget_is_refused(case: Case) -> None:
    with pytest.raises(HyperForgetError, match="got 0 candidates"):
        search.search(
            FineTune(),
            case.original,
            case.forgetting,
            jax.random.split(jax.random.key(0), 1),
            (case.images, case.labels),
            0,
            0,
        )


@pytest.mark.parametrize("name", registry.METHODS)
def test_every_method_says_where_it_comes_from_and_what_a_search_varies(name: str) -> None:
    method = registry.METHODS[name]()
    assert type(method).source
    for setting, low, high in method.ranges:
        assert 0 < low <= getattr(method, setting) <= high
        assert isinstance(getattr(method, setting), float)
