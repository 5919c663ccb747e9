"""The canonical vector: the same of every model of a symmetry orbit, at any depth; and the gauge changes no function."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.weights import symmetry
from hyperforget_jax.weights.canonical import canonical_vector, gauge

pytestmark = pytest.mark.usefixtures("programs")
SHAPES = [(6, 4, 3), (6, 5, 4, 3), (6, 3, 5, 4, 3)]


def model(sizes: tuple[int, ...], seed: int) -> Params:
    noise = np.random.default_rng(seed)
    return tuple(
        {
            "w": jnp.asarray(noise.normal(size=(wide, deep)), jnp.float32),
            "b": jnp.asarray(noise.normal(size=wide), jnp.float32),
        }
        for deep, wide in pairwise(sizes)
    )


def twin(params: Params, seed: int) -> Params:
    """The same function: units in random order and rescaled, outputs shifted."""
    noise = np.random.default_rng(seed)
    moved = symmetry.random_permutation(jax.random.key(seed), params)
    for hidden, layer in enumerate(params[:-1]):
        factors = jnp.asarray(2 ** noise.uniform(-3, 3, len(layer["b"])), jnp.float32)
        moved = symmetry.rescale(moved, hidden, factors)
    return symmetry.shift(moved, jnp.asarray(noise.normal(size=moved[-1]["w"].shape[1]), jnp.float32), jnp.float32(2.0))


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_no_symmetry_moves_the_canonical_vector(sizes: tuple[int, ...]) -> None:
    params = model(sizes, 0)
    found, expected = canonical_vector(twin(params, 1)), canonical_vector(params)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(canonical_vector(model(sizes, 2)), expected, atol=0.1)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_the_gauge_keeps_the_probabilities(sizes: tuple[int, ...]) -> None:
    params, images = model(sizes, 3), jnp.asarray(np.random.default_rng(4).normal(size=(20, sizes[0])), jnp.float32)
    before, after = (jax.nn.softmax(classifier.logits(each, images)) for each in (params, gauge(params)))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_norms_and_centres_of_the_gauge() -> None:
    first, second, last = gauge(model((6, 5, 4, 3), 5))
    incoming = [np.linalg.norm(np.c_[layer["w"], layer["b"]], axis=1) for layer in (first, second)]
    np.testing.assert_allclose(incoming[0], 1, rtol=1e-5)
    np.testing.assert_allclose(incoming[1], np.linalg.norm(last["w"], axis=0), rtol=1e-5)
    np.testing.assert_allclose(last["w"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(last["b"].mean(), 0, atol=1e-6)


def test_units_are_sorted_by_hand() -> None:
    params: Params = (
        {"w": jnp.array([[3.0], [1.0]]), "b": jnp.array([4.0, 0.0])},  # |incoming| = 5, 1
        {"w": jnp.array([[5.0, -1.0], [-5.0, 1.0]]), "b": jnp.array([1.0, 3.0])},
    )
    root = 50.0**0.25  # |outgoing| = sqrt(50): incoming times root / sqrt(5), outgoing times sqrt(5) / root
    a, b = root / np.sqrt(5), 2.0**0.25
    expected = [b, 3 * a, 0, 4 * a, -1 / b, 5 / a, 1 / b, -5 / a, -1, 1]
    np.testing.assert_allclose(canonical_vector(params), expected, rtol=1e-5)
