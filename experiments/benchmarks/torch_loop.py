"""The plain contender: a PyTorch loop that trains one network. `torch_runs` gives it what our runs get.

The same network and initialisation, minibatches, use of images, Adam with a cosine, and evaluation as in `zoo.train`.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn import functional


class Checkpoint(NamedTuple):
    """A network with its scores: weights [P] flattened as in `weights.layout`, losses [K] in nats, accuracies [K]."""

    weights: torch.Tensor
    losses: torch.Tensor
    accuracies: torch.Tensor


class Plan(NamedTuple):
    """Hyper-parameters of the run, as in `zoo.protocol`; keep rates are [K]."""

    learning_rate: float
    keep_before: torch.Tensor
    keep_after: torch.Tensor
    deletion_time: float


class Split(NamedTuple):
    """Images [N, D] float32, labels [N] int64, and member [K, N]: 1 / (images of the class) where an image is of a class, else 0."""

    images: torch.Tensor
    labels: torch.Tensor
    member: torch.Tensor


def split(images: torch.Tensor, labels: torch.Tensor, num_classes: int) -> Split:
    """A split with what scoring needs of it."""
    member = functional.one_hot(labels, num_classes).float().T  # [K, N]
    return Split(images, labels, member / member.sum(1, keepdim=True))


def network(sizes: tuple[int, ...]) -> torch.nn.Sequential:
    """An untrained network: He-uniform weights, zero biases."""
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
        order = torch.randperm(num_images)
        yield from order[: num_images // batch_size * batch_size].split(batch_size)


def train_run(
    model: torch.nn.Sequential,
    order: Iterator[torch.Tensor],
    chance: torch.Tensor,
    plan: Plan,
    training: Split,
    validation: Split,
    snapshots: int,
    steps_per_snapshot: int,
    fused: bool,
) -> list[Checkpoint]:
    """Trains one network and scores it at regular moments.

    Args:
      model: the network at its start.
      order: rows [B] of each minibatch.
      chance: [N], numbers in [0, 1); an image is used while its own is below the keep rate of its class.
      plan: the run's hyper-parameters.
      training: training split.
      validation: the split that labels the checkpoints.
      snapshots: S.
      steps_per_snapshot: steps from one snapshot to the next.
      fused: whether Adam is PyTorch's one fused kernel instead of its default.
    """
    adam = torch.optim.Adam(model.parameters(), fused=fused)
    steps, kept = snapshots * steps_per_snapshot, []
    for step in range(steps):
        progress = step / steps
        rates = plan.keep_before if progress < plan.deletion_time else plan.keep_after  # [K]
        rows = next(order)  # [B]
        labels = training.labels[rows]  # [B]
        used = (chance[rows] < rates[labels]).float()  # [B]
        losses = functional.cross_entropy(model(training.images[rows]), labels, reduction="none")  # [B]
        loss = (losses * used).sum() / used.sum().clamp(min=1.0)
        adam.param_groups[0]["lr"] = plan.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
        adam.zero_grad()
        loss.backward()
        adam.step()
        if (step + 1) % steps_per_snapshot == 0:
            kept.append(checkpoint(model, validation))
    return kept


def checkpoint(model: torch.nn.Sequential, validation: Split) -> Checkpoint:
    """The network as it is, scored on every class."""
    with torch.inference_mode():
        scores = model(validation.images)  # [V, K]
        losses = functional.cross_entropy(scores, validation.labels, reduction="none")  # [V]
        hits = (scores.argmax(1) == validation.labels).float()  # [V]
        weights = torch.nn.utils.parameters_to_vector(model.parameters())
        return Checkpoint(weights, validation.member @ losses, validation.member @ hits)
