"""The naive contender: the same program, vmapped over runs that each have minibatches of their own.

Each run gathers its own rows, so layer 1 is R small products instead of a large one. Everything else is equal.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from experiments.benchmarks.task import Task
from hyperforget_jax.zoo import train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from hyperforget_jax.zoo.train import Images


@partial(
    jax.jit, static_argnames=("sizes", "pixels", "batch_size", "snapshots", "steps_per_snapshot", "dtype")
)
def train_apart(
    run_keys: jax.Array,
    order_keys: jax.Array,
    plans: Hyperparameters,
    training: Images,
    validation: Images,
    **shape: Any,
) -> train.Snapshots:
    """Trains R runs, each as a block of one.

    Args:
      run_keys: [R].
      order_keys: [R], one key of a minibatch order a run.
      plans: leaves [R, …].
      training: training split, of the pixels that vary.
      validation: validation split.
      **shape: the keyword arguments of `train.train_runs`.

    Returns:
      Snapshots of R blocks of one run: a leading axis [R] on every array.
    """

    def one(run_key: jax.Array, order_key: jax.Array, plan: Hyperparameters) -> train.Snapshots:
        alone = jax.tree.map(lambda leaf: leaf[None], plan)  # leaves [1, …]
        return train.train_runs(run_key[None], order_key, alone, training, validation, **shape)

    return jax.vmap(one)(run_keys, order_keys, plans)


def block(task: Task, snapshots: int) -> Callable[[], train.Snapshots]:
    """Trains and scores some snapshots of all runs."""

    def piece() -> train.Snapshots:
        run_keys, order_key = task.keys()
        return train_apart(
            run_keys,
            jax.random.split(order_key, task.runs),
            task.plans,
            task.varying,
            task.validation,
            **task.shape(snapshots),
        )

    return piece
