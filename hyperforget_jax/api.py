"""The Python interface: data, zoo, hypernetwork, unlearned models, and their comparison with retrained ones.

import hyperforget_jax as hf

data = hf.load_dataset("digits", classes=range(4))
zoo = hf.build_zoo(data, hidden=(3,), pivots=(0, 1), num_runs=2048, seed=0, path="runs/zoo")
model = hf.HyperForget(method="dihyfo2", steps=800, seed=0).fit(zoo, data)
result = model.unlearn(forget=(2, 3), data=data.validation, num_samples=64, seed=1)
reference = hf.retrain(data, forget=(2, 3), num_models=32)
print(hf.evaluate(result, reference, data.test))
"""

import dataclasses
import difflib
import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import pandas as pd
from jax.typing import ArrayLike
from rich.console import Console

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import (
    ClassifierConfig,
    Config,
    DataConfig,
    ReferenceConfig,
    TaskConfig,
    ZooConfig,
    flatten,
    unflatten,
    validation,
)
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.diffusion.hypernetwork import Generator, generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import comparison
from hyperforget_jax.pipeline import pretrained, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device, run_on
from hyperforget_jax.pipeline.workdir import acquire_workdir, identity, zoo_identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn import prompts, reference, requests, starting_models
from hyperforget_jax.unlearn.requests import UnlearningRequest, UnlearningResult
from hyperforget_jax.zoo import storage

