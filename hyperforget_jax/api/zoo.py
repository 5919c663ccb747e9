"""Zoos of the Python interface: built, opened."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hyperforget_jax.api.settings import changed, run_of, with_usual_epochs
from hyperforget_jax.config import ClassifierConfig, Config, DataConfig, TaskConfig, ZooConfig, flatten, unflatten
from hyperforget_jax.data import Dataset
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.workdir import zoo_identity
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.unlearn import requests
from hyperforget_jax.zoo import storage


@dataclass(frozen=True)
class Zoo:
    """A zoo on disk: checkpoints of many small classifiers with their loss and accuracy on every class.

    Attributes:
      path: its folder.
      config: seed, pivots, classifier and protocol that made it.
      made_from: all values that decide its content, its data among them.
      checkpoints: the checkpoints as parallel arrays; weights stay on disk until they are read.
    """

    path: Path
    config: Config
    made_from: Mapping[str, Any]
    checkpoints: storage.Zoo

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Zoo":
        """Opens a complete zoo and verifies it.

        Args:
          path: its folder.

        Raises:
          HyperForgetError: no complete zoo, a damaged one, or one of another format.
        """
        folder = expand(path, "path").resolve()
        summary = storage.read_summary(folder)
        if summary is None:
            raise HyperForgetError(f"{folder} holds no complete zoo: make one with build_zoo")
        made_from, usual = summary["made_from"], flatten(Config(data=DataConfig()))
        own = {name: value for name, value in made_from.items() if not name.startswith("data.")}
        config = unflatten({name: own.get(name, value) for name, value in usual.items()})
        config = replace(config, zoo=replace(config.zoo, folder=str(folder)))
        return cls(folder, config, made_from, storage.read(folder, made_from))

    def __len__(self) -> int:
        """Number of checkpoints."""
        return len(self.checkpoints)


def build_zoo(
    data: Dataset,
    *,
    path: str | os.PathLike[str],
    hidden: Sequence[int] = (3,),
    pivots: Iterable[int] = (),
    num_runs: int = 1024,
    seed: int = 0,
    progress: bool = True,
    **protocol: Any,
) -> Zoo:
    """Trains many small classifiers on the data and keeps their checkpoints (paper, section A.5); a zoo that is there is opened.

    Args:
      data: images and labels, from `load_dataset`.
      path: folder of the zoo. A stopped build goes on from there.
      hidden: width of each hidden layer of a classifier.
      pivots: labels that are never forgotten; every checkpoint is good on them.
      num_runs: independent training runs.
      seed: of all draws.
      progress: whether to show it on stderr.
      **protocol: other fields of `ZooConfig`. Without `epochs`, a run takes about 4,000 steps.

    Raises:
      HyperForgetError: bad input, or another zoo stands at the path; says what was expected.

    >>> import tempfile, hyperforget_jax as hf
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     size = {"num_runs": 8, "runs_per_block": 8, "epochs": 20, "snapshots": 4}
    ...     zoo = hf.build_zoo(data, hidden=(3,), pivots=(0, 1), path=folder, progress=False, **size)
    >>> zoo.config.classifier.hidden
    (3,)
    """
    folder, labels = expand(path, "path").resolve(), tuple(pivots)
    requests.validate_pivots(labels, data.classes)
    usual = with_usual_epochs(protocol, ZooConfig(), data)
    settings = changed(ZooConfig(), usual | {"runs": num_runs, "folder": str(folder)})
    config = Config(
        seed=seed,
        workdir=str(folder),
        data=data.config,
        task=TaskConfig(labels, ()),
        classifier=ClassifierConfig(tuple(hidden)),
        zoo=settings,
    )
    run = run_of(config, data, progress)
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return Zoo(folder, config, zoo_identity(config), pipeline_zoo.make_zoo(run))
