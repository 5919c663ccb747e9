"""From checkpoints to what the transformer sees, inside the compiled step; written for both hypernetworks."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.config import TrainingConfig
from hyperforget_jax.diffusion import conditioning
from hyperforget_jax.diffusion.conditioning import Condition, Conditioning
from hyperforget_jax.diffusion.train_step import Batch, Prepare
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import unflatten_many


class Untrained(NamedTuple):
    """Models that no run has trained, for DiHyFo-1 to learn to start from: tokens [N, T, W] and class losses [N, K] in nats."""

    tokens: jax.Array
    losses: jax.Array


def generation(codec: Codec, statistics: Conditioning) -> Prepare:
    """DiHyFo-2: a batch has weights [B, P] and losses [B, K]; the condition is what the model itself reaches."""

    def prepare(key: jax.Array, batch: Batch) -> tuple[jax.Array, Condition]:
        weights, losses = batch.weights, batch.losses
        tokens = jax.vmap(codec.encode)(unflatten_many(weights, codec.sizes))  # [B, T, W]
        tokens = jax.vmap(codec.augment)(jax.random.split(key, len(tokens)), tokens)
        return tokens, conditioning.ask(statistics, losses)

    return prepare


def update(codec: Codec, statistics: Conditioning, untrained: Untrained, config: TrainingConfig) -> Prepare:
    """DiHyFo-1: a batch is a pair of such, theta and theta*; one permutation augments both.

    Args:
      codec: of the tokens.
      statistics: of the conditions.
      untrained: starts that no run has seen.
      config: chances that one of those takes the place of theta, so that random weights are a start too, or the theta of the example
        before, so that any trained model is one, for any target.
    """

    def prepare(key: jax.Array, batch: Batch) -> tuple[jax.Array, Condition]:
        weights, losses = batch.current.weights, batch.current.losses
        target_weights, target_losses = batch.target.weights, batch.target.losses
        origin_key, row_key, augment_key = jax.random.split(key, 3)
        count = len(losses)
        origin = jax.random.uniform(origin_key, (count,))  # [B]
        swapped = origin < config.untrained_share + config.unrelated_share  # [B]
        random = origin < config.untrained_share  # [B]
        rows = jax.random.randint(row_key, (count,), 0, len(untrained.losses))  # [B]
        models_of, tokens_of = partial(unflatten_many, sizes=codec.sizes), jax.vmap(codec.encode)
        start = tokens_of(models_of(weights))  # [B, T, W]
        for chosen, tokens, their in (
            (swapped, jnp.roll(start, 1, axis=0), jnp.roll(jnp.asarray(losses), 1, axis=0)),
            (random, untrained.tokens[rows], untrained.losses[rows]),
        ):
            start = jnp.where(chosen[:, None, None], tokens, start)  # [B, T, W]
            losses = jnp.where(chosen[:, None], their, losses)  # [B, K]
        # a target's units stand in the order of its start's, unless the start is of another run
        like = jnp.where(swapped[:, None], target_weights, weights)  # [B, P]
        targets = tokens_of(models_of(target_weights), models_of(like))  # [B, T, W]
        pairs = jnp.stack([start, targets], axis=1)  # [B, 2, T, W]
        augment = jax.vmap(codec.augment, in_axes=(None, 0))
        pairs = jax.vmap(augment)(jax.random.split(augment_key, count), pairs)  # [B, 2, T, W]
        condition = conditioning.ask(statistics, target_losses)
        return pairs[:, 1], condition._replace(current=conditioning.standardise(statistics, losses), start=pairs[:, 0])

    return prepare
