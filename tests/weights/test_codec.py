"""Weights as vectors and as tokens: exact symmetries change no prediction, and round trips give the same model back."""

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import CodecConfig
from hyperforget_jax.weights import basis, codec, symmetry
from hyperforget_jax.weights.layout import TokenLayout, flatten, num_weights, pad, shapes, unflatten

PIXELS = 6
DEPTHS = [(PIXELS, 3, 4), (PIXELS, 5, 3, 4), (PIXELS, 4, 3, 5, 4)]
IMAGES = np.random.default_rng(0).random((60, PIXELS)).astype(np.float32)
LABELS = np.arange(60, dtype=np.int32) % 4
FULL = CodecConfig(kind="functional", basis_size=PIXELS + 1)
RAW = CodecConfig(kind="raw", chunk_size=4)


def model(seed: int, sizes: tuple[int, ...]) -> Params:
    """A model whose weights and biases are all random."""
    return jax.tree.map(lambda leaf: leaf[0], zoo(sizes, 1, seed))


def zoo(sizes: tuple[int, ...], count: int = 16, seed: int = 0) -> Params:
    """Stacked random models."""
    noise = np.random.default_rng(seed)
    return tuple(
        {
            "w": jnp.asarray(noise.normal(size=(count, wide, deep)), jnp.float32),
            "b": jnp.asarray(noise.normal(size=(count, wide)), jnp.float32),
        }
        for deep, wide in pairwise(sizes)
    )


class Fitted(NamedTuple):
    """A codec fitted on `zoo(sizes)`, and its maps compiled."""

    codec: codec.Codec
    layout: TokenLayout
    encode: Callable[[Params], jax.Array]
    decode: Callable[[jax.Array], Params]


@cache
def fitted(config: CodecConfig, sizes: tuple[int, ...]) -> Fitted:
    made = codec.fit(config, sizes, zoo(sizes), IMAGES, LABELS)
    return Fitted(made, made.layout, jax.jit(made.encode), jax.jit(made.decode))


def unstandardised(sizes: tuple[int, ...], images: np.ndarray[Any, Any]) -> codec.Functional:
    """A functional codec with the full basis and neither mean nor scale."""
    whole = basis.fit(images, images.shape[1] + 1)
    return codec.Functional(sizes, whole, np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32))


@jax.jit
def log_softmax(params: Params) -> jax.Array:
    return jax.nn.log_softmax(classifier.logits(params, jnp.asarray(IMAGES)))


def random_orders(seed: int, sizes: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    """An order of the units of each hidden layer."""
    noise = np.random.default_rng(seed)
    return [noise.permutation(units).astype(np.int32) for units in sizes[1:-1]]


def reordered(params: Params, orders: list[np.ndarray[Any, Any]]) -> Params:
    """`symmetry.permute_units` by hand: rows of a weight follow its layer's order, columns the order before."""
    first, last = params[0]["w"].shape[1], params[-1]["b"].shape[0]
    places = [np.arange(first), *orders, np.arange(last)]
    return tuple(
        {
            "w": jnp.asarray(np.asarray(layer["w"])[np.ix_(rows, columns)]),
            "b": jnp.asarray(np.asarray(layer["b"])[rows]),
        }
        for layer, (columns, rows) in zip(params, pairwise(places), strict=True)
    )


@partial(jax.jit, static_argnames="hidden")
def permuted(params: Params, hidden: int) -> Params:
    """The model with one hidden layer's units turned by one place: the first becomes the last."""
    units = params[hidden]["b"].shape[0]
    return symmetry.permute(params, hidden, jnp.roll(jnp.arange(units), -1))


@jax.jit
def rescaled(params: Params) -> Params:
    """Every hidden layer rescaled, by factors from 1/4 to 4."""
    for hidden in range(len(params) - 1):
        units = params[hidden]["b"].shape[0]
        params = symmetry.rescale(params, hidden, jnp.asarray(np.geomspace(0.25, 4.0, units), jnp.float32))
    return params


@jax.jit
def shifted(params: Params) -> Params:
    units = params[-1]["w"].shape[1]
    return symmetry.shift(params, jnp.linspace(-2.0, 3.0, units), jnp.float32(1.5))


def assert_same_function(ours: Params, theirs: Params, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(log_softmax(ours), log_softmax(theirs), rtol=tolerance, atol=tolerance)


# Layout.


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=3, max_size=5), seed=st.integers(0, 99))
def test_flatten_and_unflatten_are_inverse(sizes: list[int], seed: int) -> None:
    vector = np.random.default_rng(seed).normal(size=num_weights(sizes)).astype(np.float32)
    params = jax.jit(lambda v: unflatten(v, sizes))(vector)
    assert [layer["w"].shape for layer in params] == [(wide, deep) for deep, wide in pairwise(sizes)]
    np.testing.assert_array_equal(jax.jit(flatten)(params), vector)


