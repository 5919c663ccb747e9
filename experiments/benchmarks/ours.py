"""Our contender: a block of runs on common minibatches; whole, its steps alone, its scoring alone."""

from collections.abc import Callable

import jax

from experiments.benchmarks.task import Task
from hyperforget_jax import classifier
from hyperforget_jax.runtime import sharding
from hyperforget_jax.zoo import train

ONE_DEVICE = 1


def block(task: Task, snapshots: int) -> Callable[[], train.Snapshots]:
    """Trains and scores some snapshots of all runs, on one device: `zoo.train.train_block` as zoos are made with."""

    def piece() -> train.Snapshots:
        return train.train_block(
            *task.keys(),
            task.plans,
            task.varying,
            task.validation,
            devices=sharding.make_local(ONE_DEVICE),
            **task.shape(snapshots),
        )

    return piece


def scoring(task: Task) -> Callable[[], tuple[jax.Array, jax.Array]]:
    """Scores all runs' models once."""
    run_keys, _ = task.keys()
    models = jax.vmap(train.start, in_axes=(0, None))(run_keys, task.sizes).params

    def piece() -> tuple[jax.Array, jax.Array]:
        return classifier.class_scores_of_many(models, *task.validation)

    return piece
