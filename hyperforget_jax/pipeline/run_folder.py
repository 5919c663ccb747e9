"""The runs behind the paper's tables: one workdir for each setting and hypernetwork, made if it is missing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from configs import (
    mnist4_dihyfo1,
    mnist4_dihyfo2,
    mnist4_nopivots_dihyfo2,
    mnist_dihyfo1,
    mnist_dihyfo2,
    mnist_fewpivots_dihyfo2,
)
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli import arguments
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import alignment, end_to_end, unlearning
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.pipeline.reference import reference_models
from hyperforget_jax.pipeline.run import Run, start
from hyperforget_jax.pipeline.workdir import acquire_workdir
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn.requests import UnlearningResult
from hyperforget_jax.zoo import storage

Configs = Mapping[str, Mapping[str, Callable[[], Config]]]
SETTINGS: Configs = {
    "mnist4": {"dihyfo1": mnist4_dihyfo1.get_config, "dihyfo2": mnist4_dihyfo2.get_config},
    "mnist": {"dihyfo1": mnist_dihyfo1.get_config, "dihyfo2": mnist_dihyfo2.get_config},
    "mnist4_nopivots": {"dihyfo2": mnist4_nopivots_dihyfo2.get_config},
    "mnist_fewpivots": {"dihyfo2": mnist_fewpivots_dihyfo2.get_config},
}
"""The paper's settings, and those with fewer pivots: name, and hypernetwork to config."""


@dataclass(frozen=True)
class Made:
    """A finished run."""

    run: Run

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Its tidy rows, strict."""
        return artifacts.read_rows(self.run.folder / "results.jsonl")

    @property
    def training(self) -> Path:
        """Where its learning curves are."""
        return self.run.folder / "training"

    @cached_property
    def answers(self) -> list[UnlearningResult]:
        """Its models, per request."""
        return [unlearning.stored(self.run, labels) for labels in self.run.config.task.forget_sets]

    @cached_property
    def reference(self) -> Params:
        """Its retrained models: leaves [F, M, …]."""
        return reference_models(self.run)

    def reference_of(self, index: int) -> Params:
        """The retrained models of one request: leaves [M, …]."""
        return jax.tree.map(lambda leaf: leaf[index], self.reference)

    @property
    def labels(self) -> list[int]:
        """Of the forgettable classes."""
        return [self.run.dataset.classes[position] for position in self.run.forgettable]

    @cached_property
    def sweeps(self) -> Mapping[int, Sweep]:
        """Its prompt sweeps, by label."""
        return alignment.stored(self.run, self.labels)


class Runs:
    """The runs in a folder, each looked at (and made) once, when it is asked for."""

    def __init__(
        self, folder: Path, settings: Configs, overrides: Sequence[str], console: Console, asked: str
    ) -> None:
        """Runs in `folder/mnist4_dihyfo1`, …; overrides change every config; asked is the command that wants them."""
        self._folder, self._settings, self._console, self._asked = folder, settings, console, asked
        self._overrides = overrides
        self._configs = {
            (setting, method): self._placed(f"{setting}_{method}", arguments.parse(config(), overrides))
            for setting, methods in settings.items()
            for method, config in methods.items()
        }
        self._made = dict[tuple[str, str, int | None], Made]()

    def other(self, name: str, config: Config, check: Callable[[Run], None]) -> Run:
        """A run in `folder/NAME` that is no pipeline and keeps its own data; `check` refuses it before anything is written."""
        config = replace(arguments.parse(config, self._overrides), data=config.data)
        run = start(self._placed(name, config), self._console, self._asked)
        check(run)
        acquire_workdir(run.config)
        return run

    def _placed(self, name: str, config: Config) -> Config:
        arguments.check(config)
        return replace(config, workdir=str(self._folder / name))

    def of(self, setting: str) -> dict[str, Made]:
        """Hypernetwork to its run in one setting."""
        return {method: self.one(setting, method) for method in self._settings[setting]}

    def one(self, setting: str, method: str, seed: int | None = None) -> Made:
        """One run, or another training on its zoo (`training.seed`); a pipeline that is not finished is run to its end first."""
        if (setting, method, seed) not in self._made:
            config = self._sharing(setting, _trained_again(self._configs[setting, method], seed))
            run = start(config, self._console, self._asked)
            alignment.validate_metric(run)
            acquire_workdir(config)
            if not _finished(run):
                self._console.print(f"{run.folder.name}: not there yet, made in {run.folder}")
                end_to_end.run(run)
            self._made[setting, method, seed] = Made(run)
        return self._made[setting, method, seed]

    def _sharing(self, setting: str, config: Config) -> Config:
        """The config with the zoo of the other hypernetwork in this setting, if that is there and its own is not."""
        if config.zoo.folder:
            return config
        folders = [
            Path(config.workdir),
            *(Path(self._configs[setting, each].workdir) for each in self._settings[setting]),
        ]
        complete = [folder for folder in folders if storage.read_summary(folder / "zoo") is not None]
        return replace(config, zoo=replace(config.zoo, folder=str((complete or folders)[0] / "zoo")))


def _trained_again(config: Config, seed: int | None) -> Config:
    """The setting with another seed of its training, in a folder of its own; None: as it is."""
    if seed is None:
        return config
    training = replace(config.training, seed=seed)
    return replace(config, workdir=f"{config.workdir}_seed{seed}", training=training)


def _finished(run: Run) -> bool:
    """Whether a pipeline has left all that tables and figures read: the page is written after all of that."""
    return artifacts.is_complete(run.folder / "alignment") and (run.folder / "report.html").exists()
