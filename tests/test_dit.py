"""The transformer: its start is zero, padding stays zero, tokens of one place are a set, the condition matters."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import HypernetworkConfig
from hyperforget_jax.diffusion import dit
from hyperforget_jax.weights.layout import TokenLayout

CONFIG = HypernetworkConfig(width=8, depth=2, heads=2, mlp_ratio=3, frequencies=3, max_frequency=2.0)
LENGTHS = (6, 6, 6, 4)
LAYOUT = TokenLayout(
    mask=np.arange(6)[None] < np.array(LENGTHS)[:, None],  # three hidden units, then the output bias
    kinds=(0, 0, 0, 1),
    positions=(0, 0, 0, 1),
)
NUM_CLASSES = 3
Inputs = tuple[jax.Array, jax.Array, jax.Array]


@pytest.fixture(scope="module")
def transformer() -> dit.Transformer:
    return dit.make(CONFIG, LAYOUT, NUM_CLASSES)


@pytest.fixture(scope="module")
def start(transformer: dit.Transformer) -> Any:
    """Parameters at initialisation."""
    return jax.jit(transformer.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def params(start: Any) -> Any:
    """Parameters of which none is zero."""
    leaves, tree = jax.tree.flatten(start)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = [0.3 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.map(jnp.add, start, jax.tree.unflatten(tree, noise))


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Five noisy networks, at five timesteps, under five conditions."""
    noise_key, condition_key = jax.random.split(jax.random.key(2))
    noisy = jnp.where(LAYOUT.mask[None], jax.random.normal(noise_key, (5, *LAYOUT.mask.shape)), 0.0)
    conditions = jax.random.normal(condition_key, (5, NUM_CLASSES))
    return noisy, jnp.array([0, 1, 10, 500, 999]), conditions


def test_output_is_zero_at_initialisation(transformer: dit.Transformer, start: Any, inputs: Inputs) -> None:
    output = transformer.apply(start, *inputs)
    assert output.shape == inputs[0].shape
    assert output.dtype == jnp.float32
    assert (output == 0).all()


def test_the_output_can_leave_zero(transformer: dit.Transformer, start: Any, inputs: Inputs) -> None:
    """At initialisation the gradient of the output projection is not zero, so training starts."""
    gradient = jax.jit(jax.grad(lambda p: jnp.square(transformer.apply(p, *inputs) - 1.0).sum()))(start)
    assert np.abs(gradient["project_out"]).max() > 1e-3


def test_padding_is_exactly_zero_and_nothing_else_is(
    transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    output = np.asarray(transformer.apply(params, *inputs))
    assert (output[:, ~LAYOUT.mask] == 0).all()
    assert (output[:, LAYOUT.mask] != 0).all()


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [2, 0, 1, 3]])
def test_tokens_of_one_kind_and_place_are_a_set(
    transformer: dit.Transformer, params: Any, inputs: Inputs, order: list[int]
) -> None:
    noisy, *about = inputs
    permuted = transformer.apply(params, noisy[:, jnp.array(order)], *about)
    expected = transformer.apply(params, noisy, *about)[:, jnp.array(order)]
    np.testing.assert_allclose(permuted, expected, rtol=1e-4, atol=1e-5)


def test_tokens_of_different_places_are_not(params: Any, inputs: Inputs) -> None:
    ranked = TokenLayout(mask=LAYOUT.mask, kinds=LAYOUT.kinds, positions=(0, 1, 1, 1))
    transformer = dit.make(CONFIG, ranked, NUM_CLASSES)  # as many positions, so the same parameters fit
    noisy, *about = inputs
    swapped = transformer.apply(params, noisy[:, jnp.array([1, 0, 2, 3])], *about)
    expected = transformer.apply(params, noisy, *about)[:, jnp.array([1, 0, 2, 3])]
    assert np.abs(swapped - expected).max() > 0.01


def test_every_class_loss_and_the_timestep_matter(
    transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    noisy, timesteps, conditions = inputs
    output = transformer.apply(params, *inputs)
    for changed in (
        (noisy, timesteps + 100, conditions),
        *((noisy, timesteps, conditions.at[:, k].add(0.5)) for k in range(NUM_CLASSES)),
    ):
        assert np.abs(transformer.apply(params, *changed) - output).max() > 0.01


def test_a_network_does_not_depend_on_its_batch(
    transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    together = transformer.apply(params, *inputs)
    alone = transformer.apply(params, *(part[2:3] for part in inputs))
    np.testing.assert_allclose(alone[0], together[2], rtol=1e-4, atol=1e-5)


def test_jitted_equals_unjitted(transformer: dit.Transformer, params: Any, inputs: Inputs) -> None:
    np.testing.assert_allclose(
        jax.jit(transformer.apply)(params, *inputs), transformer.apply(params, *inputs), rtol=1e-4, atol=1e-5
    )


def test_the_number_of_parameters_is_the_sum_by_hand(params: Any) -> None:
    c, w, kinds, places = 8, 6, 2, 2
    tokens_in_and_out = kinds * (w * c + c) + places * c + kinds * (c * w + w)
    time = (256 * c + c) + (c * c + c)
    losses = (NUM_CLASSES * (2 * 3 + 1) * c + c) + (c * c + c)
    attention = (c * 3 * c + 3 * c) + (c * c + c)
    mlp = (c * 3 * c + 3 * c) + (3 * c * c + c)
    block = (c * 6 * c + 6 * c) + attention + mlp
    expected = tokens_in_and_out + time + losses + 2 * block + (c * 2 * c + 2 * c)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected == 5028


def test_timestep_features_are_cosines_and_sines() -> None:
    features = np.asarray(dit.timestep_features(jnp.array([0, 7])))
    np.testing.assert_allclose(features[0], [1.0] * 128 + [0.0] * 128)
    angles = [7 * 10_000 ** (-i / 128) for i in range(128)]
    expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
    np.testing.assert_allclose(features[1], expected, rtol=1e-4, atol=1e-5)
