"""What every stage of an experiment needs: config, images, where to write and where to report."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
from rich.console import Console

from hyperforget_jax import data, records, workdir
from hyperforget_jax.config import Config
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.zoo.train import Images


@dataclass(frozen=True)
class Run:
    """One run of an experiment: its resolved config and what follows from it."""

    config: Config
    dataset: Dataset
    folder: Path
    console: Console

    @property
    def dataset_name(self) -> str:
        """As people call it: mnist, mnist4 (classes 0 to 3), mnist-357."""
        name, classes = self.config.data.name, self.config.data.classes
        if len(classes) == 10:
            return name
        return (
            f"{name}{len(classes)}"
            if classes == tuple(range(len(classes)))
            else f"{name}-" + "".join(map(str, classes))
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer of the classifier."""
        return (self.dataset.input_size, *self.config.classifier.hidden, self.dataset.num_classes)

    @property
    def forget_sets(self) -> list[tuple[int, ...]]:
        """Output positions of every forget set."""
        return [self.dataset.positions(forget) for forget in self.config.task.forget_sets]

    @property
    def forgettable(self) -> tuple[int, ...]:
        """Output positions of the classes that are no pivots."""
        pivots = self.dataset.positions(self.config.task.pivots)
        return tuple(place for place in range(self.dataset.num_classes) if place not in pivots)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Writes the stage's wall time to `costs.jsonl`, in place of what an earlier run wrote for it."""
        begun = time.monotonic()
        yield
        path = self.folder / "costs.jsonl"
        others = [row for row in records.read_rows(path) if row["stage"] != stage] if path.exists() else []
        records.write_rows(path, [*others, {"stage": stage, "seconds": time.monotonic() - begun}])


def on_device(split: Split) -> Images:
    """A split as jax arrays."""
    return Images(jnp.asarray(split.images), jnp.asarray(split.labels))


def start(config: Config, console: Console) -> Run:
    """Loads the images of a config whose workdir is claimed."""
    return Run(config, data.load(config.data), workdir.place(config), console)
