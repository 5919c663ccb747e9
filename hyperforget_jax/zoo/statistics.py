"""What a zoo knows of its checkpoints, without their weights: what prompts are built from."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyperforget_jax.runtime import artifacts
from hyperforget_jax.zoo.storage import Zoo

FILE = "zoo_statistics.safetensors"
Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int32]]


class ZooStatistics(NamedTuple):
    """Scores of n checkpoints, class by class, on the labelling split, and where they come from.

    Attributes:
      losses: [n, K], cross-entropy in nats; NaN of a class that was purged.
      accuracies: [n, K]; NaN likewise.
      exposures: [n, K], how much of each class the run had used by then, as a share of a full run.
      progress: [n], the share of the run that had passed.
      run: [n], the training run.
    """

    losses: Floats
    accuracies: Floats
    exposures: Floats
    progress: Floats
    run: Integers


def of_zoo(zoo: Zoo) -> ZooStatistics:
    """The statistics of a zoo's checkpoints."""
    return ZooStatistics(*(getattr(zoo, name) for name in ZooStatistics._fields))


def last_of_runs(statistics: ZooStatistics) -> ZooStatistics:
    """The last checkpoint of every run: what drawn prompts are made from, and what tells which runs ever saw a class."""
    order = np.lexsort((statistics.progress, statistics.run))
    _, first = np.unique(statistics.run[order][::-1], return_index=True)
    rows = np.sort(order[::-1][first])
    return ZooStatistics(**{name: column[rows] for name, column in statistics._asdict().items()})


def save(statistics: ZooStatistics, folder: Path) -> None:
    """Writes `zoo_statistics.safetensors` into a folder."""
    artifacts.write_arrays(folder / FILE, statistics._asdict())


def load(folder: Path) -> ZooStatistics:
    """Reads what `save` wrote."""
    return ZooStatistics(**artifacts.read_arrays(folder / FILE))
