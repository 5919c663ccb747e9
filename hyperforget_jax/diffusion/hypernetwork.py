"""A trained hypernetwork as one function: keys and class losses in, classifiers out."""

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
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.codec import Codec

EMBEDS_A_START = "project_start"
"""The parameter of a transformer that only DiHyFo-1 has."""


@dataclass(frozen=True)
class Hypernetwork:
    """DiHyFo-1, p(theta* | theta, L*, L), or DiHyFo-2, p(theta* | L*) (section 3, Figure 1).

    Attributes:
      params: the transformer's averaged parameters.
      transformer: how to apply them.
      codec: tokens to weights.
      condition: class losses to conditions.
      diffusion: the process it was trained with.
    """

    params: Params
    transformer: Transformer
    codec: Codec
    condition: Conditioning
    diffusion: DiffusionConfig


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
      hypernetwork: what generates.
      config: sampler, steps, guidance and batch.
    """
    return partial(generator_of_params(hypernetwork, config), hypernetwork.params)


def generator_of_params(hypernetwork: Hypernetwork, config: SamplingConfig) -> Callable[..., Models]:
    """The same for parameters yet to come, its first argument: one compiled program serves a whole training.

    One program of `batch_size` models serves any N; this process's devices share its batch. A model depends on its own key, losses
    and start.

    Args:
      hypernetwork: what generates; its own parameters do not matter.
      config: sampler, steps, guidance and batch.
    """
    process = schedule.make(hypernetwork.diffusion)
    devices = sharding.make_local(config.batch_size)
    split, whole = sharding.batched(devices), sharding.replicated(devices)
    codec, transformer = hypernetwork.codec, hypernetwork.transformer

    def one_batch(params: Params, keys: jax.Array, prompts: jax.Array, start: Start | None) -> Models:
        condition = conditioning.ask(hypernetwork.condition, prompts)
        if start is not None:
            condition = condition._replace(
                current=conditioning.standardise(hypernetwork.condition, start.losses),
                start=jax.vmap(codec.encode)(start.models),
            )
        free = conditioning.nothing_asked(condition)

        def denoiser(noisy: jax.Array, timesteps: jax.Array) -> jax.Array:
            asked = transformer.apply(params, noisy, timesteps, condition)
            if config.guidance_scale == 1.0:
                return asked
            unasked = transformer.apply(params, noisy, timesteps, free)
            return unasked + config.guidance_scale * (asked - unasked)

        tokens = samplers.sample(denoiser, process, hypernetwork.diffusion, config, codec.layout, keys)
        fill_keys = jax.vmap(lambda key: jax.random.fold_in(key, config.steps + 1))(keys)
        return jax.vmap(codec.fill)(fill_keys, jax.vmap(codec.decode)(tokens), exposed(hypernetwork, prompts))

    program = jax.jit(one_batch, in_shardings=(whole, split, split, split), out_shardings=whole)

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
        left_open = jnp.full((count, num_columns - prompts.shape[1]), jnp.nan, jnp.float32)
        prompts = jnp.concatenate([jnp.asarray(prompts), left_open], axis=1)  # [N, C]
        for first in range(0, count, config.batch_size):
            rows = jnp.clip(jnp.arange(first, first + config.batch_size), 0, count - 1)
            begin = jax.tree.map(lambda leaf, rows=rows: leaf[rows], start)
            parts.append(program(params, keys[rows], prompts[rows], begin))
            on_models(min(config.batch_size, count - first))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *parts)

    return generate


def exposed(hypernetwork: Hypernetwork, prompts: jax.Array) -> jax.Array:
    """The classes [N, K] that models with these prompts [N, C] are to have used: all but those of which an exposure of 0 is asked."""
    num_classes = hypernetwork.codec.sizes[-1]
    first = prompts.shape[1] - num_classes - 1
    if first < 1:  # losses alone
        return jnp.ones((len(prompts), num_classes), bool)
    return prompts[:, first:-1] != 0