USUAL_STEPS = 4000
"""Optimiser steps of one classifier where the number of epochs is left open."""
Settings = TypeVar("Settings", ZooConfig, ReferenceConfig)


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
        folder = Path(path).expanduser().resolve()
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
    ...     zoo = hf.build_zoo(
    ...         data, hidden=(3,), pivots=(0, 1), num_runs=8, epochs=20, snapshots=4, path=folder, progress=False
    ...     )
    >>> zoo.config.classifier.hidden
    (3,)
    """
    folder, labels = Path(path).expanduser().resolve(), tuple(pivots)
    requests.validate_pivots(labels, data.classes)
    usual = _epochs(protocol, ZooConfig(), data)
    settings = _changed(ZooConfig(), usual | {"runs": num_runs, "folder": str(folder)})
    config = Config(
        seed=seed,
        workdir=str(folder),
        data=data.config,
        task=TaskConfig(labels, ()),
        classifier=ClassifierConfig(tuple(hidden)),
        zoo=settings,
    )
    run = _run(config, data, progress)
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return Zoo(folder, config, zoo_identity(config), pipeline_zoo.make_zoo(run))


class HyperForget:
    """A hypernetwork that answers unlearning requests: DiHyFo-1, DiHyFo-2 or G.pt (paper, section 3).

    >>> import hyperforget_jax as hf
    >>> hf.HyperForget(method="dihyfo2", steps=800, seed=0).config.training.steps
    800
    """

    def __init__(
        self,
        method: Literal["dihyfo1", "dihyfo2"] = "dihyfo2",
        steps: int = 2000,
        seed: int = 0,
        config: Config | None = None,
        progress: bool = True,
    ) -> None:
        """Takes the constants; `fit` takes the data.

        Args:
          method: "dihyfo1" updates given weights, "dihyfo2" generates from the prompt alone.
          steps: of the training.
          seed: of the training.
          config: codec, hypernetwork, diffusion, training, sampling and request settings; None: the defaults of `Config`.
          progress: whether to show it on stderr.

        Raises:
          HyperForgetError: a number that no setting can mean.
        """
        config = Config() if config is None else config
        self.config = replace(
            config,
            hypernetwork=replace(config.hypernetwork, kind=method),
            training=replace(config.training, steps=steps, seed=seed),
        )
        self.progress = progress
        self.pretrained: Pretrained | None = None
        validation.validate_config(self.config)

    def fit(self, zoo: Zoo, data: Dataset, workdir: str | os.PathLike[str] | None = None) -> "HyperForget":
        """Trains the hypernetwork on a zoo; returns itself.

        Args:
          zoo: from `build_zoo`.
          data: what the zoo was made from.
          workdir: folder of saved training states, from which a stopped training goes on; None: a temporary one.

        Raises:
          HyperForgetError: the zoo is of other data, or the workdir of another training.
        """
        with tempfile.TemporaryDirectory() as temporary:
            config = replace(
                zoo.config,
                workdir=str(temporary if workdir is None else workdir),
                data=data.config,
                zoo=replace(zoo.config.zoo, validation_share=self.config.zoo.validation_share),
                **{name: getattr(self.config, name) for name in OF_THE_HYPERNETWORK},
            )
            run = _run(config, data, self.progress)
            self._validate_origin(zoo, run)
            acquire_workdir(config)
            zoos = zoo.checkpoints.split(config.zoo.runs, config.zoo.validation_share)
            hypernetwork = training.train_hypernetwork(run, *zoos)
            self.pretrained = training.describe(run, hypernetwork, zoos[0])
        self.config = config
        self.__dict__.pop("_generator", None)
        return self

    def unlearn(
        self,
        forget: Iterable[int],
        data: Split,
        num_samples: int = 64,
        num_selected: int = 5,
        seed: int = 0,
    ) -> UnlearningResult:
        """Models that have forgotten some classes, selected on images that are used for nothing else (paper, section 4).

        Args:
          forget: labels of the classes to forget.
          data: validation images and labels: they choose the prompt and the selected models.
          num_samples: models to sample.
          num_selected: of these, how many to select.
          seed: of the samples.

        Returns:
          All models and the rows of the selected ones; `best` is the first of these.

        Raises:
          HyperForgetError: not fitted; a pivot, an unknown class, an empty or complete forget set.
        """
        model = self._fitted()
        labels = tuple(sorted(forget))
        requests.validate_request(labels, model.config.task.pivots, model.data.classes)
        request = replace(model.config.request, samples=num_samples, num_selected=num_selected)
        requests.validate_numbers(request)
        asked = UnlearningRequest(labels, model.data.classes)
        candidates = prompts.candidates(*model.statistics, asked.positions, request)
        split = on_device(data)
        start = starting_models.with_random_start(
            self._generator, model.sizes, model.config.hypernetwork, split
        )
        return requests.answer(
            lambda keys, losses: start(keys, losses, lambda count: None),
            candidates,
            asked,
            split,
            prng.stream(seed, requests.name_of(labels)),
            request,
        )

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Writes all that `from_pretrained` needs into one folder; a hypernetwork that stands there is replaced.

        Args:
          path: the folder: config.json, safetensors files and a manifest with checksums.

        Raises:
          HyperForgetError: not fitted; the folder holds something else; disk full, no permission.
        """
        model, folder = self._fitted(), Path(path).expanduser().resolve()
        if folder.exists() and any(folder.iterdir()) and not artifacts.is_complete(folder):
            raise HyperForgetError(f"{folder} holds something else: name a new folder, or an empty one")
        with artifacts.new_artifact(folder, identity(model.config)) as partial_folder:
            pretrained.save(partial_folder, model)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], progress: bool = True) -> "HyperForget":
        """A hypernetwork from the folder that `save_pretrained` wrote, or from the workdir of a finished run.

        Args:
          path: the folder.
          progress: whether later calls show it on stderr.

        Raises:
          HyperForgetError: no hypernetwork there, a damaged one, or one of an older format; says what makes it again.
        """
        folder = Path(path).expanduser().resolve()
        of_run = folder / HYPERNETWORK
        model = pretrained.load(of_run if of_run.is_dir() else folder)
        config = model.config
        found = cls(
            config.hypernetwork.kind, config.training.steps, training.training_seed(config), config, progress
        )
        found.config, found.pretrained = config, model
        return found

    @cached_property
    def _generator(self) -> Generator:
        """The compiled program of this hypernetwork."""
        return generator(self._fitted().hypernetwork, self._fitted().config.sampling)

    def _fitted(self) -> Pretrained:
        if self.pretrained is None:
            raise HyperForgetError("this HyperForget is not trained: call fit, or from_pretrained")
        return self.pretrained

    @staticmethod
    def _validate_origin(zoo: Zoo, run: Run) -> None:
        ours, theirs = (artifacts.as_json(each) for each in (zoo_identity(run.config), zoo.made_from))
        differing = [name for name in ours if ours[name] != theirs.get(name)]
        if differing:
            name = differing[0]
            raise HyperForgetError(
                f"the zoo {zoo.path} was made from other data ({name}: {theirs.get(name)} there, {ours[name]} here): "
                "give fit the data that build_zoo was given"
            )


OF_THE_HYPERNETWORK = ("codec", "hypernetwork", "diffusion", "training", "sampling", "loader", "request")
"""Sections of a config that a HyperForget brings; the others are the zoo's."""


