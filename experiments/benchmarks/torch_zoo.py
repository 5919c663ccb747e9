"""The PyTorch contender of `experiments.benchmarks.zoo` (extra `bench`): a plain loop that trains our runs, one after the other.

The same model and initialisation, minibatches, use of images, Adam with a cosine, and evaluation as in `zoo.train`.
"""

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch.nn import functional

from experiments.benchmarks.timing import Work
from experiments.benchmarks.zoo_block import Block, train_together
from hyperforget_jax.weights.layout import flatten
from hyperforget_jax.zoo import train
from hyperforget_jax.zoo.undersampling import uniforms

VERSION: str = torch.__version__


class Checkpoint(NamedTuple):
    """A model with its scores: weights [P] flattened as in `weights.layout`, losses [K] in nats, accuracies [K]."""

    weights: torch.Tensor
    losses: torch.Tensor
    accuracies: torch.Tensor


class Split(NamedTuple):
    """Images [N, D] float32, labels [N] int64, and member [K, N]: 1 / (images of the class) where an image is of a class, else 0."""

    images: torch.Tensor
    labels: torch.Tensor
    member: torch.Tensor


class Inputs(NamedTuple):
    """What a loop reads: hyper-parameters of the block's first run, and the splits."""

    plan: Any
    training: Split
    validation: Split


def inputs(block: Block) -> Inputs:
    """Copies of what the block holds."""
    plan = jax.tree.map(lambda leaf: _tensor(leaf[0]), block.plans)
    return Inputs(plan, *(_split(part, block.sizes[-1]) for part in (block.training, block.validation)))


def loops(block: Block, snapshots: int, threads: Iterable[int]) -> dict[str, Work]:
    """Works that train the block's first run from a random start, with Adam as it is by default and fused, by threads."""

    count, data, steps = len(block.training.labels), inputs(block), block.steps_per_snapshot

    def work(number: int, fused: bool) -> list[Checkpoint]:
        torch.set_num_threads(number)
        order, chance = minibatches(count, block.batch_size), torch.rand(count)
        return train_run(data, network(block.sizes), order, chance, snapshots, steps, fused)

    return {
        f"{name}_threads_{number}": partial(work, number, fused)
        for name, fused in (("torch", False), ("torch_fused", True))
        for number in sorted(threads)
    }


def like_ours(block: Block, snapshots: int) -> list[Checkpoint]:
    """The block's first run, from the weights, minibatches and random numbers that `train.train_runs` gives it."""
    run_keys, order_key = block.keys()
    state = train.start(run_keys[0], block.sizes)
    model = network(block.sizes)
    torch.nn.utils.vector_to_parameters(_tensor(flatten(state.params)), model.parameters())
    batch_key, word_key = jax.random.split(order_key)
    count, steps = len(block.training.labels), snapshots * block.steps_per_snapshot
    rows = train.minibatches(batch_key, count, block.batch_size, steps)  # [steps, B]
    chance = _tensor(uniforms(state.word, jax.random.bits(word_key, (count,))))  # [N]
    order = iter(_tensor(rows).long())
    return train_run(inputs(block), model, order, chance, snapshots, block.steps_per_snapshot, fused=False)


def weight_difference(block: Block) -> float:
    """Largest difference between weights of ours and of PyTorch, after the same steps up to a first checkpoint."""
    weights = train_together(block.first(1), 1).weights[0, 0]  # [P]
    return float(np.abs(np.asarray(weights) - like_ours(block, 1)[0].weights.numpy()).max())


def train_run(
    data: Inputs,
    model: torch.nn.Sequential,
    order: Iterator[torch.Tensor],
    chance: torch.Tensor,
    snapshots: int,
    steps_per_snapshot: int,
    fused: bool,
) -> list[Checkpoint]:
    """Trains one model and scores it at regular steps.

    Args:
      data: hyper-parameters and images.
      model: at its start.
      order: rows [B] of each minibatch.
      chance: [N], numbers in [0, 1); an image is used while its own is below the keep rate of its class.
      snapshots: S.
      steps_per_snapshot: steps from one snapshot to the next.
      fused: whether Adam is PyTorch's one fused kernel instead of its default.
    """
    plan, training, validation = data
    steps, checkpoints = snapshots * steps_per_snapshot, []
    adam = torch.optim.Adam(model.parameters(), lr=float(plan.learning_rate), fused=fused)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for step in range(steps):
        rates = plan.keep_before if step / steps < plan.deletion_time else plan.keep_after  # [K]
        rows = next(order)  # [B]
        labels = training.labels[rows]  # [B]
        used = (chance[rows] < rates[labels]).float()  # [B]
        losses = functional.cross_entropy(model(training.images[rows]), labels, reduction="none")  # [B]
        loss = (losses * used).sum() / used.sum().clamp(min=1.0)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()
        if (step + 1) % steps_per_snapshot == 0:
            checkpoints.append(score(model, validation))
    return checkpoints


def score(model: torch.nn.Sequential, validation: Split) -> Checkpoint:
    """The model as it is, scored on every class."""
    with torch.inference_mode():
        logits = model(validation.images)  # [V, K]
        losses = functional.cross_entropy(logits, validation.labels, reduction="none")  # [V]
        hits = (logits.argmax(1) == validation.labels).float()  # [V]
        weights = torch.nn.utils.parameters_to_vector(model.parameters())
        return Checkpoint(weights, validation.member @ losses, validation.member @ hits)


def network(sizes: tuple[int, ...]) -> torch.nn.Sequential:
    """An untrained model: He-uniform weights, zero biases."""
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        linear = torch.nn.Linear(fan_in, fan_out)
        torch.nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def minibatches(num_images: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Rows [B] of minibatches without end, reshuffled every epoch; an epoch's remainder is dropped."""
    while True:
        yield from torch.randperm(num_images)[: num_images // batch_size * batch_size].split(batch_size)


def _split(part: train.Images, num_classes: int) -> Split:
    labels = _tensor(part.labels).long()
    member = functional.one_hot(labels, num_classes).float().T  # [K, N]
    return Split(_tensor(part.images), labels, member / member.sum(1, keepdim=True))


def _tensor(values: jax.Array) -> torch.Tensor:
    """A copy of an array."""
    return torch.tensor(np.asarray(values))
