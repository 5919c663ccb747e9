"""A hypernetwork: trained, saved, loaded, asked to unlearn."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from hyperforget_jax.api import hub
from hyperforget_jax.api.settings import run_of
from hyperforget_jax.api.zoo import Zoo
from hyperforget_jax.config import Config, Prompts, validation
from hyperforget_jax.config.ranges import validate_seed
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.diffusion.hypernetwork import Generator, generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, shipped, training
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.resources import validate_resources
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.pipeline.workdir import acquire_workdir, current, identity, zoo_identity
from hyperforget_jax.runtime import artifacts, locks, prng
from hyperforget_jax.runtime.jax_settings import validate_jax
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.unlearn import halving, requests, starting_models
from hyperforget_jax.unlearn.halving import Generate
from hyperforget_jax.unlearn.prompt_book import Page
from hyperforget_jax.unlearn.prompts import of_request
from hyperforget_jax.unlearn.requests import UnlearningRequest, UnlearningResult
from hyperforget_jax.zoo.train import Images


class HyperForget:
    """A hypernetwork that answers unlearning requests: DiHyFo-1, DiHyFo-2 or G.pt (paper, section 3).

    On a zoo and a hypernetwork so small that they learn nothing:

    >>> import tempfile, hyperforget_jax as hf
    >>> from hyperforget_jax.config import CodecConfig, HypernetworkConfig, RequestConfig, SamplingConfig
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> small = hf.Config(
    ...     codec=CodecConfig(basis_size=8),
    ...     hypernetwork=HypernetworkConfig(hidden_size=16, depth=1, num_heads=2),
    ...     sampling=SamplingConfig(steps=2),
    ...     request=RequestConfig(forget_levels=1, trial_samples=(2,)),
    ... )
    >>> protocol = {"epochs": 20, "snapshots": 4, "never_seen_probability": 1.0, "learning_rate": (1e-2, 2e-2), "runs_per_block": 32}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     zoo = hf.build_zoo(data, path=f"{folder}/zoo", pivots=(0, 1), num_runs=32, progress=False, **protocol)
    ...     model = hf.HyperForget(steps=2, config=small, progress=False).fit(zoo, data)
    ...     model.save_pretrained(f"{folder}/small")
    ...     model = hf.HyperForget.from_pretrained(f"{folder}/small")
    >>> result = model.unlearn(forget=(2, 3), data=data.validation, num_samples=8)
    >>> hf.predict(result.best, data.test.images).shape
    (177, 4)
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
        """Trains the hypernetwork on a zoo and judges its prompts on the validation images; returns itself.

        Args:
          zoo: from `build_zoo`.
          data: what the zoo was made from.
          workdir: folder of saved training states, from which a stopped training goes on; None: a temporary one.

        Raises:
          HyperForgetError: the zoo is of other data, or the workdir of another training.
        """
        with tempfile.TemporaryDirectory() as temporary, locks.scope():
            config = replace(
                zoo.config,
                workdir=str(temporary if workdir is None else workdir),
                data=data.config,
                zoo=replace(zoo.config.zoo, validation_share=self.config.zoo.validation_share),
                **{name: getattr(self.config, name) for name in OF_THE_HYPERNETWORK},
            )
            run = run_of(config, data, self.progress)
            self._validate_origin(zoo, run)
            acquire_workdir(config)
            zoos = zoo.checkpoints.split(config.zoo.runs, config.zoo.validation_share)
            self.pretrained = training.train_hypernetwork(run, *zoos)
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
        prompts: Prompts | None = None,
    ) -> UnlearningResult:
        """Models as if trained without some classes, selected on images that are used for nothing else (paper, section 4).

        Args:
          forget: labels of the classes to forget; those that were purged are forgotten too.
          data: validation images and labels, which select the models. The prompt is the one that the hypernetwork's prompt book has; a set
            that it lacks, as books of more than 256 sets do, has its prompts judged on `data` when it is first asked for.
          num_samples: models to sample.
          num_selected: of these, how many to select.
          seed: of the samples.
          prompts: "best", one for all models, that of the prompt book (the paper's); "drawn", one for each from clean runs (sample at
            `sampling.temperature` 1 with it); None: as the config says.

        Returns:
          All models and the rows of the selected ones; `best` is the first of these.

        Raises:
          HyperForgetError: not fitted; a pivot, an unknown class, an empty or complete forget set.
        """
        validate_jax()
        model = self._fitted()
        labels = requests.requested(tuple(forget), model.config.task, model.data.classes)
        usual = model.config.request
        request = replace(usual, samples=num_samples, num_selected=num_selected, prompts=prompts or usual.prompts)
        asking = replace(model.config, request=request)
        validation.validate_config(asking)
        validate_resources(asking, model.sizes)
        validate_seed("seed", seed)
        asked, split = UnlearningRequest(labels, model.data.classes), on_device(data)
        about = asked, split, prng.stream(seed, requests.name_of(labels)), request
        generate = self._quietly(self._generator, split)
        if request.prompts == "best":
            return requests.answer(generate, self._page(asked, split), *about)
        drawn_from = of_request(model.statistics, asked.positions, request, model.config.hypernetwork.exposure)
        return requests.answer_drawn(generate, drawn_from, *about)

    def _page(self, asked: UnlearningRequest, split: Images) -> Page:
        """The page of the prompt book, or one that is judged on a split and kept beside the others."""
        model, name = self._fitted(), requests.name_of(asked.labels)
        if name not in model.book:
            config, exposure = replace(model.config.request, prompts="best"), model.config.hypernetwork.exposure
            candidates = of_request(model.statistics, asked.positions, config, exposure)
            few = halving.few_steps(model.config.sampling, config)
            quick = self._quietly(generator(model.hypernetwork, few), split)
            rounds = [*[quick] * (len(config.trial_samples) - 1), self._quietly(self._generator, split)]
            key = requests.judging_key(prng.stream(model.config.seed, name))
            page = halving.judge_prompts(rounds, candidates, asked.positions, split, key, config)
            self.pretrained = replace(model, book={**model.book, name: page})
        return self._fitted().book[name]

    def _quietly(self, generate: Generator, split: Images) -> Generate:
        """A generator without progress; DiHyFo-1 starts from random models that are measured on a split."""
        model = self._fitted()
        start = starting_models.with_random_start(generate, model.sizes, model.config.hypernetwork, split)
        return lambda keys, asked: start(keys, asked, lambda count: None)

    def save_pretrained(self, path: str | os.PathLike[str]) -> None:
        """Writes all that `from_pretrained` needs into one folder; a hypernetwork that stands there is replaced.

        Args:
          path: the folder: config.json, safetensors files and a manifest with checksums.

        Raises:
          HyperForgetError: not fitted; the folder holds something else; disk full, no permission.
        """
        model, folder = self._fitted(), expand(path, "path").resolve()
        if folder.exists() and any(folder.iterdir()) and not artifacts.is_complete(folder):
            raise HyperForgetError(f"{folder} holds something else: name a new folder, or an empty one")
        with artifacts.new_artifact(folder, identity(model.config)) as partial_folder:
            pretrained.save(partial_folder, model)

    def push_to_hub(self, repo_id: str) -> str:
        """Writes what `save_pretrained` writes to the Hugging Face Hub, and returns the address.

        Whoever can read it can ask it for models that know every class.

        Args:
          repo_id: USER/NAME; made if it is missing.

        Raises:
          HyperForgetError: not fitted; no such account, no permission, no network, or the package huggingface_hub is missing.
        """
        with tempfile.TemporaryDirectory() as temporary:
            self.save_pretrained(Path(temporary) / "model")
            return hub.upload(Path(temporary) / "model", repo_id)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], progress: bool = True) -> "HyperForget":
        """A hypernetwork from the folder that `save_pretrained` wrote, or from the workdir of a finished run.

        Args:
          path: the folder; or the name of a hypernetwork that the package brings, such as "digits4"; or USER/NAME on the Hugging Face
            Hub, if no such folder is here.
          progress: whether later calls show it on stderr.

        Raises:
          HyperForgetError: no hypernetwork there, a damaged one, or one of an older format; says what makes it again.
        """
        given = expand(path, "path")
        folder = hub.download(str(given)) if hub.is_name(given) else current(shipped.folder_of(given).resolve())
        of_run = folder / HYPERNETWORK
        model = pretrained.load(of_run if of_run.is_dir() else folder)
        config = model.config
        found = cls(config.hypernetwork.kind, config.training.steps, training.training_seed(config), config, progress)
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
