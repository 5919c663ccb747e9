"""A trained hypernetwork as one function: keys and class losses in, classifiers out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from hyperforget_jax import mesh
from hyperforget_jax.classifier import Params as Networks
from hyperforget_jax.config import DiffusionConfig, SamplingConfig
from hyperforget_jax.diffusion import conditioning, sampler, schedule
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.weights.codec import Codec


@dataclass(frozen=True)
class Hypernetwork:
    """DiHyFo-2: p(theta* | L*), the conditioned generator (section 3, Figure 1b).

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


Generator = Callable[[jax.Array, jax.Array, Callable[[int], None]], Networks]
"""(keys [N], class losses [N, K] in nats, what to call with the number of networks just made) -> N stacked networks."""


def generator(hypernetwork: Hypernetwork, config: SamplingConfig) -> Generator:
    """The function that samples a hypernetwork; build it once, since it holds the compiled program.

    One program of `batch_size` networks serves any N; the devices share its batch. A network depends on its own key and losses alone.

    Args:
      hypernetwork: what generates.
      config: sampler, steps and batch.
    """
    process = schedule.make(hypernetwork.diffusion)
    devices = mesh.make(config.batch_size)
    split, whole = mesh.batched(devices), mesh.replicated(devices)

    def one_batch(params: Params, keys: jax.Array, losses: jax.Array) -> Networks:
        tokens = sampler.sample(
            partial(hypernetwork.transformer.apply, params),
            process,
            hypernetwork.diffusion,
            config,
            hypernetwork.codec.layout,
            keys,
            conditioning.standardise(hypernetwork.condition, losses),
        )
        return jax.vmap(hypernetwork.codec.decode)(tokens)

    program = jax.jit(one_batch, in_shardings=(whole, split, split), out_shardings=whole)

    def generate(keys: jax.Array, losses: jax.Array, on_networks: Callable[[int], None]) -> Networks:
        count, parts = len(keys), []
        for first in range(0, count, config.batch_size):
            rows = jnp.clip(jnp.arange(first, first + config.batch_size), 0, count - 1)
            parts.append(program(hypernetwork.params, keys[rows], losses[rows]))
            on_networks(min(config.batch_size, count - first))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *parts)

    return generate