def retrain(
    data: Dataset,
    forget: Iterable[int],
    *,
    hidden: Sequence[int] = (3,),
    num_models: int = 32,
    seed: int = 0,
    **optimisation: Any,
) -> Params:
    """Reference models: trained from scratch on the retained images only, all in one program.

    Args:
      data: images and labels.
      forget: labels of the classes to leave out; all outputs stay.
      hidden: width of each hidden layer.
      num_models: M.
      seed: of initialisations and minibatches.
      **optimisation: other fields of `ReferenceConfig`. Without `epochs`, training takes about 4,000 steps.

    Returns:
      M stacked models.

    Raises:
      HyperForgetError: an unknown class, an empty or complete forget set; a number that no setting can mean.

    >>> import hyperforget_jax as hf
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(2, 3), num_models=2, epochs=2)
    >>> models[0]["w"].shape
    (2, 3, 64)
    """
    labels = tuple(sorted(forget))
    requests.validate_request(labels, (), data.classes)
    settings = _changed(
        ReferenceConfig(), _epochs(optimisation, ReferenceConfig(), data) | {"seeds": num_models}
    )
    validation.validate_config(Config(reference=settings, classifier=ClassifierConfig(tuple(hidden))))
    sizes = (data.input_size, *hidden, data.num_classes)
    key = prng.stream(seed, "reference")
    models = reference.retrain(key, on_device(data.train), [data.positions(labels)], sizes, settings)
    return jax.tree.map(lambda leaf: leaf[0], models)


def evaluate(
    result: UnlearningResult, reference: Params, split: Split, train: Split | None = None
) -> pd.DataFrame:
    """Unlearned models beside reference models: accuracies, agreement and class losses as one frame (paper, section 4.1).

    Args:
      result: from `HyperForget.unlearn`.
      reference: M >= 2 stacked models from `retrain`, without the same classes.
      split: images and labels to measure on; those of `unlearn` would flatter the selected models.
      train: the training split, for membership inference; None: it is left out.

    Returns:
      One row for each metric, class, selection ("all" or "selected") and statistic, see `metrics.comparison.compare`.

    Raises:
      HyperForgetError: the models do not fit the images, or fewer than 2 reference models.

    >>> import numpy as np, hyperforget_jax as hf
    >>> from hyperforget_jax.unlearn.requests import UnlearningRequest
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(3,), num_models=4, epochs=2)
    >>> request = UnlearningRequest((3,), data.classes)
    >>> result = hf.UnlearningResult(request, np.zeros((1, 4)), np.ones(1), 0, models, np.array([0, 1]))
    >>> frame = hf.evaluate(result, models, data.test)
    >>> sorted(frame["selection"].dropna().unique())
    ['all', 'selected']
    """
    for models in (result.models, reference):
        _validate_inputs(models, split.images)
    request = result.request
    return comparison.compare(
        result.models, result.selected, reference, split, request.positions, train, classes=request.classes
    )


def predict(model: Params, images: ArrayLike) -> jax.Array:
    """Class scores of one model.

    Args:
      model: such as `UnlearningResult.best`.
      images: [n, …], preprocessed as those of `load_dataset`.

    Returns:
      [n, K] logits; softmax makes probabilities of them.

    Raises:
      HyperForgetError: the images have another size than the model takes.

    >>> import hyperforget_jax as hf, jax
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(3,), num_models=2, epochs=1)
    >>> hf.predict(jax.tree.map(lambda leaf: leaf[0], models), data.test.images).shape[1]
    4
    """
    rows = jnp.asarray(images, jnp.float32)
    rows = rows.reshape(len(rows), -1)  # [n, d]
    _validate_inputs(model, rows)
    return classifier.logits(model, rows)


def _validate_inputs(models: Params, images: ArrayLike) -> None:
    takes, given = models[0]["w"].shape[-1], jnp.shape(images)[-1]
    if takes != given:
        raise HyperForgetError(
            f"an image has {given} numbers, the model takes {takes}: give both the same data"
        )


def _run(config: Config, data: Dataset, progress: bool) -> Run:
    validation.validate_config(config)
    return run_on(config, data, Console(stderr=True, quiet=not progress), "hyperforget_jax")


def _epochs(given: dict[str, Any], usual: Settings, data: Dataset) -> dict[str, Any]:
    """Settings with the epochs that give the usual number of steps, unless they are among them."""
    batch_size = given.get("batch_size", usual.batch_size)
    steps = max(1, len(data.train.labels) // batch_size)
    return {"epochs": float(math.ceil(USUAL_STEPS / steps)), **given}


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Settings with some fields changed, each of which must exist."""
    names = [item.name for item in dataclasses.fields(settings)]
    for name in changes:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose of {', '.join(names)}"
            raise HyperForgetError(f"{name} is no field of {type(settings).__name__}: {hint}")
    return replace(settings, **changes)
