"""The baselines of a generator: retrieval against brute force, noise by its statistics, averages against all matchings."""

from itertools import pairwise, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion import conditioning
from hyperforget_jax.unlearn.retrieval import averaged, nearest, noisy
from hyperforget_jax.weights import symmetry
from hyperforget_jax.weights.layout import flatten

pytestmark = pytest.mark.usefixtures("programs")

PIXELS = 6
DEPTHS = [(PIXELS, 4, 3), (PIXELS, 5, 4, 3), (PIXELS, 4, 3, 5, 4)]


def random_model(seed: int, sizes: tuple[int, ...]) -> Params:
    """One model with random biases."""
    noise = np.random.default_rng(seed)
    return tuple(
        {
            "w": jnp.asarray(noise.normal(size=(wide, deep)), jnp.float32),
            "b": jnp.asarray(noise.normal(size=(wide,)), jnp.float32),
        }
        for deep, wide in pairwise(sizes)
    )


def stack(*models: Params) -> Params:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)


def twin(seed: int, model: Params) -> Params:
    """The same function: units of every hidden layer in random order, rescaled by 1/8 to 8, outputs shifted."""
    order, scale, unit, bias = jax.random.split(jax.random.key(seed), 4)
    model = symmetry.random_permutation(order, model)
    for hidden, layer_key in enumerate(jax.random.split(scale, len(model) - 1)):
        factors = 2 ** jax.random.uniform(layer_key, model[hidden]["b"].shape, minval=-3.0, maxval=3.0)
        model = symmetry.rescale(model, hidden, factors)
    return symmetry.shift(model, jax.random.normal(unit, model[-2]["b"].shape), jax.random.normal(bias, ()))


def gauged(model: Params) -> Params:
    """The average of one model: itself, in the gauge."""
    return averaged(stack(model))


def middle(*models: Params) -> Params:
    """The plain average, weight by weight."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(0), *models)


def test_nearest_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    known, asked = (rng.normal(size=(count, 4)).astype(np.float32) for count in (300, 20))
    expected = np.argsort(cdist(asked, known), axis=1)[:, :5]
    np.testing.assert_array_equal(nearest(known, asked, 5), expected)


def test_all_checkpoints_come_in_order() -> None:
    known = np.array([[2.0], [0.5], [-3.0]], np.float32)
    np.testing.assert_array_equal(nearest(known, np.array([[0.0], [-2.0]], np.float32), 3), [[1, 0, 2], [2, 1, 0]])


def test_a_class_that_is_not_asked_for_does_not_count() -> None:
    rng = np.random.default_rng(1)
    known, asked = (rng.normal(size=(count, 4)).astype(np.float32) for count in (300, 20))
    asked[:, 2] = np.nan
    others = [0, 1, 3]
    expected = np.argsort(cdist(asked[:, others], known[:, others]), axis=1)[:, :5]
    np.testing.assert_array_equal(nearest(known, asked, 5), expected)


def test_a_checkpoint_finds_itself_first_and_its_doubles_in_order() -> None:
    known = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    rows = nearest(np.concatenate([known, known]), known, 2)
    np.testing.assert_array_equal(rows, np.arange(50)[:, None] + [0, 50])


def test_losses_standardised_as_conditions_are_compared_per_deviation_of_their_logarithms() -> None:
    """The second class varies a hundred times as much: its distance in nats is the larger, in deviations the smaller."""
    losses = np.array([[0.1, 0.01], [0.2, 10.0], [0.8, 0.1]], np.float32)
    prompt = np.array([[0.1, 10.0]], np.float32)
    fitted = conditioning.fit(losses, 0.001)
    known, asked = (np.asarray(conditioning.standardise(fitted, jnp.asarray(each))) for each in (losses, prompt))
    logs, wanted = np.log(losses + 0.001), np.log(prompt + 0.001)
    expected = np.argsort((((logs - wanted) / logs.std(0)) ** 2).sum(1))
    assert expected[0] == 1
    np.testing.assert_array_equal(nearest(known, asked, 3), expected[None])


def test_noise_is_the_given_share_of_every_tensor_of_every_model() -> None:
    model = random_model(3, (50, 40, 30))
    models = stack(model, jax.tree.map(lambda leaf: 7 * leaf, model))
    perturbed = noisy(jax.random.key(4), models, 0.1)
    for before, after in zip(jax.tree.leaves(models), jax.tree.leaves(perturbed), strict=True):
        assert after.dtype == before.dtype
        axes = tuple(range(1, before.ndim))
        added, own = (np.sqrt(np.mean(np.square(each), axis=axes)) for each in (after - before, before))
        tolerance = 4 / np.sqrt(2 * before[0].size)  # four deviations of a measured deviation
        np.testing.assert_allclose(added / own, 0.1, rtol=tolerance)


def test_noise_of_share_zero_and_noise_on_zeros_change_nothing() -> None:
    models = stack(random_model(5, DEPTHS[0]))
    key = jax.random.key(6)
    for found, expected in zip(
        jax.tree.leaves(noisy(jax.random.clone(key), models, 0.0)), jax.tree.leaves(models), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    zeros = jax.tree.map(jnp.zeros_like, models)
    for found in jax.tree.leaves(noisy(key, zeros, 0.5)):
        np.testing.assert_array_equal(found, 0)


def test_no_two_models_get_the_same_noise() -> None:
    model = random_model(7, DEPTHS[0])
    perturbed = noisy(jax.random.key(8), stack(model, model), 0.1)
    first, second = (flatten(jax.tree.map(lambda leaf, row=row: leaf[row], perturbed)) for row in (0, 1))
    assert np.abs(first - second).min() > 0


@pytest.mark.parametrize("sizes", DEPTHS)
def test_copies_average_to_their_function(sizes: tuple[int, ...]) -> None:
    model = random_model(9, sizes)
    images = jnp.asarray(np.random.default_rng(10).normal(size=(20, PIXELS)), jnp.float32)
    average = averaged(stack(model, *(twin(seed, model) for seed in range(3))))
    expected, found = (jax.nn.log_softmax(classifier.logits(each, images)) for each in (model, average))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_neighbours_average_unit_by_unit(sizes: tuple[int, ...]) -> None:
    """Small changes of one model: its own units are the match, whatever symmetry hides them."""
    model = random_model(11, sizes)
    neighbours = [
        jax.tree.map(lambda leaf, change: leaf + 0.01 * change, model, random_model(seed, sizes)) for seed in (12, 13)
    ]
    found = averaged(stack(model, *(twin(seed, each) for seed, each in enumerate(neighbours))))
    expected = middle(*map(gauged, (model, *neighbours)))
    np.testing.assert_allclose(flatten(found), flatten(expected), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_strangers_with_one_hidden_layer_are_matched_at_the_least_distance(seed: int) -> None:
    first, second = (gauged(random_model(10 * seed + each, DEPTHS[0])) for each in (0, 1))
    orders = [jnp.array(order) for order in permutations(range(DEPTHS[0][1]))]
    candidates = [symmetry.permute(second, 0, order) for order in orders]
    best = min(candidates, key=lambda each: float(jnp.sum((flatten(each) - flatten(first)) ** 2)))
    found = averaged(stack(first, twin(seed, second)))
    np.testing.assert_allclose(flatten(found), flatten(middle(first, best)), atol=1e-5)
