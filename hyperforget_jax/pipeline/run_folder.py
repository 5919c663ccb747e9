"""A folder of runs, one workdir for each setting and hypernetwork; a run that is missing is made when it is first opened."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import Config
from hyperforget_jax.config.overrides import parse_overrides
from hyperforget_jax.pipeline import alignment, end_to_end, training, unlearning
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.pipeline.reference import reference_models
from hyperforget_jax.pipeline.run import Run, start, validate_run_config
from hyperforget_jax.pipeline.workdir import acquire_workdir, workdir_path, zoo_path
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn.requests import UnlearningResult
from hyperforget_jax.zoo import storage

Settings = Mapping[str, Mapping[str, Callable[[], Config]]]
"""Setting, such as mnist4, and hypernetwork to config; the config's name is SETTING_HYPERNETWORK."""


class RunName(NamedTuple):
    """A setting, a hypernetwork, and the seed of another training on the same zoo; None: the config's own."""

    setting: str
    method: str
    seed: int | None = None

    def __str__(self) -> str:
        """The workdir's name in the folder."""
        return f"{self.setting}_{self.method}" + ("" if self.seed is None else f"_seed{self.seed}")


@dataclass(frozen=True)
class FinishedRun:
    """A run that `end_to_end.run` has finished."""

    run: Run

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Its results in long form, strict."""
        return artifacts.read_rows(self.run.folder / "results.jsonl")

    @property
    def training(self) -> Path:
        """Folder of its learning curves."""
        return self.run.folder / "training"

    @cached_property
    def results(self) -> list[UnlearningResult]:
        """Its unlearned models, by forget set."""
        return [unlearning.stored(self.run, labels) for labels in self.run.config.task.forget_sets]

    @cached_property
    def reference(self) -> Params:
        """Its reference models: leaves [F, M, …]."""
        return reference_models(self.run)

    def reference_of(self, index: int) -> Params:
        """The reference models of one forget set: leaves [M, …]."""
        return jax.tree.map(lambda leaf: leaf[index], self.reference)

    @property
    def labels(self) -> list[int]:
        """Labels of the forgettable classes."""
        return [self.run.dataset.classes[position] for position in self.run.forgettable]

    @cached_property
    def sweeps(self) -> Mapping[int, Sweep]:
        """Its prompt sweeps, by label."""
        return alignment.stored(self.run, self.labels)


class RunFolder:
    """The runs in `folder/SETTING_METHOD`.

    Args:
      folder: made if it is missing.
      settings: configs of the runs.
      overrides: `--FIELD VALUE` words that change every config.
      console: where to report.
      command: what opens the runs, for their reports.
    """

    def __init__(
        self, folder: Path, settings: Settings, overrides: Sequence[str], console: Console, command: str
    ) -> None:
        self._folder, self._settings, self._overrides = folder, settings, overrides
        self._console, self._command = console, command
        self._configs = {
            (setting, method): self._placed(f"{setting}_{method}", parse_overrides(config(), overrides))
            for setting, methods in settings.items()
            for method, config in methods.items()
        }
        self._opened = dict[RunName, FinishedRun]()

    def of(self, setting: str) -> dict[str, FinishedRun]:
        """Hypernetwork to its run in one setting."""
        return {method: self.open(setting, method) for method in self._settings[setting]}

    def open(self, setting: str, method: str, seed: int | None = None) -> FinishedRun:
        """One run, or another training on its zoo; a run that is not finished is run to its end first."""
        name = self._name(RunName(setting, method, seed))
        if name not in self._opened:
            run = start(self._config(name), self._console, self._command)
            alignment.validate_metric(run)
            acquire_workdir(run.config, say=self._console.print)
            if not self.is_finished(name):
                self._console.print(f"{name}: not there yet, made in {run.folder}")
                end_to_end.run(run)
            self._opened[name] = FinishedRun(run)
        return self._opened[name]

    def open_other(self, name: str, config: Config, validate: Callable[[Run], None]) -> Run:
        """A run in `folder/NAME` that is no whole path and keeps its own data; `validate` refuses it before anything is written."""
        config = replace(parse_overrides(config, self._overrides), data=config.data)
        run = start(self._placed(name, config), self._console, self._command)
        validate(run)
        acquire_workdir(run.config)
        return run

    def is_finished(self, name: RunName) -> bool:
        """Whether a run has left all that tables and figures read: the page is written after all of that."""
        folder = self._folder / str(self._name(name))
        return artifacts.is_complete(folder / "alignment") and (folder / "report.html").exists()

    def print_plan(self, names: Iterable[RunName]) -> None:
        """Says of every run whether it will be reused, or which command makes it."""
        zoos = dict[str, Path]()
        for name in dict.fromkeys(map(self._name, names)):
            config = self._config(name)
            zoo = zoos.setdefault(name.setting, zoo_path(config))
            if self.is_finished(name):
                self._console.print(f"{name}: reused from {config.workdir}")
                continue
            words = ["hyperforget", "run", "--config", f"{name.setting}_{name.method}", "--workdir", config.workdir]
            if zoo != workdir_path(config) / "zoo":
                words += ["--zoo.folder", str(zoo)]
            if name.seed is not None:
                words += ["--training.seed", str(name.seed)]
            line = shlex.join([*words, *self._overrides])
            self._console.print(f"{name}: made first, as by: {line}", highlight=False, markup=False)

    def _name(self, name: RunName) -> RunName:
        """The name without a seed that is the config's own."""
        own = training.training_seed(self._configs[name.setting, name.method])
        return name._replace(seed=None) if name.seed == own else name

    def _config(self, name: RunName) -> Config:
        """The config of a run; its zoo is that of another run of the setting, if that is there and its own is not."""
        config = self._configs[name.setting, name.method]
        if name.seed is not None:
            seeded = replace(config.training, seed=name.seed)
            config = replace(config, workdir=str(self._folder / str(name)), training=seeded)
        if config.zoo.folder:
            return config
        others = (self._configs[name.setting, method].workdir for method in self._settings[name.setting])
        folders = [Path(workdir) for workdir in (config.workdir, *others)]
        complete = [folder for folder in folders if storage.read_summary(folder / "zoo") is not None]
        return replace(config, zoo=replace(config.zoo, folder=str((complete or folders)[0] / "zoo")))

    def _placed(self, name: str, config: Config) -> Config:
        validate_run_config(config)
        return replace(config, workdir=str(self._folder / name))
