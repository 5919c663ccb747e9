"""The class losses and accuracies of a zoo without its weights: what prompts are built from."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyperforget_jax.runtime import artifacts

FILE = "zoo_statistics.safetensors"
Floats = np.ndarray[Any, np.dtype[np.float32]]


class ZooStatistics(NamedTuple):
    """Scores of n checkpoints, class by class, on the labelling split.

    Attributes:
      losses: [n, K], cross-entropy in nats.
      accuracies: [n, K].
    """

    losses: Floats
    accuracies: Floats


def save(statistics: ZooStatistics, folder: Path) -> None:
    """Writes `zoo_statistics.safetensors` into a folder."""
    artifacts.write_arrays(folder / FILE, statistics._asdict())


def load(folder: Path) -> ZooStatistics:
    """Reads what `save` wrote."""
    return ZooStatistics(**artifacts.read_arrays(folder / FILE))
