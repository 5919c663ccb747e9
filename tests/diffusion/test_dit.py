"""The transformer: its start is zero or what it updates, padding stays zero, tokens of one place are a set, the condition matters."""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig
from hyperforget_jax.diffusion import conditioning, dit
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.weights.layout import TokenLayout

pytestmark = pytest.mark.usefixtures("programs")
CONFIG = HypernetworkConfig(hidden_size=8, depth=2, num_heads=2, mlp_ratio=3, frequencies=3, max_frequency=2.0)
LENGTHS = (6, 6, 6, 4)
LAYOUT = TokenLayout(
    mask=np.arange(6)[None] < np.array(LENGTHS)[:, None],  # three hidden units, then the output bias
    kinds=(0, 0, 0, 1),
    positions=(0, 0, 0, 1),
)
NUM_CLASSES = 3
DIFFUSION = DiffusionConfig()
Inputs = tuple[jax.Array, jax.Array, Condition]
KINDS = [(kind, means) for kind in ("dihyfo1", "dihyfo2") for means in ("adaln", "tokens")]


@pytest.fixture(scope="module", params=KINDS, ids=" ".join)
def config(request: pytest.FixtureRequest) -> HypernetworkConfig:
    kind, means = request.param
    return replace(CONFIG, kind=kind, conditioning=means)


@pytest.fixture(scope="module")
def transformer(config: HypernetworkConfig) -> dit.Transformer:
    return jitted(config)


def jitted(config: HypernetworkConfig, diffusion: DiffusionConfig = DIFFUSION, layout: TokenLayout = LAYOUT) -> Any:
    """The transformer, compiled."""
    return dit.Transformer(*map(jax.jit, dit.make(config, diffusion, layout, NUM_CLASSES, NUM_CLASSES)))


@pytest.fixture(scope="module")
def start(transformer: dit.Transformer) -> Any:
    """Parameters at initialisation."""
    return transformer.init(jax.random.key(0))


@pytest.fixture(scope="module")
def params(start: Any) -> Any:
    """Parameters of which none is zero."""
    leaves, tree = jax.tree.flatten(start)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noise = [0.3 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.map(jnp.add, start, jax.tree.unflatten(tree, noise))


@pytest.fixture(scope="module")
def inputs(config: HypernetworkConfig) -> Inputs:
    """Five noisy models, at five timesteps, under five conditions."""
    noise, start = jnp.where(
        LAYOUT.mask[None, None], jax.random.normal(jax.random.key(2), (2, 5, *LAYOUT.mask.shape)), 0.0
    )
    target, current = jax.random.normal(jax.random.key(3), (2, 5, NUM_CLASSES))
    condition = Condition(target, jnp.ones_like(target))
    if config.kind == "dihyfo1":
        condition = condition._replace(current=current, start=start)
    return noise, jnp.array([0, 1, 10, 500, 999]), condition


def reordered(inputs: Inputs, order: list[int]) -> Inputs:
    """The inputs with their tokens in another order."""
    noisy, timesteps, condition = inputs
    if condition.start is not None:
        condition = condition._replace(start=condition.start[:, jnp.array(order)])
    return noisy[:, jnp.array(order)], timesteps, condition


@pytest.mark.parametrize("prediction", ["x0", "epsilon", "v"])
def test_at_initialisation_dihyfo1_returns_its_start_as_x0_and_others_return_zero(
    config: HypernetworkConfig, start: Any, inputs: Inputs, prediction: Any
) -> None:
    transformer = jitted(config, DiffusionConfig(prediction=prediction))
    output = transformer.apply(start, *inputs)
    assert output.dtype == jnp.float32
    begin = inputs[2].start
    expected = begin if begin is not None and prediction == "x0" else jnp.zeros_like(inputs[0])
    np.testing.assert_array_equal(output, expected)


def test_the_output_can_leave_zero(transformer: dit.Transformer, start: Any, inputs: Inputs) -> None:
    """At initialisation the gradient of the output projection is not zero, so training starts."""
    gradient = jax.jit(jax.grad(lambda p: jnp.square(transformer.apply(p, *inputs) - 1.0).sum()))(start)
    assert np.abs(gradient["project_out"]).max() > 1e-3


def test_padding_is_exactly_zero_and_nothing_else_is(transformer: dit.Transformer, params: Any, inputs: Inputs) -> None:
    output = np.asarray(transformer.apply(params, *inputs))
    assert (output[:, ~LAYOUT.mask] == 0).all()
    assert (output[:, LAYOUT.mask] != 0).all()


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [2, 0, 1, 3]])
def test_tokens_of_one_kind_and_place_are_a_set(
    transformer: dit.Transformer, params: Any, inputs: Inputs, order: list[int]
) -> None:
    permuted = transformer.apply(params, *reordered(inputs, order))
    expected = transformer.apply(params, *inputs)[:, jnp.array(order)]
    np.testing.assert_allclose(permuted, expected, rtol=1e-4, atol=1e-5)


def test_tokens_of_different_places_are_not(config: HypernetworkConfig, params: Any, inputs: Inputs) -> None:
    ranked = TokenLayout(mask=LAYOUT.mask, kinds=LAYOUT.kinds, positions=(0, 1, 1, 1))
    transformer = jitted(config, layout=ranked)  # as many positions, so the same parameters fit
    swapped = transformer.apply(params, *reordered(inputs, [1, 0, 2, 3]))
    expected = transformer.apply(params, *inputs)[:, jnp.array([1, 0, 2, 3])]
    assert np.abs(swapped - expected).max() > 0.01


