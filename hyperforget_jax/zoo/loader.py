"""From a zoo to the batches of a training: batch s is a function of (seed, s) alone, so a restart reads what a straight run reads.

Checkpoints are drawn evenly over groups (section A.6, Figures 28-30) by whole numbers: first a group, then one of its rows.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from hyperforget_jax.config import LoaderConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo import coverage
from hyperforget_jax.zoo.exposure import clean_codes, is_last
from hyperforget_jax.zoo.memmap import Rows
from hyperforget_jax.zoo.storage import Zoo

Floats = np.ndarray[Any, np.dtype[np.float32]]
RowNumbers = np.ndarray[Any, np.dtype[np.int64]]
T = TypeVar("T")

MOST_STEPS = 2**31 - 1
"""Steps that a training can have, which counts them in 32 bits."""


class CheckpointBatch(NamedTuple):
    """Checkpoints.

    Attributes:
      weights: [B, P].
      losses: [B, K], nats.
      exposures: [B, K], how much of each class the runs had used by then, as a share of a full run.
      progress: [B], shares of the runs that had passed.
    """

    weights: Floats
    losses: Floats
    exposures: Floats
    progress: Floats


class Pairs(NamedTuple):
    """Checkpoints of the same run, what DiHyFo-1 learns from: theta, and theta* later in the run unless the pair is reversed.

    Attributes:
      current: theta with its losses L.
      target: theta* with its losses L*.
    """

    current: CheckpointBatch
    target: CheckpointBatch


@dataclass(frozen=True)
class CheckpointSource(Generic[T]):
    """A sequence whose element s is the batch of step s.

    Attributes:
      weights: n rows of P, in memory or on disk.
      draw: the batch of a stream of random numbers.
      seed: of all batches.
    """

    weights: Rows
    draw: Callable[[Rows, np.random.Generator], T]
    seed: int

    def __len__(self) -> int:
        return MOST_STEPS

    def __getitem__(self, step: int) -> T:
        key = np.array([self.seed, step], np.uint64)
        return self.draw(self.weights, np.random.Generator(np.random.Philox(key=key)))


class Groups(NamedTuple):
    """Places sorted by group.

    Attributes:
      rows: [n].
      starts: [G], where each group begins in `rows`.
      sizes: [G], none of them 0.
    """

    rows: RowNumbers
    starts: RowNumbers
    sizes: RowNumbers

    def draw(self, random: np.random.Generator, count: int) -> RowNumbers:
        """Places [count], with replacement: every group equally often, and within a group every place."""
        chosen = random.integers(len(self.sizes), size=count)  # [B]
        return self.rows[self.starts[chosen] + random.integers(self.sizes[chosen])]


def batches(
    zoo: Zoo, forgettable: Sequence[int], batch_size: int, seed: int, config: LoaderConfig
) -> CheckpointSource[CheckpointBatch]:
    """Batches of single checkpoints, for DiHyFo-2.

    Args:
      zoo: the part to draw from.
      forgettable: output positions of the classes that may be forgotten.
      batch_size: checkpoints B in a batch.
      seed: of all batches.
      config: how to draw.

    Raises:
      HyperForgetError: the part is empty, or has no clean run where a share of these is asked for.
    """
    if len(zoo) == 0:
        raise HyperForgetError(
            "the training or the held-out part of the zoo has no checkpoint: raise zoo.runs or zoo.validation_share, "
            "or lower zoo.pivot_accuracy"
        )
    groups = _group(np.arange(len(zoo)), _codes(zoo, forgettable, config))
    clean, count = None, round(config.clean_share * batch_size)
    if count:
        clean = _last_of_clean_runs(zoo, forgettable)

    def draw(weights: Rows, random: np.random.Generator) -> CheckpointBatch:
        rows = groups.draw(random, batch_size - count)
        if clean is not None:
            rows = np.concatenate([rows, clean.draw(random, count)])
        return _read(zoo, weights, rows)

    return CheckpointSource(zoo.weights, draw, seed)


def pairs(
    zoo: Zoo, forgettable: Sequence[int], batch_size: int, seed: int, config: LoaderConfig
) -> CheckpointSource[Pairs]:
    """Batches of pairs, for DiHyFo-1: the earlier checkpoint is drawn like those of `batches`, the later one uniformly after it.

    With probability `reverse_probability` the two change places, so that losses climb: the way to learn de-optimisation that section
    A.5 names beside the deletion of classes.

    Args:
      zoo: the part to draw from; the progress of a run's checkpoints differs.
      forgettable: output positions of the classes that may be forgotten.
      batch_size: pairs B in a batch.
      seed: of all batches.
      config: how to draw.

    Raises:
      HyperForgetError: no run has two checkpoints.
    """
    by_time = np.lexsort((zoo.progress, zoo.run))  # [n], run after run
    runs = zoo.run[by_time]
    ends = np.searchsorted(runs, runs, side="right")  # [n], where the run of each place ends
    firsts = np.flatnonzero(np.arange(len(zoo)) + 1 < ends)
    if len(firsts) == 0:
        raise HyperForgetError(
            "no run of the zoo has two checkpoints to pair: raise zoo.runs or zoo.snapshots, or lower zoo.pivot_accuracy"
        )
    groups = _group(firsts, _codes(zoo, forgettable, config)[by_time[firsts]])

    def draw(weights: Rows, random: np.random.Generator) -> Pairs:
        first = groups.draw(random, batch_size)  # [B]
        later = random.integers(first + 1, ends[first])  # [B]
        reverse = random.random(batch_size) < config.reverse_probability  # [B]
        current, target = np.where(reverse, [later, first], [first, later])  # [2, B]
        rows = by_time[np.concatenate([current, target])]  # [2 B]
        both = _read(zoo, weights, rows)
        return Pairs(*(CheckpointBatch(*halves) for halves in zip(*(np.split(each, 2) for each in both), strict=True)))

    return CheckpointSource(zoo.weights, draw, seed)


def stream(source: CheckpointSource[T], step: int, config: LoaderConfig) -> Iterator[T]:
    """The batches from a step on, read ahead by threads.

    Args:
      source: of the batches.
      step: the first batch's.
      config: how much memory the weights may take, and how far to read ahead.
    """
    if source.weights.nbytes <= config.memory_gib * 2**30:
        source = replace(source, weights=Rows([np.asarray(source.weights)]))
    import grain  # slow, as it brings orbax: a request for models reads no batches

    options = grain.ReadOptions(num_threads=config.threads, prefetch_buffer_size=config.prefetch)
    with contextlib.closing(iter(grain.MapDataset.source(source)[step:].to_iter_dataset(options))) as iterator:
        yield from iterator


def _read(zoo: Zoo, weights: Rows, rows: RowNumbers) -> CheckpointBatch:
    """Rows [B] of a zoo, their weights from wherever those are."""
    return CheckpointBatch(weights.read(rows), zoo.losses[rows], zoo.exposures[rows], zoo.progress[rows])


def _codes(zoo: Zoo, forgettable: Sequence[int], config: LoaderConfig) -> RowNumbers:
    """The group [n] of every checkpoint."""
    match config.resample:
        case "combinations":
            return coverage.combination(zoo.accuracies, forgettable)
        case "losses":
            return coverage.loss_levels(zoo.losses, config.loss_levels)
        case "none":
            return np.zeros(len(zoo), np.int64)


def _last_of_clean_runs(zoo: Zoo, forgettable: Sequence[int]) -> Groups:
    """Last checkpoints of clean runs, by the set of classes that these never saw."""
    codes = clean_codes(zoo.exposures, zoo.progress, forgettable)  # [n]
    rows = np.flatnonzero((codes >= 0) & is_last(zoo.progress))
    if len(rows) == 0:
        raise HyperForgetError(
            "loader.clean_share asks for last checkpoints of clean runs, and the training or the held-out part of the zoo has none: "
            "raise zoo.min_clean_runs, zoo.runs or zoo.validation_share, or set loader.clean_share to 0"
        )
    return _group(rows, codes[rows])


def _group(rows: RowNumbers, codes: RowNumbers) -> Groups:
    """Places [n] by their codes [n]."""
    order = np.argsort(codes, kind="stable")
    _, starts, sizes = np.unique(codes[order], return_index=True, return_counts=True)
    return Groups(rows[order], starts, sizes)