def test_the_vector_of_a_small_model_by_hand() -> None:
    first = {"w": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "b": jnp.array([5.0, 6.0])}
    last = {"w": jnp.array([[7.0, 8.0]]), "b": jnp.array([9.0])}
    np.testing.assert_array_equal(flatten((first, last)), np.arange(1.0, 10.0))
    assert shapes((2, 2, 1)) == [(2, 2), (2,), (1, 2), (1,)]


@pytest.mark.parametrize(("sizes", "count"), [((784, 2, 4), 1582), ((784, 7, 10), 5575)])
def test_the_papers_classifiers_have_the_papers_numbers_of_weights(sizes: tuple[int, ...], count: int) -> None:
    assert num_weights(sizes) == count


def test_padding_goes_to_the_right_and_is_zero() -> None:
    padded = pad([jnp.array([1.0, 2.0]), jnp.array([3.0])], 3)
    np.testing.assert_array_equal(padded, [[1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])


def lengths(layout: TokenLayout) -> list[int]:
    """Coordinates of each token; they stand at its left."""
    counts = layout.mask.sum(1)
    np.testing.assert_array_equal(layout.mask, np.arange(layout.width)[None, :] < counts[:, None])
    return counts.tolist()


def test_functional_layouts_by_hand() -> None:
    one, two = (unstandardised(sizes, IMAGES[:, :5]).layout for sizes in ((5, 3, 4), (5, 4, 3, 2)))
    assert lengths(one) == [6 + 4] * 3 + [4]
    assert one.kinds == (0, 0, 0, 1)
    assert one.positions == (0, 0, 0, 1)
    assert lengths(two) == [6] * 4 + [4 + 1 + 2] * 3 + [2]
    assert two.kinds == (0, 0, 0, 0, 1, 1, 1, 2)
    assert two.positions == (0, 1, 2, 3, 4, 4, 4, 5)
    assert (two.num_tokens, two.width) == (8, 7)


def test_raw_layouts_by_hand() -> None:
    one, two = (codec.Raw(sizes, 4, np.ones((1, 1), np.float32)).layout for sizes in ((5, 3, 4), (5, 4, 3, 2)))
    assert lengths(one) == [4, 4, 4, 3, 3, 4, 4, 4, 4]  # 15, 3, 12 and 4 weights
    assert lengths(two) == [4] * 5 + [4] + [4] * 3 + [3] + [4, 2] + [2]  # 20, 4, 12, 3, 6 and 2 weights
    for layout in (one, two):
        assert layout.kinds == layout.positions == tuple(range(layout.num_tokens))


# Symmetries.


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_permuted_model_predicts_the_same(sizes: tuple[int, ...]) -> None:
    params = model(1, sizes)
    for hidden in range(len(sizes) - 2):
        other = permuted(params, hidden)
        np.testing.assert_array_equal(other[hidden]["b"], np.roll(params[hidden]["b"], -1))
        assert_same_function(other, params)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_random_permutations_keep_the_logits(sizes: tuple[int, ...]) -> None:
    params, logits = model(10, sizes), jax.jit(classifier.logits)
    other = jax.jit(symmetry.random_permutation)(jax.random.key(0), params)
    assert not np.array_equal(flatten(other), flatten(params))
    np.testing.assert_allclose(logits(other, IMAGES), logits(params, IMAGES), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [(7, 5, 2), (7, 5, 3, 2), (7, 5, 3, 4, 2)])
def test_every_declared_axis_is_as_long_as_its_layer_is_wide(sizes: tuple[int, ...]) -> None:
    hidden_of_width = {width: hidden for hidden, width in enumerate(sizes[1:-1])}
    expected = [tuple(hidden_of_width.get(length) for length in shape) for shape in shapes(sizes)]
    declared = symmetry.unit_axes(len(sizes) - 2)
    assert [layer[name] for layer in declared for name in ("w", "b")] == expected


@pytest.mark.parametrize("sizes", DEPTHS)
def test_units_permuted_by_hand(sizes: tuple[int, ...]) -> None:
    params, orders = model(7, sizes), random_orders(7, sizes)
    permuted_units = jax.jit(symmetry.permute_units)(params, [jnp.asarray(order) for order in orders])
    np.testing.assert_array_equal(flatten(permuted_units), flatten(reordered(params, orders)))
    assert not np.array_equal(flatten(permuted_units), flatten(params))


@pytest.mark.parametrize("sizes", DEPTHS)
def test_the_inverse_orders_undo_a_permutation(sizes: tuple[int, ...]) -> None:
    params, orders = model(8, sizes), [jnp.asarray(order) for order in random_orders(8, sizes)]
    permute_units = jax.jit(symmetry.permute_units)
    back = permute_units(permute_units(params, orders), [jnp.argsort(order) for order in orders])
    np.testing.assert_array_equal(flatten(back), flatten(params))


def test_as_many_orders_are_due_as_there_are_hidden_layers() -> None:
    params = model(9, DEPTHS[1])
    with pytest.raises(ValueError, match="length"):
        symmetry.permute_units(params, [jnp.arange(5)])


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_rescaled_model_predicts_the_same(sizes: tuple[int, ...]) -> None:
    params = model(2, sizes)
    assert_same_function(rescaled(params), params)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_shifted_model_predicts_the_same(sizes: tuple[int, ...]) -> None:
    params = model(3, sizes)
    assert_same_function(shifted(params), params)
    assert not np.allclose(shifted(params)[-1]["b"], params[-1]["b"], atol=0.1)


def test_a_negative_factor_is_no_symmetry() -> None:
    params = model(4, DEPTHS[0])
    other = symmetry.rescale(params, 0, jnp.array([-1.0, 1.0, 1.0]))
    assert not np.allclose(log_softmax(other), log_softmax(params), atol=0.1)


def test_centring_sums_to_zero_and_is_one_point_of_the_orbit() -> None:
    params = model(5, DEPTHS[0])
    centred, again = symmetry.centre(params), symmetry.centre(shifted(params))
    np.testing.assert_allclose(centred[-1]["w"].sum(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(centred[-1]["b"].sum(), 0.0, atol=1e-5)
    np.testing.assert_allclose(flatten(again), flatten(centred), atol=1e-5)
    assert_same_function(centred, params)


def test_random_permutations_reach_every_order_of_a_layer() -> None:
    params = model(6, DEPTHS[0])
    many = jax.jit(jax.vmap(symmetry.random_permutation, in_axes=(0, None)))
    biases = many(jax.random.split(jax.random.key(0), 100), params)[0]["b"]
    assert len(np.unique(biases, axis=0)) == 6  # 3! orders; one is missed with chance 6 (5/6)^100 < 1e-7


def test_a_ratio_with_a_zero_is_one() -> None:
    ratio = symmetry.safe_ratio(jnp.array([6.0, 0.0, 1.0, 0.0]), jnp.array([2.0, 1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(ratio, [3.0, 1.0, 1.0, 1.0])


# Basis.


def test_the_squared_error_of_a_code_is_the_mean_squared_error_of_the_preactivation() -> None:
    fitted_basis = basis.fit(IMAGES, PIXELS + 1)
    assert fitted_basis.size == PIXELS + 1
    for change in np.random.default_rng(2).normal(size=(5, PIXELS + 1)):
        caused = np.mean((IMAGES.astype(np.float64) @ change[:-1] + change[-1]) ** 2)
        assert np.sum((fitted_basis.encode @ change) ** 2) == pytest.approx(caused, rel=1e-4)


def test_a_decoded_weight_acts_the_same_on_the_images() -> None:
    dead = IMAGES.copy()
    dead[:, 2] = 0.0  # a pixel that is always black
    fitted_basis = basis.fit(dead, PIXELS + 1)
    assert fitted_basis.size == PIXELS
    weights = np.random.default_rng(3).normal(size=(5, PIXELS + 1)).astype(np.float32)
    decoded = weights @ fitted_basis.encode.T @ fitted_basis.decode.T
    extended = np.concatenate([dead, np.ones((len(dead), 1), np.float32)], axis=1)
    np.testing.assert_allclose(extended @ decoded.T, extended @ weights.T, atol=1e-4)
    np.testing.assert_allclose(decoded[:, 2], 0.0, atol=1e-5)


def test_directions_come_in_falling_order_and_are_the_best_of_their_number() -> None:
    whole, part = basis.fit(IMAGES, PIXELS + 1), basis.fit(IMAGES, 3)
    np.testing.assert_array_equal(part.encode, whole.encode[:3])
    moments = (whole.encode.astype(np.float64) ** 2).sum(1)  # |diag(l)^(1/2) u|^2 = l
    extended = np.concatenate([IMAGES, np.ones((len(IMAGES), 1))], axis=1)
    singular = np.linalg.svd(extended, compute_uv=False) ** 2 / len(extended)
    np.testing.assert_allclose(moments, singular, rtol=1e-4)
    np.testing.assert_allclose(part.encode @ part.decode, np.eye(3), atol=1e-4)


# Functional codec.


@pytest.mark.parametrize("sizes", DEPTHS)
def test_tokens_ignore_rescaling_and_shift(sizes: tuple[int, ...]) -> None:
    functional, params = fitted(FULL, sizes), model(50, sizes)
    expected = functional.encode(params)
    np.testing.assert_allclose(functional.encode(rescaled(params)), expected, atol=1e-4)
    np.testing.assert_allclose(functional.encode(shifted(params)), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_tokens_of_a_permuted_model(sizes: tuple[int, ...]) -> None:
    functional, params = fitted(FULL, sizes), model(51, sizes)
    expected = np.array(functional.encode(params))
    *earlier, last = range(len(sizes) - 2)
    for hidden in earlier:  # sorted: nothing is left of the order
        np.testing.assert_allclose(functional.encode(permuted(params, hidden)), expected, atol=1e-4)
    units = slice(sum(sizes[1:-2]), sum(sizes[1:-1]))
    expected[units] = np.roll(expected[units], -1, axis=0)  # a set: the tokens trade places as the units do
    np.testing.assert_allclose(functional.encode(permuted(params, last)), expected, atol=1e-4)


@pytest.mark.parametrize("sizes", DEPTHS)
@pytest.mark.parametrize("config", [FULL, CodecConfig(kind="raw", chunk_size=7)], ids=["functional", "raw"])
def test_a_model_like_another_has_tokens_that_correspond(config: CodecConfig, sizes: tuple[int, ...]) -> None:
    """A small change of weights is a small change of tokens, also where it changes the order of units."""
    made = codec.fit(config, sizes, zoo(sizes), IMAGES, LABELS)
    pair = jax.jit(lambda params, like: made.encode(params, like))
    params = model(53, sizes)
    for seed in range(8):
        change = model(60 + seed, sizes)
        near = jax.tree.map(lambda leaf, d: leaf + 1e-3 * d, params, change)
        far = jax.tree.map(lambda leaf, d: leaf + 3.0 * d, params, change)  # its units have another order
        np.testing.assert_allclose(pair(near, far), pair(params, far), atol=0.02)
        np.testing.assert_allclose(pair(near, params), pair(params, params), atol=0.02)
    np.testing.assert_array_equal(pair(params, params), jax.jit(made.encode)(params))


def test_tokens_ignore_the_weights_of_a_pixel_that_never_varies() -> None:
    images = IMAGES.copy()
    images[:, 2] = 0.0
    functional = unstandardised(DEPTHS[0], images)
    first, last = model(52, DEPTHS[0])
    other = ({"w": first["w"].at[:, 2].add(7.0), "b": first["b"]}, last)
    encode = jax.jit(functional.encode)
    np.testing.assert_allclose(encode(other), encode((first, last)), atol=1e-4)


def test_the_gauge_balances_the_last_hidden_layer_and_normalises_the_earlier_ones() -> None:
    sizes = (PIXELS, 5, 3, 4)
    functional = unstandardised(sizes, IMAGES)
    tokens = np.asarray(jax.jit(functional.encode)(rescaled(model(53, sizes))))
    np.testing.assert_allclose(np.linalg.norm(tokens[:5], axis=1), 1.0, rtol=1e-5)
    assert np.all(np.diff(tokens[:5, 0]) > 0)
    incoming, outgoing = tokens[5:8, :6], tokens[5:8, 6:10]
    np.testing.assert_allclose(np.linalg.norm(incoming, axis=1), np.linalg.norm(outgoing, axis=1), rtol=1e-5)
    np.testing.assert_allclose(outgoing.sum(1), 0.0, atol=1e-5)
    np.testing.assert_allclose(tokens[8].sum(), 0.0, atol=1e-5)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_round_trip_with_the_full_basis_keeps_predictions_and_class_losses(sizes: tuple[int, ...]) -> None:
    functional, params = fitted(FULL, sizes), model(54, sizes)
    decoded = functional.decode(functional.encode(params))
    assert [layer["w"].shape for layer in decoded] == [layer["w"].shape for layer in params]
    assert_same_function(decoded, params, tolerance=1e-3)
    ours, theirs = (
        jax.jit(classifier.class_scores)(each, jnp.asarray(IMAGES), jnp.asarray(LABELS)) for each in (decoded, params)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4)
    np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_decoded_model_encodes_to_its_own_tokens(sizes: tuple[int, ...]) -> None:
    functional = fitted(FULL, sizes)
    tokens = functional.encode(model(55, sizes))
    np.testing.assert_allclose(functional.encode(functional.decode(tokens)), tokens, atol=1e-3)


def test_a_unit_that_is_cut_off_gives_finite_tokens() -> None:
    functional, (first, last) = fitted(FULL, DEPTHS[0]), model(56, DEPTHS[0])
    cut = ({"w": first["w"].at[0].set(0.0), "b": first["b"].at[0].set(0.0)}, last)
    tokens = functional.encode(cut)
    assert np.isfinite(tokens).all()
    assert_same_function(functional.decode(tokens), cut, tolerance=1e-3)


def test_functional_augmentation_leaves_tokens_alone() -> None:
    functional = fitted(FULL, DEPTHS[0])
    tokens = functional.encode(model(57, DEPTHS[0]))
    np.testing.assert_array_equal(functional.codec.augment(jax.random.key(0), tokens), tokens)


# Raw codec.


@pytest.mark.parametrize("sizes", DEPTHS[:2])
def test_a_raw_round_trip_is_exact(sizes: tuple[int, ...]) -> None:
    raw, params = fitted(RAW, sizes), model(58, sizes)
    decoded = raw.decode(raw.encode(params))
    np.testing.assert_allclose(flatten(decoded), flatten(params), rtol=1e-6)


@pytest.mark.parametrize("chunk_size", [1, 4, 7, 1000])
def test_no_raw_token_crosses_a_tensor_or_exceeds_the_chunk_size(chunk_size: int) -> None:
    sizes = (PIXELS, 5, 3, 4)
    raw = codec.Raw(sizes, chunk_size, np.ones((1, 1), np.float32))
    tensor = np.repeat(np.arange(6), [int(np.prod(shape)) for shape in shapes(sizes)])  # [P]
    tokens = np.asarray(jax.jit(lambda vector: raw.encode(unflatten(vector, sizes)))(jnp.asarray(tensor, jnp.float32)))
    for row, exists in zip(tokens, raw.layout.mask, strict=True):
        assert 1 <= exists.sum() <= chunk_size
        assert len(set(row[exists])) == 1
    np.testing.assert_array_equal(tokens[raw.layout.mask], tensor)


@pytest.mark.parametrize("sizes", DEPTHS[:2])
def test_raw_augmentation_changes_tokens_and_not_the_function(sizes: tuple[int, ...]) -> None:
    raw, params = fitted(RAW, sizes), model(59, sizes)
    tokens = raw.encode(params)
    augmented = jax.jit(raw.codec.augment)(jax.random.key(1), tokens)
    assert not np.allclose(augmented, tokens, atol=0.1)
    assert_same_function(raw.decode(augmented), params)
    np.testing.assert_array_equal(np.asarray(augmented)[~raw.layout.mask], 0.0)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_one_key_augments_a_pair_of_raw_models_alike(sizes: tuple[int, ...]) -> None:
    raw, target = fitted(RAW, sizes), model(63, sizes)
    start = tuple(
        layer | {"b": jnp.arange(layer["b"].shape[0], dtype=jnp.float32)} for layer in model(64, sizes)
    )  # a unit's bias is its number
    pair = jnp.stack([raw.encode(start), raw.encode(target)])
    augmented = jax.jit(jax.vmap(raw.codec.augment, in_axes=(None, 0)))(jax.random.key(2), pair)
    for tokens, alone in zip(pair, augmented, strict=True):
        again = jax.jit(raw.codec.augment)(jax.random.key(2), tokens)
        np.testing.assert_allclose(again, alone, rtol=1e-6)
    new_start, new_target = (raw.decode(tokens) for tokens in augmented)
    orders = [np.rint(layer["b"]).astype(np.int32) for layer in new_start[:-1]]
    assert any(np.any(np.diff(order) < 0) for order in orders)
    change, new_change = (jax.tree.map(jnp.subtract, *ends) for ends in ((target, start), (new_target, new_start)))
    np.testing.assert_allclose(flatten(new_change), flatten(reordered(change, orders)), atol=1e-5)
    assert_same_function(new_start, start)
    assert_same_function(new_target, target)


# Both.


@pytest.mark.parametrize("sizes", DEPTHS)
def test_functional_tokens_of_the_zoo_have_unit_mean_square_per_kind_and_no_mean(sizes: tuple[int, ...]) -> None:
    functional = fitted(FULL, sizes)
    tokens, mask = np.asarray(jax.vmap(functional.encode)(zoo(sizes))), functional.layout.mask
    for kind in set(functional.layout.kinds):
        of_kind = np.array(functional.layout.kinds) == kind
        assert np.mean(tokens[:, of_kind][:, mask[of_kind]] ** 2) == pytest.approx(1.0, rel=1e-4)
        np.testing.assert_allclose(tokens[:, of_kind].mean((0, 1)), 0.0, atol=1e-4)


def test_raw_tokens_of_the_zoo_have_unit_mean_square_per_tensor() -> None:
    sizes = DEPTHS[0]
    raw = fitted(RAW, sizes)
    tokens = np.asarray(jax.vmap(raw.encode)(zoo(sizes)))[:, raw.layout.mask]  # [R, P]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes(sizes)])
    for tensor in np.split(tokens, ends[:-1], axis=1):
        assert np.mean(tensor**2) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("config", [FULL, CodecConfig(basis_size=3), RAW])
def test_padding_stays_zero(config: CodecConfig) -> None:
    made = fitted(config, DEPTHS[1])
    tokens = np.asarray(made.encode(model(60, DEPTHS[1])))
    assert tokens.shape == made.layout.mask.shape
    assert not made.layout.mask.all()
    np.testing.assert_array_equal(tokens[~made.layout.mask], 0.0)


@pytest.mark.parametrize("config", [FULL, RAW])
def test_what_lies_in_the_padding_decodes_to_nothing(config: CodecConfig) -> None:
    made = fitted(config, DEPTHS[1])
    tokens = made.encode(model(61, DEPTHS[1]))
    noisy = jnp.where(made.layout.mask, tokens, 9.0)
    np.testing.assert_array_equal(flatten(made.decode(noisy)), flatten(made.decode(tokens)))


@pytest.mark.parametrize("config", [FULL, RAW])
def test_a_loaded_codec_gives_the_same_tokens_and_models(config: CodecConfig, tmp_path: Path) -> None:
    saved, params = fitted(config, DEPTHS[1]), model(62, DEPTHS[1])
    codec.save(saved.codec, tmp_path)
    loaded = codec.load(tmp_path)
    assert type(loaded) is type(saved.codec)
    assert loaded.layout.kinds == saved.layout.kinds
    assert loaded.layout.positions == saved.layout.positions
    np.testing.assert_array_equal(loaded.layout.mask, saved.layout.mask)
    tokens = saved.encode(params)
    np.testing.assert_array_equal(jax.jit(loaded.encode)(params), tokens)
    np.testing.assert_array_equal(flatten(jax.jit(loaded.decode)(tokens)), flatten(saved.decode(tokens)))


# The complete codec: what does not change a prediction comes back too.

DARK = np.where(np.arange(PIXELS) == 2, 0.0, IMAGES).astype(np.float32)
"""Images whose third pixel is always 0, and whose second is seen in class 1 alone."""
DARK[LABELS != 1, 1] = 0.0


@cache
def complete(sizes: tuple[int, ...]) -> codec.Functional:
    made = codec.fit(CodecConfig(kind="complete", basis_size=PIXELS + 1), sizes, zoo(sizes), DARK, LABELS)
    assert isinstance(made, codec.Functional)
    return made


def test_a_complete_codec_gives_every_weight_back_but_those_of_still_pixels() -> None:
    sizes = DEPTHS[0]
    coder, params = complete(sizes), model(5, sizes)
    back = coder.decode(coder.encode(params))
    lit = np.arange(PIXELS) != 2
    np.testing.assert_allclose(back[0]["w"][:, lit], params[0]["w"][:, lit], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(back[0]["w"][:, ~lit], 0.0)
    for ours, theirs in (
        (back[0]["b"], params[0]["b"]),
        (back[1]["w"], params[1]["w"]),
        (back[1]["b"], params[1]["b"]),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_tokens_of_a_complete_codec_tell_rescaled_models_apart_and_decode_to_the_same_function(
    sizes: tuple[int, ...],
) -> None:
    coder, params = complete(sizes), model(6, sizes)
    tokens, others = coder.encode(params), coder.encode(rescaled(params))
    assert np.abs(tokens - others).max() > 0.1
    images = jnp.asarray(DARK)
    for each in (tokens, others):
        logits = classifier.logits(coder.decode(each), images)
        np.testing.assert_allclose(logits, classifier.logits(params, images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("exposed", "still"), [((1, 1, 1, 1), [2]), ((1, 0, 1, 1), [1, 2]), ((0, 1, 0, 0), [2])])
def test_still_pixels_get_the_weights_of_an_initialisation(exposed: tuple[int, ...], still: list[int]) -> None:
    """Of many fills: uniform within He's bound at pixels that no class seen has lit, and nothing else moves."""
    sizes = DEPTHS[0]
    coder, params = complete(sizes), model(7, sizes)
    keys = jax.random.split(jax.random.key(0), 2000)
    seen = jnp.array(exposed, bool)
    filled = np.asarray(jax.vmap(lambda key: coder.fill(key, params, seen)[0]["w"])(keys))
    moves = np.flatnonzero(np.ptp(filled, axis=0).max(0) > 0)
    assert moves.tolist() == still
    bound = (6 / PIXELS) ** 0.5
    drawn = filled[:, :, still]
    assert np.abs(drawn).max() <= bound
    assert drawn.std() == pytest.approx(bound / 3**0.5, rel=0.03)
    others = np.setdiff1d(np.arange(PIXELS), still)
    np.testing.assert_array_equal(filled[0][:, others], np.asarray(params[0]["w"])[:, others])


def test_units_of_earlier_layers_come_back_in_random_order() -> None:
    sizes = DEPTHS[1]
    coder, params = complete(sizes), model(8, sizes)
    keys = jax.random.split(jax.random.key(1), 200)
    images = jnp.asarray(DARK)
    filled = jax.vmap(lambda key: coder.fill(key, params, jnp.ones(4, bool)))(keys)
    orders = np.argsort(np.asarray(filled[0]["b"]), axis=1)
    assert len({tuple(order) for order in orders.tolist()}) > 50
    logits = np.asarray(jax.vmap(classifier.logits, in_axes=(0, None))(filled, images))
    np.testing.assert_allclose(logits, np.broadcast_to(classifier.logits(params, images), logits.shape), atol=1e-4)
