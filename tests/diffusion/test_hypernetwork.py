"""A trained hypernetwork: batches do not matter, guidance is its formula, and what is saved generates the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params as Models
from hyperforget_jax.config import CodecConfig, DiffusionConfig, HypernetworkConfig, SamplingConfig
from hyperforget_jax.diffusion import conditioning, dit, samplers, serialization
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.hypernetwork import Generator, Hypernetwork, Start, generator
from hyperforget_jax.weights import codec

pytestmark = pytest.mark.usefixtures("programs")
SIZES = (5, 3, 4)
CONFIG = HypernetworkConfig(hidden_size=8, depth=1, num_heads=2, mlp_ratio=1, frequencies=2)
DIFFUSION = DiffusionConfig(timesteps=20)
SAMPLING = SamplingConfig(steps=3, batch_size=8)
RANDOM = np.random.default_rng(0)
LOSSES = np.exp(RANDOM.normal(-1.0, 2.0, size=(200, 4))).astype(np.float32)
"""Heavy-tailed, as those of a zoo."""
Generate = Callable[[jax.Array, jax.Array], Models]


@pytest.fixture(scope="module", params=["complete", "functional", "raw"])
def hypernetwork(request: pytest.FixtureRequest) -> Hypernetwork:
    """One with random parameters, none of them zero."""
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(0), 30))
    images = RANDOM.random((40, 5)).astype(np.float32)
    setting = CodecConfig(kind=request.param, basis_size=6, chunk_size=7)
    coder = codec.fit(setting, SIZES, models, images, np.arange(40, dtype=np.int32) % 4)
    transformer = dit.make(CONFIG, DIFFUSION, coder.layout, SIZES[-1], SIZES[-1])
    shapes = jax.eval_shape(transformer.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.asarray(RANDOM.normal(0, 0.3, x.shape), jnp.float32), shapes)
    condition = conditioning.fit(LOSSES, 1e-3)
    return Hypernetwork(params, transformer, coder, condition, DIFFUSION)


def uncounted(generate: Generator) -> Generate:
    """The generator for those who do not watch its progress."""
    return lambda draws, losses: generate(draws, losses, lambda made: None)


@pytest.fixture(scope="module")
def generate(hypernetwork: Hypernetwork) -> Generate:
    """Its models in batches of eight; compiled once."""
    return uncounted(generator(hypernetwork, SAMPLING))


def some(generate: Generate, count: int, first: int = 0) -> Models:
    """Models first..count-1 of a fixed stream of keys and prompts."""
    return generate(jax.random.split(jax.random.key(1), 40)[first:count], jnp.asarray(LOSSES[first:count]))


def assert_close(ours: Any, theirs: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def test_a_saved_hypernetwork_generates_identical_models(
    hypernetwork: Hypernetwork, generate: Generate, tmp_path: Path
) -> None:
    serialization.save(hypernetwork, tmp_path)
    loaded = serialization.load(tmp_path, CONFIG, hypernetwork.diffusion)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, hypernetwork.params)
    again = uncounted(generator(loaded, SAMPLING))
    jax.tree.map(np.testing.assert_array_equal, some(again, 8), some(generate, 8))


def test_batches_do_not_matter(hypernetwork: Hypernetwork, generate: Generate) -> None:
    """Eleven models as 8 + 3 on eight devices, and as 11 in one batch of 13 on one."""
    together = uncounted(generator(hypernetwork, SamplingConfig(steps=3, batch_size=13)))
    found = some(together, 11)
    assert jax.tree.leaves(found)[0].shape[0] == 11
    assert_close(found, some(generate, 11))


def test_a_model_depends_on_its_own_key_and_prompt_alone(generate: Generate) -> None:
    assert_close(some(generate, 11, first=9), jax.tree.map(lambda x: x[9:], some(generate, 11)))


def test_key_and_prompt_both_matter(generate: Generate) -> None:
    prompt, other = jnp.asarray(LOSSES[:1]), jnp.asarray(LOSSES[1:2])
    same, again, prompted, drawn = (
        generate(jax.random.key(seed)[None], losses)[0]["w"]
        for seed, losses in ((0, prompt), (0, prompt), (0, other), (1, prompt))
    )
    assert np.array_equal(same, again)
    assert np.abs(same - prompted).max() > 1e-3
    assert np.abs(same - drawn).max() > 1e-3


def test_one_program_serves_any_number_of_models(hypernetwork: Hypernetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    chex.clear_trace_counter()
    monkeypatch.setattr(samplers, "sample", chex.assert_max_traces(samplers.sample, n=1))
    generate = uncounted(generator(hypernetwork, SAMPLING))
    for count in (3, 8, 11):
        some(generate, count)


def test_prompts_of_other_classes_are_refused(generate: Generate) -> None:
    with pytest.raises(AssertionError, match="dimension"):
        generate(jax.random.split(jax.random.key(3), 2), jnp.ones((2, SIZES[-1] + 1)))


def test_models_have_the_classifiers_shape_and_are_counted(hypernetwork: Hypernetwork) -> None:
    made: list[int] = []
    draws = jax.random.split(jax.random.key(2), 19)
    models = generator(hypernetwork, SAMPLING)(draws, jnp.asarray(LOSSES[:19]), made.append)
    assert made == [8, 8, 3]
    shapes = [(layer["w"].shape, layer["b"].shape) for layer in models]
    assert shapes == [((19, 3, 5), (19, 3)), ((19, 4, 3), (19, 4))]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(models))


@pytest.mark.parametrize("guidance", [0.0, 1.0, 2.5])
def test_guidance_leads_from_the_unconditional_estimate_by_its_scale(
    hypernetwork: Hypernetwork, guidance: float
) -> None:
    """One step of DDIM ends at the estimate of x_0, here 0.3 in every coordinate plus the sum of what is asked."""
    coder = hypernetwork.codec
    mask = coder.layout.mask

    def apply(_params: Any, _noisy: jax.Array, _timesteps: jax.Array, condition: Condition) -> jax.Array:
        value = 0.3 + (condition.target * condition.asked).sum(1)  # [N]
        return jnp.where(mask[None], value[:, None, None], 0.0)

    stub = replace(hypernetwork, transformer=dit.Transformer(lambda key: {}, apply), params={})
    config = replace(SAMPLING, steps=1, guidance_scale=guidance)
    prompts = jnp.asarray(LOSSES[:5]).at[:, 1].set(jnp.nan)
    found = uncounted(generator(stub, config))(jax.random.split(jax.random.key(3), 5), prompts)
    asked = jnp.array([0, 2, 3])
    standard = conditioning.standardise(hypernetwork.condition, jnp.asarray(LOSSES[:5]))[:, asked]
    values = 0.3 + guidance * standard.sum(1)  # [N]
    tokens = jnp.where(mask[None], values[:, None, None], 0.0)
    assert_close(found, jax.vmap(coder.decode)(tokens))


def test_dihyfo1_before_training_returns_the_models_it_starts_from(hypernetwork: Hypernetwork) -> None:
    """As its codec keeps them, eleven in batches of eight, each for itself."""
    coder, config = hypernetwork.codec, replace(CONFIG, kind="dihyfo1")
    transformer = dit.make(config, DIFFUSION, coder.layout, SIZES[-1], SIZES[-1])
    params = jax.jit(transformer.init)(jax.random.key(0))
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(4), 11))
    update = generator(replace(hypernetwork, transformer=transformer, params=params), SAMPLING)
    draws, prompts = jax.random.split(jax.random.key(5), 11), jnp.asarray(LOSSES[:11])
    found = update(draws, prompts, lambda made: None, Start(models, prompts))
    assert_close(found, jax.vmap(lambda model: coder.decode(coder.encode(model)))(models))
