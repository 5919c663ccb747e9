"""Novelty against brute force over all matchings, and shared mistakes against scikit-learn and values by hand."""

from itertools import pairwise, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import novelty
from hyperforget_jax.metrics.novelty import Canonical, canonical, nearest_distance, shared_mistakes
from hyperforget_jax.weights import basis, symmetry

pytestmark = pytest.mark.usefixtures("programs")

SIZES = (6, 4, 3)
IMAGES = np.random.default_rng(0).random((60, SIZES[0])).astype(np.float32)
ENCODE = basis.fit(IMAGES, 5).encode


def stacked(count: int, seed: int, sizes: tuple[int, ...] = SIZES) -> Params:
    """Random models with random biases."""
    noise = np.random.default_rng(seed)
    return tuple(
        {
            "w": jnp.asarray(noise.normal(size=(count, wide, deep)), jnp.float32),
            "b": jnp.asarray(noise.normal(size=(count, wide)), jnp.float32),
        }
        for deep, wide in pairwise(sizes)
    )


def twin(key: jax.Array, model: Params) -> Params:
    """The same function: units in random order, rescaled by 1/8 to 8, outputs shifted."""
    order, scale, unit, bias = jax.random.split(key, 4)
    factors = 2 ** jax.random.uniform(scale, (SIZES[1],), minval=-3.0, maxval=3.0)
    moved = symmetry.rescale(symmetry.random_permutation(order, model), 0, factors)
    return symmetry.shift(moved, jax.random.normal(unit, (SIZES[1],)), jax.random.normal(bias, ()))


def twins(models: Params, seed: int) -> Params:
    return jax.vmap(twin)(jax.random.split(jax.random.key(seed), len(models[0]["b"])), models)


def brute_force(models: Canonical, zoo: Canonical) -> NDArray[np.float64]:
    """Nearest distances, by all matchings of all pairs in float64."""
    orders = np.array(list(permutations(range(models.units.shape[1]))))  # [H!, H]
    ordered = zoo.units.astype(np.float64)[:, orders]  # [M, H!, H, W]
    nearest = []
    for units, biases in zip(*models, strict=True):
        squares = ((units - ordered) ** 2).sum((2, 3)).min(1)  # [M]
        nearest.append(np.sqrt(squares + ((biases - zoo.biases.astype(np.float64)) ** 2).sum(1)).min())
    return np.array(nearest)


@pytest.mark.parametrize("encode", [None, ENCODE], ids=["weights", "codes"])
def test_a_permuted_rescaled_and_shifted_copy_is_at_distance_zero(encode: novelty.Floats | None) -> None:
    zoo = stacked(50, seed=1)
    some = jax.tree.map(lambda leaf: leaf[10:20], zoo)
    distances = nearest_distance(canonical(twins(some, seed=2), encode), canonical(zoo, encode))
    np.testing.assert_allclose(distances, 0, atol=1e-5)


def test_no_rescaling_or_shift_moves_the_canonical_form() -> None:
    models = stacked(8, seed=3)
    key = jax.random.key(4)
    factors = 2 ** jax.random.uniform(key, (8, SIZES[1]), minval=-3.0, maxval=3.0)
    moved = jax.vmap(lambda model, by: symmetry.rescale(model, 0, by))(models, factors)
    moved = jax.vmap(lambda model, by: symmetry.shift(model, by, by[0]))(moved, factors)
    for found, expected in zip(canonical(moved, ENCODE), canonical(models, ENCODE), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_unit_of_the_canonical_form_by_hand() -> None:
    model: Params = (
        {"w": jnp.array([[[3.0, 0.0]]]), "b": jnp.array([[4.0]])},  # |incoming| = 5
        {"w": jnp.array([[[1.8], [-0.2], [0.2], [-1.8]]]), "b": jnp.array([[1.0, 2.0, 3.0, 6.0]])},
    )
    outgoing = np.array([1.8, -0.2, 0.2, -1.8])
    norm = np.linalg.norm(outgoing)
    expected = [*(np.array([3.0, 0.0, 4.0]) * np.sqrt(norm / 5)), *(outgoing * np.sqrt(5 / norm))]
    units, biases = canonical(model, None)
    np.testing.assert_allclose(units, [[expected]], rtol=1e-6)
    np.testing.assert_allclose(biases, [[-2, -1, 0, 3]], rtol=1e-6)


def test_distance_of_units_is_that_of_their_pre_activations() -> None:
    """Two models that differ in one unit's incoming weights, of equal norm of code: (dw . z)^2, averaged over the images."""
    full = basis.fit(IMAGES, SIZES[0] + 1)
    codes = np.random.default_rng(5).normal(size=(2, 1, full.size))
    codes /= np.linalg.norm(codes, axis=2, keepdims=True)
    weights = codes @ full.decode.T.astype(np.float64)  # [2, 1, D + 1]
    outgoing = np.array([0.5, 0.5, -0.5, -0.5])  # norm 1: balanced as it is
    models: Params = (
        {"w": jnp.asarray(weights[:, :, :-1], jnp.float32), "b": jnp.asarray(weights[:, :, -1], jnp.float32)},
        {"w": jnp.asarray(np.tile(outgoing[:, None], (2, 1, 1)), jnp.float32), "b": jnp.zeros((2, 4))},
    )
    one, other = (Canonical(*(leaf[[row]] for leaf in canonical(models, full.encode))) for row in (0, 1))
    extended = np.concatenate([IMAGES, np.ones((len(IMAGES), 1))], axis=1)
    caused = np.mean((extended @ (weights[0, 0] - weights[1, 0])) ** 2)
    np.testing.assert_allclose(nearest_distance(one, other), [np.sqrt(caused)], rtol=1e-4)


@pytest.mark.parametrize("silent", ["incoming", "outgoing"])
def test_a_unit_that_adds_nothing_is_zero(silent: str) -> None:
    first, last = stacked(1, seed=6)
    if silent == "incoming":
        first = {name: leaf.at[:, 0].set(0) for name, leaf in first.items()}
    else:
        last = {"w": last["w"].at[:, :, 0].set(0.75), "b": last["b"]}  # the same for every class
    units = canonical((first, last), ENCODE).units
    np.testing.assert_array_equal(units[0, 0], 0)
    assert np.linalg.norm(units[0, 1:], axis=1).min() > 0.1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, ENCODE]), st.integers(1, 4))
