"""The plain contender at work: our runs, one after the other, in PyTorch (extra `bench`)."""

from collections.abc import Iterable
from functools import partial

import jax
import numpy as np
import torch

from experiments.benchmarks import ours
from experiments.benchmarks.clock import Piece
from experiments.benchmarks.task import Task
from experiments.benchmarks.torch_loop import Checkpoint, Plan, Split, minibatches, network, split, train_run
from hyperforget_jax.weights.layout import flatten
from hyperforget_jax.zoo import train

VERSION: str = torch.__version__


def pieces(task: Task, snapshots: int, threads: Iterable[int]) -> dict[str, Piece]:
    """Pieces of work that train the task's first run from a random start, with Adam as it is by default and fused, by threads."""
    plan, training, validation = _inputs(task)
    count = len(training.labels)

    def piece(number: int, fused: bool) -> list[Checkpoint]:
        torch.set_num_threads(number)
        order, chance = minibatches(count, task.batch_size), torch.rand(count)
        model = network(task.sizes)
        steps = task.steps_per_snapshot
        return train_run(model, order, chance, plan, training, validation, snapshots, steps, fused)

    return {
        f"{name}_threads_{number}": partial(piece, number, fused)
        for name, fused in (("torch", False), ("torch_fused", True))
        for number in sorted(threads)
    }


def like_ours(task: Task, snapshots: int) -> list[Checkpoint]:
    """The task's first run, from the weights, minibatches and random numbers that `train.train_runs` gives it."""
    plan, training, validation = _inputs(task)
    run_keys, order_key = task.keys()
    state = train.start(run_keys[0], task.sizes)
    model = network(task.sizes)
    torch.nn.utils.vector_to_parameters(_tensor(flatten(state.params)), model.parameters())
    batch_key, word_key = jax.random.split(order_key)
    count, steps = len(training.labels), snapshots * task.steps_per_snapshot
    rows = train.minibatches(batch_key, count, task.batch_size, steps)  # [steps, B]
    chance = _tensor(train.uniforms(state.word, jax.random.bits(word_key, (count,))))  # [N]
    order = iter(_tensor(rows).long())
    steps = task.steps_per_snapshot
    return train_run(model, order, chance, plan, training, validation, snapshots, steps, fused=False)


def weight_difference(task: Task) -> float:
    """Largest difference between weights of ours and of PyTorch, after the same steps up to a first checkpoint."""
    weights = ours.block(task.first(1), 1)().weights[0, 0]  # [P]
    return float(np.abs(np.asarray(weights) - like_ours(task, 1)[0].weights.numpy()).max())


def _inputs(task: Task) -> tuple[Plan, Split, Split]:
    first = jax.tree.map(lambda leaf: leaf[0], task.plans)
    plan = Plan(
        float(first.learning_rate),
        _tensor(first.keep_before),
        _tensor(first.keep_after),
        float(first.deletion_time),
    )
    training, validation = (
        split(_tensor(part.images), _tensor(part.labels).long(), task.sizes[-1])
        for part in (task.training, task.validation)
    )
    return plan, training, validation


def _tensor(values: jax.Array) -> torch.Tensor:
    """A copy of an array."""
    return torch.tensor(np.asarray(values))
