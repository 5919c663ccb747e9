"""A trained hypernetwork as one function: keys and class losses in, classifiers out."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp

from hyperforget_jax.classifier import Params as Models
from hyperforget_jax.config import DiffusionConfig, SamplingConfig
from hyperforget_jax.diffusion import conditioning, samplers, schedule
from hyperforget_jax.diffusion.conditioning import Condition, Conditioning
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.diffusion.guard import Guard, hold
from hyperforget_jax.diffusion.samplers import Denoiser
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.codec import Codec

FEW = (1, 16, 64)
"""Batches smaller than the setting's for which there is a program: one model, a few, an answer."""
EMBEDS_A_START = "project_start"
"""The parameter of a transformer that only DiHyFo-1 has."""


class Student(NamedTuple):
    """Parameters of the same transformer that were trained on to need few denoising steps, and how many."""

    params: Params
    steps: int


@dataclass(frozen=True)
class Hypernetwork:
    """DiHyFo-1, p(theta* | theta, L*, L), or DiHyFo-2, p(theta* | L*) (section 3, Figure 1).

    Attributes:
      params: the transformer's averaged parameters.
      transformer: how to apply them.
      codec: tokens to weights.
      condition: class losses to conditions.
      diffusion: the process it was trained with.
      student: what samples in few steps in its place; None: there is none.
      guard: bounds of what can be asked, which every prompt is held to; None: anything can be.
    """

    params: Params
    transformer: Transformer
    codec: Codec
    condition: Conditioning
    diffusion: DiffusionConfig
    student: Student | None = None
    guard: Guard | None = None


class Start(NamedTuple):
    """Models that DiHyFo-1 starts from: N stacked models and their class losses [N, K] in nats."""

    models: Models
    losses: jax.Array


class Generator(Protocol):
    """N models for N keys and prompts."""

    def __call__(
        self, keys: jax.Array, prompts: jax.Array, on_models: Callable[[int], None], start: Start | None = None
    ) -> Models:
        """Generates, or updates.

        Args:
          keys: [N].
          prompts: [N, c], the first c of what can be asked for: class losses in nats, exposures of the classes, and the age (see
            `conditioning`); NaN, or a column beyond, is one of which any value will do.
          on_models: called with the number of models just made.
          start: what to update; None for DiHyFo-2.

        Returns:
          N stacked models.

        Raises:
          HyperForgetError: DiHyFo-1 without a start.
        """
        ...


def generator(hypernetwork: Hypernetwork, config: SamplingConfig) -> Generator:
    """The function that samples a hypernetwork; build it once, since it holds the compiled program.

    Args:
      hypernetwork: what generates; if it has a student, that does, in its own few steps.
      config: sampler, steps, guidance and batch.
    """
    student = hypernetwork.student
    if student is None:
        return partial(generator_of_params(hypernetwork, config), hypernetwork.params)
    return partial(generator_of_params(hypernetwork, samplers.few_steps(student.steps, config)), student.params)


def generator_of_params(hypernetwork: Hypernetwork, config: SamplingConfig) -> Callable[..., Models]:
    """The same for parameters yet to come, its first argument: one compiled program serves a whole training.

    One program of `batch_size` models serves any N, and smaller ones, compiled when they are first needed, serve what is left of fewer.
    This process's devices share a batch. A model depends on its own key, losses and start.

    Args:
      hypernetwork: what generates; its own parameters do not matter.
      config: sampler, steps, guidance and batch.
    """
    process = schedule.make(hypernetwork.diffusion)
    codec = hypernetwork.codec

    def one_batch(params: Params, keys: jax.Array, prompts: jax.Array, start: Start | None) -> Models:
        prompts = hold(hypernetwork.guard, prompts)
        denoise = denoiser(hypernetwork, params, condition_of(hypernetwork, prompts, start), config.guidance_scale)
        tokens = samplers.sample(denoise, process, hypernetwork.diffusion, config, codec.layout, keys)
        fill_keys = jax.vmap(lambda key: jax.random.fold_in(key, config.steps + 1))(keys)
        return jax.vmap(codec.fill)(fill_keys, jax.vmap(codec.decode)(tokens), exposed(hypernetwork, prompts))

    @functools.cache
    def program(size: int) -> Callable[..., Models]:
        devices = sharding.make_local(size)
        split, whole = sharding.batched(devices), sharding.replicated(devices)
        return jax.jit(one_batch, in_shardings=(whole, split, split, split), out_shardings=whole)

    def generate(
        params: Params,
        keys: jax.Array,
        prompts: jax.Array,
        on_models: Callable[[int], None],
        start: Start | None = None,
    ) -> Models:
        if start is None and EMBEDS_A_START in params:
            raise HyperForgetError(
                "DiHyFo-1 was asked for models without any to start from: give it a start, models and their losses"
            )
        num_columns = hypernetwork.condition.mean.size
        chex.assert_shape(prompts, (len(keys), None))
        chex.assert_axis_dimension_lteq(prompts, 1, num_columns)
        count, parts = len(keys), []
        if lacking := num_columns - prompts.shape[1]:
            left_open = jnp.full((count, lacking), jnp.nan, jnp.float32)
            prompts = jnp.concatenate([jnp.asarray(prompts), left_open], axis=1)  # [N, C]
        if (
            count in (*FEW, config.batch_size) and count <= config.batch_size
        ):  # as it is: a copy takes as long as one model
            models = program(count)(params, keys, prompts, start)
            on_models(count)
            return models
        for first in range(0, count, config.batch_size):
            made = min(config.batch_size, count - first)
            size = next((few for few in FEW if made <= few < config.batch_size), config.batch_size)
            rows = jnp.clip(jnp.arange(first, first + size), 0, count - 1)
            begin = jax.tree.map(lambda leaf, rows=rows: leaf[rows], start)
            parts.append(program(size)(params, keys[rows], prompts[rows], begin))
            on_models(made)
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *parts)

    return generate


def condition_of(hypernetwork: Hypernetwork, prompts: jax.Array, start: Start | None) -> Condition:
    """The condition of models with prompts [N, C], and with a start to update or None."""
    condition = conditioning.ask(hypernetwork.condition, prompts)
    if start is None:
        return condition
    return condition._replace(
        current=conditioning.standardise(hypernetwork.condition, start.losses),
        start=jax.vmap(hypernetwork.codec.encode)(start.models),
    )


def denoiser(hypernetwork: Hypernetwork, params: Params, condition: Condition, guidance_scale: float) -> Denoiser:
    """The transformer with these parameters under N models' conditions, led away from what it does without any by a scale above 1."""
    nothing = jnp.full_like(condition.target, jnp.nan)
    held = conditioning.ask(hypernetwork.condition, hold(hypernetwork.guard, nothing))  # what a guard asks even then
    free = condition._replace(target=held.target, asked=held.asked)

    def denoise(noisy: jax.Array, timesteps: jax.Array) -> jax.Array:
        asked = hypernetwork.transformer.apply(params, noisy, timesteps, condition)
        if guidance_scale == 1.0:
            return asked
        unasked = hypernetwork.transformer.apply(params, noisy, timesteps, free)
        return unasked + guidance_scale * (asked - unasked)

    return denoise


def exposed(hypernetwork: Hypernetwork, prompts: jax.Array) -> jax.Array:
    """The classes [N, K] that models with these prompts [N, C] are to have used: all but those of which an exposure of 0 is asked."""
    num_classes = hypernetwork.codec.sizes[-1]
    first = prompts.shape[1] - num_classes - 1
    if first < 1:  # losses alone
        return jnp.ones((len(prompts), num_classes), bool)
    return prompts[:, first:-1] != 0