def test_nearest_distance_equals_brute_force(seed: int, encode: novelty.Floats | None, hidden: int) -> None:
    sizes = (SIZES[0], hidden, SIZES[-1])
    models, zoo = (canonical(stacked(count, seed + count, sizes), encode) for count in (7, 40))
    np.testing.assert_allclose(nearest_distance(models, zoo), brute_force(models, zoo), rtol=1e-9)


def test_a_model_that_failed_is_near_nothing_and_nothing_is_near_it() -> None:
    failed = stacked(3, seed=12)
    failed[0]["w"] = failed[0]["w"].at[1].set(jnp.nan)
    forms, whole = canonical(failed, ENCODE), canonical(stacked(1, seed=13), ENCODE)
    distances = nearest_distance(forms, whole)
    np.testing.assert_array_equal(np.isinf(distances), [False, True, False])
    np.testing.assert_allclose(nearest_distance(whole, forms), distances.min(), rtol=1e-12)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    models, zoo = stacked(5, seed=7), stacked(43, seed=8)
    whole = canonical(zoo, ENCODE)
    queries = canonical(models, ENCODE)
    expected = nearest_distance(queries, whole)
    monkeypatch.setattr(novelty, "MODELS_AT_ONCE", 10)
    monkeypatch.setattr(novelty, "COSTS_AT_ONCE", 500)  # 6 of the zoo at once
    pieces = canonical(zoo, ENCODE)
    np.testing.assert_allclose(pieces.units, whole.units, rtol=1e-6)
    np.testing.assert_array_equal(pieces.biases, whole.biases)
    np.testing.assert_allclose(nearest_distance(queries, pieces), expected, rtol=1e-6)


def test_few_matchings_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near copies in the zoo: the bound rules all the others out."""
    zoo = stacked(200, seed=9)
    some = jax.tree.map(lambda leaf: leaf[:20], twins(zoo, seed=10))
    solved = []

    def counted(cost: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        solved.append(cost)
        return solve(cost)

    solve = novelty.linear_sum_assignment
    monkeypatch.setattr(novelty, "linear_sum_assignment", counted)
    nearest_distance(canonical(some, ENCODE), canonical(zoo, ENCODE))
    assert len(solved) == 20


def test_deeper_models_are_told_what_to_do() -> None:
    with pytest.raises(HyperForgetError, match=r"2 hidden layers.*shared_mistakes"):
        canonical(stacked(1, 0, (6, 4, 4, 3)), None)


def test_shared_mistakes_by_hand() -> None:
    labels = np.array([0, 1, 2, 0, 1])
    predictions = np.array([[1, 0, 2, 0, 1], [0, 1, 2, 0, 1]])  # errs on images 0 and 1; on none
    references = np.array([[2, 1, 0, 0, 1], [0, 1, 2, 0, 1]])  # errs on images 0 and 2; on none
    np.testing.assert_allclose(shared_mistakes(predictions, references, labels, np.ones(5, bool)), [[1 / 3, 0], [0, 1]])
    member = np.array([True, False, False, True, True])
    np.testing.assert_array_equal(shared_mistakes(predictions, references, labels, member), [[1, 0], [0, 1]])


def test_shared_mistakes_equal_scikit_learn() -> None:
    rng = np.random.default_rng(11)
    predictions, references = rng.integers(4, size=(6, 50)), rng.integers(4, size=(3, 50), dtype=np.int32)
    labels, member = rng.integers(4, size=50), rng.random(50) < 0.7
    expected = [
        [jaccard_score(*(each[member] != labels[member] for each in (a, b))) for b in references] for a in predictions
    ]
    found = shared_mistakes(jnp.asarray(predictions), references, labels, member)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_shared_mistakes_of_an_empty_set_are_refused() -> None:
    with pytest.raises(HyperForgetError, match="0 images"):
        shared_mistakes(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(3), np.zeros(3, bool))
