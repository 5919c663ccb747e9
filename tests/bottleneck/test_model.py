"""The decoder and its gradient in closed form, ties by chance, FLOPs by their trace."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import flops
from hyperforget_jax import classifier
from hyperforget_jax.bottleneck import keys, model, train
from hyperforget_jax.config import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError
from tests.bottleneck.conftest import CONFIG, Problem

pytestmark = pytest.mark.usefixtures("programs")


def test_logits_are_the_mean_of_the_values_over_codebooks_and_keys() -> None:
    config = replace(CONFIG, codebooks=3, pairs=5, top_k=2, temperature=0.5)
    values = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    codebooks = keys.Codebooks(jnp.zeros((3, 6, 2)), jnp.zeros((3, 5, 2)))
    bottleneck = model.init(codebooks, 4)._replace(values=jnp.asarray(values))
    chosen = np.array([[[0, 1], [2, 3]], [[4, 0], [1, 1]], [[2, 2], [3, 0]]], np.int32)  # [C, N, k]
    expected = [np.mean([values[c, j] for c in range(3) for j in chosen[c, n]], 0) / 0.5 for n in range(2)]
    np.testing.assert_allclose(model.logits_of(bottleneck, jnp.asarray(chosen), config), expected, rtol=1e-5)


def test_a_step_follows_the_gradient_of_autodiff() -> None:
    config = replace(CONFIG, learning_rate=0.3, temperature=0.7)
    rng = np.random.default_rng(0)
    values = jnp.asarray(rng.normal(size=(24, 4)), jnp.float32)
    chosen = jnp.asarray(rng.integers(0, 24, (5, 6)), jnp.int32)
    labels = jnp.asarray([0, 3, 1, 1, 2], jnp.int32)

    def loss(values: jax.Array) -> jax.Array:
        logits = values[chosen].mean(1) / 0.7  # [B, K]
        return classifier.cross_entropy(logits.T, labels).sum()

    moved = train.step(values, chosen, labels, config)
    np.testing.assert_allclose(moved, values - 0.3 * 6 * 0.7 * jax.grad(loss)(values), rtol=1e-4, atol=1e-5)


def test_it_learns_and_keeps_the_best_pass(problem: Problem) -> None:
    assert max(problem.curve) > 0.95
    chosen = model.selections(problem.bottleneck, problem.validation, CONFIG)
    images = train.Images(chosen, problem.validation_labels)
    assert train.accuracy(problem.bottleneck, images, CONFIG) == max(problem.curve)


def test_training_stops_after_passes_that_bring_nothing(problem: Problem) -> None:
    config = replace(CONFIG, value_epochs=50, patience=2)
    start = problem.bottleneck._replace(values=jnp.zeros_like(problem.bottleneck.values))
    chosen = model.selections(start, problem.embeddings, config)
    fitted = train.fit(jax.random.key(0), start, *2 * [train.Images(chosen, problem.labels)], config)
    assert len(fitted.curve) == fitted.curve.index(max(fitted.curve)) + 3 < 50


def test_values_of_pairs_that_nothing_selects_stay_zero(problem: Problem) -> None:
    chosen = model.as_trained(problem.bottleneck, problem.embeddings, CONFIG)
    unused = np.ones(problem.bottleneck.masked.shape, bool)
    for codebook, own in zip(unused, np.asarray(chosen), strict=True):
        codebook[own] = False
    assert unused.any()
    assert (np.asarray(problem.bottleneck.values)[unused] == 0).all()


def test_decay_shrinks_values_once_a_pass() -> None:
    values, chosen = jnp.ones((6, 2)), jnp.zeros((4, 1), jnp.int32)
    config = replace(CONFIG, value_decay=0.25)
    moved = train.epoch(values, jax.random.key(0), chosen, jnp.zeros(4, jnp.int32), config)
    np.testing.assert_allclose(moved[1:], 0.75)


def test_equal_logits_count_as_chance() -> None:
    logits = jnp.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    np.testing.assert_allclose(model.hits(logits, jnp.array([0, 1, 1, 1])), [0.25, 0.5, 1.0, 0.0])


def test_counted_flops_are_those_of_the_products() -> None:
    config = BottleneckConfig(codebooks=1, pairs=20, subspace=4)

    def selection(projection: jax.Array, table: jax.Array, embeddings: jax.Array) -> jax.Array:
        return keys.nearest(embeddings @ projection, table, jnp.zeros(20, bool), 1)

    traced = flops.traced(selection, jnp.zeros((7, 4)), jnp.zeros((20, 4)), jnp.zeros((50, 7)))
    assert model.selection_flops(50, config, 7) == traced == 2 * 50 * 4 * (7 + 20)
    assert model.selection_flops(50, replace(config, codebooks=3), 7) == 3 * traced
    assert model.decoding_flops(50, replace(config, codebooks=3, top_k=2), 10) == 50 * 3 * 2 * 10


@pytest.mark.parametrize("labels", [[0, 4], [-1, 0]])
def test_labels_out_of_range_are_refused(problem: Problem, labels: list[int]) -> None:
    images = train.Images(jnp.zeros((8, 2, 1), jnp.int32), jnp.asarray(labels, jnp.int32))
    with pytest.raises(HyperForgetError, match="expected labels from 0 to 3"):
        train.fit(jax.random.key(0), problem.bottleneck, images, images, CONFIG)


def test_training_without_validation_images_is_refused(problem: Problem) -> None:
    images = train.Images(jnp.zeros((8, 2, 1), jnp.int32), jnp.zeros(2, jnp.int32))
    none = train.Images(images.selected[:, :0], images.labels[:0])
    with pytest.raises(HyperForgetError, match="0 validation images: hold some training images out"):
        train.fit(jax.random.key(0), problem.bottleneck, images, none, CONFIG)
