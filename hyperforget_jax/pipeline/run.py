"""What every stage of an experiment needs: config, images, where to write and where to report."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.console import Console

from hyperforget_jax import data
from hyperforget_jax.config import Config, Prompts, validation
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.diffusion import samplers
from hyperforget_jax.diffusion.distillation import validate_distillation
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import FOLDS
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.pipeline.resources import validate_resources
from hyperforget_jax.runtime import artifacts, jax_settings, metric_writer
from hyperforget_jax.runtime.jax_settings import validate_jax
from hyperforget_jax.unlearn import requests
from hyperforget_jax.zoo.build import validate_memory
from hyperforget_jax.zoo.exposure import validate_held_out_sets
from hyperforget_jax.zoo.train import Images, validate_batch_size

HYPERNETWORK = "hypernetwork"
"""The trained hypernetwork's folder in a workdir."""


@dataclass(frozen=True)
class Run:
    """One run of an experiment: its resolved config and what follows from it.

    Attributes:
      config: resolved.
      dataset: images and labels.
      folder: its workdir.
      console: where to report.
      command: what started it.
      variant: ending of the names of its answers, such as "-best", where `prompted` has changed its prompts; else empty.
    """

    config: Config
    dataset: Dataset
    folder: Path
    console: Console
    command: str
    variant: str = ""

    @property
    def method(self) -> str:
        """The name of its models in results, such as "dihyfo2", or "dihyfo2_best"."""
        return self.config.hypernetwork.kind + self.variant.replace("-", "_")

    @property
    def modes(self) -> tuple["Run", ...]:
        """The run as its config prompts it; and, if it draws prompts, with the best one, as in the paper."""
        return (self,) if self.config.request.prompts == "best" else (self, self.prompted("best"))

    def prompted(self, prompts: Prompts) -> "Run":
        """The same run with other prompts, whose answers have names of their own; itself if these are its prompts."""
        if prompts == self.config.request.prompts:
            return self
        request = replace(self.config.request, prompts=prompts)
        return replace(self, config=replace(self.config, request=request), variant=f"-{prompts}")

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
        return tuple(position for position in range(self.dataset.num_classes) if position not in pivots)

    @property
    def learned_images(self) -> Split:
        """The training images of the classes that are not purged."""
        train = self.dataset.train
        kept = ~np.isin(train.labels, self.dataset.positions(self.config.task.purged))  # [n]
        return Split(train.images[kept], train.labels[kept])

    @property
    def inputs(self) -> dict[str, str]:
        """What samples are made from: the finished hypernetwork, by its fingerprint; nothing where there is none."""
        folder = self.folder / HYPERNETWORK
        return {"hypernetwork": artifacts.fingerprint(folder)} if artifacts.is_complete(folder) else {}

    def reuses(
        self,
        stage: str,
        folder: Path,
        made_from: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether a finished artifact can be used; if so, verifies it and says so.

        Args:
          stage: its name.
          folder: its place.
          made_from: what it must have been made from; None: the workdir's config alone decides it.
          inputs: artifacts that it must have been made from, if its manifest tells of such.
        """
        if not artifacts.is_complete(folder):
            return False
        told = artifacts.manifest(folder)
        same = made_from is None or told["made_from"] == artifacts.as_json(made_from)
        if not same or (inputs and told.get("inputs") and told["inputs"] != inputs):
            self.console.print(f"{stage}: {folder} was made from something else, made anew")
            return False
        artifacts.verify(folder)
        self.console.print(f"{stage}: reused from {folder}")
        return True

    @contextlib.contextmanager
    def timed(self, stage: str, *, resumes: bool) -> Iterator[None]:
        """Writes the stage's wall time to `costs.jsonl`, also when it is stopped.

        Args:
          stage: its name.
          resumes: whether the stage goes on where it was stopped, so that times add up; else the last one counts.
        """
        started_at, path = time.monotonic(), self.folder / "costs.jsonl"
        if path.exists():
            artifacts.read_rows(path)  # raises before the work if it is damaged
        try:
            yield
        finally:
            seconds = time.monotonic() - started_at
            rows = artifacts.read_rows(path) if path.exists() else []
            before = sum(row["seconds"] for row in rows if row.get("stage") == stage) if resumes else 0.0
            others = [row for row in rows if row.get("stage") != stage]
            artifacts.write_rows(path, [*others, {"stage": stage, "seconds": before + seconds}])


def on_device(split: Split) -> Images:
    """A split as jax arrays."""
    return Images(jnp.asarray(split.images), jnp.asarray(split.labels))


def validate_run_config(config: Config) -> None:
    """Refuses a config that cannot run, before any work and without reading an image.

    Raises:
      HyperForgetError: names the field, its value and the remedy.
    """
    validate_jax()
    workdir.workdir_path(config)
    workdir.zoo_path(config)
    data.validate_data(config.data)
    config = replace(config, data=data.resolve(config.data))
    validation.validate_config(config)
    requests.validate_task(config.task, config.data.classes)
    validate_held_out_sets(config.zoo.held_out_sets, config.data.classes, config.task.pivots)
    samplers.validate_sampling(config.diffusion, config.sampling)
    metric_writer.validate_tensorboard(config.training.tensorboard)
    samples, clean_runs = config.request.samples, config.reference.clean_runs
    if config.evaluation.distribution_models > 0 and (samples < FOLDS or clean_runs < 2 * FOLDS):
        raise HyperForgetError(
            f"request.samples is {samples}, reference.clean_runs {clean_runs}: two-sample tests need at least {FOLDS} and {2 * FOLDS}; "
            "raise them, or set evaluation.distribution_models to 0"
        )


def start(config: Config, console: Console, command: str) -> Run:
    """Loads the images and checks what depends on them; writes nothing.

    Raises:
      HyperForgetError: images missing or damaged, a minibatch larger than the training split, a block larger than memory.
    """
    asked = (requests.with_always(forget, config.task.always) for forget in config.task.forget_sets)
    forget_sets = tuple(dict.fromkeys(asked))  # one set, one name
    config = replace(config, data=data.resolve(config.data), task=replace(config.task, forget_sets=forget_sets))
    return run_on(config, data.load(config.data), console, command)


def run_on(config: Config, dataset: Dataset, console: Console, command: str) -> Run:
    """A run on a dataset in hand; writes nothing. Of classes that are purged the run has no image to learn from.

    Raises:
      HyperForgetError: a minibatch larger than the training split, arrays larger than memory, a setting of JAX that changes numbers.
    """
    validate_jax()
    if config.task.purged:
        dataset = dataset.without(config.task.purged)
    num_images = len(dataset.train.labels)
    validate_batch_size("zoo.batch_size", config.zoo.batch_size, num_images)
    validate_batch_size("reference.batch_size", config.reference.batch_size, num_images)
    run = Run(config, dataset, workdir.workdir_path(config), console, command)
    validate_memory(config.zoo, run.sizes)
    validate_resources(config, run.sizes)
    validate_distillation(config, dataset)
    return run


def open_run(
    folder: Path, console: Console, command: str, change: Callable[[Config], Config] = lambda config: config
) -> Run:
    """A finished run, from its folder alone.

    Args:
      folder: its workdir.
      console: where to report.
      command: what opened it.
      change: of the config, such as other forget sets or another place of the data; what decides the zoo or the hypernetwork must stay.

    Raises:
      HyperForgetError: no run, an unfinished one, one of an older format; its data are missing or others.
    """
    folder = workdir.current(folder)
    config = change(replace(workdir.read_config(folder), workdir=str(folder)))
    if not artifacts.is_complete(folder / HYPERNETWORK):
        raise HyperForgetError(f"{folder} has no finished hypernetwork: run the command that made it again, to its end")
    workdir.validate_origin(config)
    run = start(config, console, command)
    validate_hypernetwork(run)
    return run


def validate_hypernetwork(run: Run) -> None:
    """Refuses a finished hypernetwork that is not of the run it stands in.

    Raises:
      HyperForgetError: it was made from another config, such as one that was copied from another run; or its manifest is damaged.
    """
    folder, ours = run.folder / HYPERNETWORK, artifacts.as_json(workdir.identity(run.config))
    made_from = artifacts.manifest(folder)["made_from"]
    compared = {*ours, *jax_settings.DECIDING}  # a copy that was changed later tells more
    theirs = {name: value for name, value in made_from.items() if name in compared}
    if differing := workdir.differences(theirs, ours):
        raise HyperForgetError(
            f"{folder} is not this run's, it was made by another config ({differing}): restore the run's own, or delete it and run again"
        )
