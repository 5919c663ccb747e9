"""The reference: reference models: models retrained without the forget set, for every forget set in one program."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ReferenceConfig
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import unflatten
from hyperforget_jax.zoo import hyperparameters, train


def retrain(
    key: jax.Array,
    training: train.Images,
    forget_sets: Sequence[Sequence[int]],
    sizes: Sequence[int],
    config: ReferenceConfig,
) -> Params:
    """Trains M models for each of F forget sets, from scratch, on the retained images only.

    All K outputs stay, so a model could still predict a class that it never saw. Models differ by their initialisation; they
    share one order of minibatches, as the runs of a block do.

    Args:
      key: a typed key; run r draws from fold_in(key, r).
      training: training split, all classes.
      forget_sets: output positions.
      sizes: width of every layer.
      config: seeds and optimisation.

    Returns:
      Models with leaves [F, M, …].
    """
    plans = [hyperparameters.never_see(forget, config.learning_rate, sizes[-1]) for forget in forget_sets]
    stacked = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), config.seeds, axis=0), *plans)
    runs = jnp.arange(len(forget_sets) * config.seeds)
    narrow, pixels = train.varying(training)
    snapshots = train.train_block(
        jax.vmap(lambda run: jax.random.fold_in(key, run))(runs),
        jax.random.fold_in(key, len(runs)),
        stacked,
        narrow,
        train.Images(training.images[:1], training.labels[:1]),
        devices=sharding.make_local(len(runs)),
        sizes=tuple(sizes),
        pixels=pixels,
        batch_size=config.batch_size,
        snapshots=1,
        steps_per_snapshot=train.plan_steps(len(training.labels), config.batch_size, config.epochs, 1),
        dtype="float32",
    )
    weights = snapshots.weights.reshape(len(forget_sets), config.seeds, -1)  # [F, M, P]
    return jax.vmap(jax.vmap(partial(unflatten, sizes=sizes)))(weights)