def test_all_of_the_condition_and_the_timestep_matter(
    transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    noisy, timesteps, condition = inputs
    changes = [condition._replace(target=condition.target.at[:, k].add(0.5)) for k in range(NUM_CLASSES)]
    changes += [condition._replace(asked=condition.asked.at[:, k].set(0.0)) for k in range(NUM_CLASSES)]
    if condition.current is not None and condition.start is not None:
        changes += [condition._replace(current=condition.current.at[:, k].add(0.5)) for k in range(NUM_CLASSES)]
    output = transformer.apply(params, *inputs)
    for changed in ((noisy, timesteps + 100, condition), *((noisy, timesteps, each) for each in changes)):
        assert np.abs(transformer.apply(params, *changed) - output).max() > 0.01
    if condition.start is not None:  # it is seen by all tokens, not only added to its own
        changed_start = condition._replace(start=condition.start.at[:, 0].multiply(2.0))
        other = transformer.apply(params, noisy, timesteps, changed_start)
        assert np.abs(other - output)[:, 1:].max() > 0.01


def test_a_class_that_is_not_asked_for_may_have_any_loss(
    transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    noisy, timesteps, condition = inputs
    free = condition._replace(asked=condition.asked.at[:, 1].set(0.0))
    other = free._replace(target=free.target.at[:, 1].set(9.0))
    outputs = [transformer.apply(params, noisy, timesteps, each) for each in (free, other)]
    np.testing.assert_array_equal(*outputs)
    fitted = conditioning.fit(np.array([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]], np.float32), 1e-3)
    asked = conditioning.ask(fitted, jnp.full((5, NUM_CLASSES), 0.5).at[:, 1].set(jnp.nan))
    prompted = condition._replace(target=asked.target, asked=asked.asked)
    assert np.isfinite(transformer.apply(params, noisy, timesteps, prompted)).all()


def test_bfloat16_stays_near_float32_and_keeps_parameters_and_output_in_it(
    config: HypernetworkConfig, transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    half = jitted(replace(config, dtype="bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(half.init(jax.random.key(0)))} == {jnp.dtype("float32")}
    output, expected = half.apply(params, *inputs), transformer.apply(params, *inputs)
    assert output.dtype == jnp.float32
    assert 0.0 < jnp.square(output - expected).mean() < 0.05**2 * jnp.square(expected).mean()


def test_activations_computed_again_give_the_same_gradient(
    config: HypernetworkConfig, params: Any, inputs: Inputs
) -> None:
    def gradient(config: HypernetworkConfig) -> Any:
        apply = dit.make(config, DIFFUSION, LAYOUT, NUM_CLASSES, NUM_CLASSES).apply
        return jax.jit(jax.grad(lambda p: jnp.square(apply(p, *inputs)).mean()))(params)

    ours, theirs = gradient(replace(config, remat=True)), gradient(config)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, theirs)


def test_a_model_does_not_depend_on_its_batch(transformer: dit.Transformer, params: Any, inputs: Inputs) -> None:
    together = transformer.apply(params, *inputs)
    alone = transformer.apply(params, *jax.tree.map(lambda part: part[2:3], inputs))
    np.testing.assert_allclose(alone[0], together[2], rtol=1e-4, atol=1e-5)


def test_jitted_equals_unjitted(
    config: HypernetworkConfig, transformer: dit.Transformer, params: Any, inputs: Inputs
) -> None:
    plain = dit.make(config, DIFFUSION, LAYOUT, NUM_CLASSES, NUM_CLASSES)
    np.testing.assert_allclose(transformer.apply(params, *inputs), plain.apply(params, *inputs), rtol=1e-4, atol=1e-5)


def test_the_number_of_parameters_is_the_sum_by_hand(config: HypernetworkConfig, params: Any) -> None:
    c, w, kinds, places, features = 8, 6, 2, 2, 2 * 3 + 2
    told = NUM_CLASSES if config.kind == "dihyfo2" else 3 * NUM_CLASSES
    modulated = config.conditioning == "adaln"
    tokens_in, tokens_out = kinds * (w * c + c) + places * c, kinds * (c * w + w)
    time = (256 * c + c) + (c * c + c)
    losses = ((told if modulated else 1) * features * c + c) + (c * c + c) + (0 if modulated else told * c)
    modulation = c * c + c if modulated else c
    attention = (c * 3 * c + 3 * c) + (c * c + c)
    mlp = (c * 3 * c + 3 * c) + (3 * c * c + c)
    block = 6 * modulation + attention + mlp
    expected = tokens_in * (2 if config.kind == "dihyfo1" else 1) + tokens_out + time + losses
    expected += 2 * block + 2 * modulation
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected


def test_timestep_features_are_cosines_and_sines() -> None:
    features = np.asarray(dit.timestep_features(jnp.array([0, 7])))
    np.testing.assert_allclose(features[0], [1.0] * 128 + [0.0] * 128)
    angles = [7 * 10_000 ** (-i / 128) for i in range(128)]
    expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
    np.testing.assert_allclose(features[1], expected, rtol=1e-4, atol=1e-5)
