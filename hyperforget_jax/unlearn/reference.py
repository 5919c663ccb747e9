"""The reference models: retrained without the forget set by a recipe of their own, or clean runs by the zoo's."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ReferenceConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import unflatten, unflatten_many
from hyperforget_jax.zoo import build, coverage, hyperparameters, selection, train
from hyperforget_jax.zoo.recipe import Recipe

ORDERS = 4
"""Fewest minibatch orders among the clean runs of a forget set."""


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


def clean_runs(recipe: Recipe, forget: Sequence[int], count: int, on_runs: Callable[[int], None]) -> Params:
    """Trains clean runs for a forget set by the zoo's recipe, and returns the models at their end.

    They are distributed as the last checkpoints of the zoo's clean runs: the same steps, learning rates and rounding, and of the models
    at the end those that are good enough on the pivots. Blocks have minibatch orders of their own, at least ORDERS of them: models of one
    order have its noise in common.

    Args:
      recipe: the zoo's, with a key of its own, so that no hypernetwork is trained on these runs.
      forget: output positions, none of a pivot.
      count: models M.
      on_runs: called with the number of models that each block of runs has added.

    Returns:
      Models with leaves [M, …].

    Raises:
      HyperForgetError: as many runs as a block of the zoo has gave no model that is good enough on the pivots.
    """
    config = recipe.config
    code = coverage.code_of(forget, recipe.forgettable)
    size, number = min(config.runs_per_block, -(-count // ORDERS)), 0
    found = list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]()
    while (missing := count - sum(map(len, found))) > 0:
        runs = number * size + np.arange(size)
        ends = build.train_block(recipe, number, runs, recipe.plans(runs, np.array([code])), snapshots=1)
        good = np.asarray(selection.is_good(ends.accuracies[0], recipe.pivots, config))  # [R]
        tried = (number + 1) * size
        if not found and not good.any() and tried >= config.runs_per_block:
            raise HyperForgetError(
                f"none of {tried} runs is good on the pivots: lower zoo.pivot_accuracy {config.pivot_accuracy:g}, or raise zoo.epochs"
            )
        if good.any():
            found.append(np.asarray(ends.weights[0]).astype(np.float32)[good][:missing])
            on_runs(len(found[-1]))
        number += 1
    return unflatten_many(jnp.asarray(np.concatenate(found)), recipe.sizes)
