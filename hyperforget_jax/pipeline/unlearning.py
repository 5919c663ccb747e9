"""From a hypernetwork to unlearned models: each request is answered once and kept as an artifact."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import Prompts, validation
from hyperforget_jax.config.ranges import validate_seed
from hyperforget_jax.diffusion.hypernetwork import Generator, Start
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, prompt_book, training
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.resources import validate_resources
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts, requests, starting_models, state_dict
from hyperforget_jax.unlearn.requests import Floats, UnlearningRequest, UnlearningResult
from hyperforget_jax.weights.layout import flatten, unflatten_many
from hyperforget_jax.zoo.statistics import ZooStatistics
from hyperforget_jax.zoo.storage import Zoo

FOLDER = "requests"


@dataclass(frozen=True)
class Asked:
    """One request in full.

    Attributes:
      run: as if its config named the forget set, and the numbers of models.
      labels: of all classes that are forgotten, those too that the run always forgets.
      seed: of the samples.
      usual: whether numbers and seed are those of the run.
      start: file of the model that DiHyFo-1 updates; None: it starts from random ones.
    """

    run: Run
    labels: tuple[int, ...]
    seed: int
    usual: bool
    start: Path | None = None


@dataclass(frozen=True)
class StoredResult:
    """An answer and its place.

    Attributes:
      asked: the request.
      result: the models.
      folder: the artifact that holds them.
      cached: whether it was there before.
    """

    asked: Asked
    result: UnlearningResult
    folder: Path
    cached: bool


def candidate_prompts(run: Run, zoo: Zoo | ZooStatistics) -> list[Floats]:
    """Candidate prompts [C, K] of each forget set of the run, or those to draw from, from the zoo's training part.

    Raises:
      HyperForgetError: the zoo cannot serve a request; names it.
    """
    request, exposure = run.config.request, run.config.hypernetwork.exposure
    return [prompts.of_request(zoo, forget, request, exposure) for forget in run.forget_sets]


def validate_served(run: Run, zoo: Zoo | ZooStatistics) -> None:
    """Refuses a run with a forget set that the training part of its zoo cannot serve, in any of its modes, before any training."""
    for mode in run.modes:
        candidate_prompts(mode, zoo)


def unlearn(
    run: Run,
    forget: Sequence[int],
    num_samples: int | None = None,
    num_selected: int | None = None,
    seed: int | None = None,
    prompts: Prompts | None = None,
    start: Path | None = None,
) -> StoredResult:
    """Answers one request from a finished run, whether or not its config names the forget set; the zoo is not needed.

    The answer equals that of a run whose config named the set from the start. It is kept, and read back when asked again.

    Args:
      run: a finished one.
      forget: labels of the classes to forget, in any order; those that the run has purged are forgotten too.
      num_samples: models to sample; None: as the run's config says.
      num_selected: of these, how many to select on validation; None: as the run's config says.
      seed: of the samples; None: the run's.
      prompts: one for all models, or a draw for each; None: as the run's config says.
      start: a .safetensors file of the model that DiHyFo-1 updates, see `unlearn.state_dict`; None: it starts from random models.

    Raises:
      HyperForgetError: a pivot, an unknown class, an empty or complete forget set; a damaged or unfinished run; a start for DiHyFo-2,
        or one that is no such classifier.
    """
    asked = ask(run, forget, num_samples, num_selected, seed, prompts, start)
    asking, name, request = asked.run, name_of(asked.run, asked.labels), asked.run.config.request
    variant = "" if asked.usual else f"_samples-{request.samples}_selected-{request.num_selected}_seed-{asked.seed}"
    folder = run.folder / FOLDER / f"{name}{variant}"
    made_from = _made_from(asking, asked.labels, asked.seed)
    if start is not None:
        sha256 = artifacts.checksum(start)
        folder, made_from = folder.with_name(f"{folder.name}_from-{sha256[:12]}"), made_from | {"start": sha256}
    cached = asking.reuses(name, folder, made_from, asking.inputs)
    if not cached:
        model, generators = _loaded(asking)
        with asking.timed(name, resumes=False):
            result = _sampled(asking, asked.labels, model, generators, asked.seed, start)
        _store(asking, result, folder, made_from)
    return StoredResult(asked, read(folder, run.sizes), folder, cached)


def ask(
    run: Run,
    forget: Sequence[int],
    num_samples: int | None,
    num_selected: int | None,
    seed: int | None,
    prompts: Prompts | None,
    start: Path | None = None,
) -> Asked:
    """A request in full, before any work; the arguments are those of `unlearn`.

    Raises:
      HyperForgetError: a pivot, an unknown class, an empty or complete forget set; a number out of range or beyond the memory.
    """
    labels = requests.requested(forget, run.config.task, run.dataset.classes)
    if start is not None:
        if run.config.hypernetwork.kind != "dihyfo1":
            raise HyperForgetError(
                f"{run.folder} is a run of {run.config.hypernetwork.kind}, which updates no model: name a run of dihyfo1, or give no model"
            )
        state_dict.read(start, run.sizes)
    run = run if prompts is None else run.prompted(prompts)
    task, default = replace(run.config.task, forget_sets=(labels,)), run.config.request
    request = replace(
        default,
        samples=default.samples if num_samples is None else num_samples,
        num_selected=default.num_selected if num_selected is None else num_selected,
    )
    asking = replace(run, config=replace(run.config, task=task, request=request))
    validation.validate_config(asking.config)
    validate_resources(asking.config, run.sizes)
    own = run.config.seed
    seed = own if seed is None else seed
    validate_seed("seed", seed)
    return Asked(asking, labels, seed, request == default and seed == own, start)


def sample_again(asked: Asked) -> UnlearningResult:
    """The models of a request, made anew whatever is stored, and kept nowhere."""
    return _sampled(asked.run, asked.labels, *_loaded(asked.run), asked.seed, asked.start)


def unlearn_all(run: Run, model: Pretrained, generate: Generator) -> list[UnlearningResult]:
    """Answers every forget set of the run's config.

    Args:
      run: says how, and where answers are kept.
      model: the hypernetwork with its prompts and the statistics of its zoo.
      generate: the hypernetwork as a generator.

    Raises:
      HyperForgetError: the zoo cannot serve a request; names it.
    """
    generators, results = training.judging_generators(run, model.hypernetwork, generate), list[UnlearningResult]()
    for labels in run.config.task.forget_sets:
        name, made_from = name_of(run, labels), _made_from(run, labels, run.config.seed)
        folder = run.folder / FOLDER / name
        if not run.reuses(name, folder, made_from, run.inputs):
            with run.timed(name_of(run, labels), resumes=False):
                result = _sampled(run, labels, model, generators, run.config.seed)
            _store(run, result, folder, made_from)
        results.append(read(folder, run.sizes))
    return results


def stored(run: Run, labels: tuple[int, ...]) -> UnlearningResult:
    """What a finished run answered to one of its forget sets."""
    return read(run.folder / FOLDER / name_of(run, labels), run.sizes)


def name_of(run: Run, labels: Sequence[int]) -> str:
    """Name of a request and of its folder: forget-2-3, or forget-2-3-best where prompts are not those of the run's config."""
    return f"{requests.name_of(labels)}{run.variant}"


def _made_from(run: Run, labels: tuple[int, ...], seed: int) -> dict[str, object]:
    return identity(run.config) | {"forget_set": labels, "request_seed": seed}


def _loaded(run: Run) -> tuple[Pretrained, Sequence[Generator]]:
    """The run's hypernetwork, and its generators of each round."""
    model = pretrained.load(run.folder / HYPERNETWORK)
    generator = training.generator_of(run, model.hypernetwork)
    return model, training.judging_generators(run, model.hypernetwork, generator)


def _sampled(
    run: Run,
    labels: tuple[int, ...],
    model: Pretrained,
    generators: Sequence[Generator],
    seed: int,
    start: Path | None = None,
) -> UnlearningResult:
    """Samples with the last of the generators, from a model in a file or from none, and selects."""
    name, config, request = name_of(run, labels), run.config.request, UnlearningRequest(labels, run.dataset.classes)
    about = request, on_device(run.dataset.validation), prng.stream(seed, requests.name_of(labels)), config
    page = None if config.prompts == "drawn" else prompt_book.page(run, labels, model, generators)
    begin = None if start is None else _copies(run, state_dict.read(start, run.sizes), config.samples)
    with track(run.console, name, config.samples, "models") as advance:

        def generate(keys: jax.Array, asked: jax.Array) -> Params:
            return generators[-1](keys, asked, advance, begin)

        if page is None:
            exposure = run.config.hypernetwork.exposure
            drawn_from = prompts.of_request(model.statistics, request.positions, config, exposure)
            result = requests.answer_drawn(generate, drawn_from, *about)
        else:
            result = requests.answer(generate, page, *about)
    validate_finite(
        f"models of {name}", result.models, "make the hypernetwork again with a lower training.learning_rate"
    )
    return result


def _copies(run: Run, model: Params, count: int) -> Start:
    """One model as the start of so many, with its metric on validation."""
    models = jax.tree.map(lambda leaf: jnp.tile(leaf[None], (count,) + (1,) * leaf.ndim), model)
    return Start(models, starting_models.metric_of(run.config.hypernetwork, models, on_device(run.dataset.validation)))


def _store(run: Run, result: UnlearningResult, folder: Path, made_from: dict[str, object]) -> None:
    """Keeps an answer, and says so if nothing has forgotten."""
    with artifacts.new_artifact(folder, made_from, run.inputs) as partial_folder:
        write(partial_folder, result)
    if not result.candidate_scores.any():
        name = name_of(run, result.request.labels)
        run.console.print(f"{name}: NO sample of any prompt has forgotten: train the hypernetwork longer")


def write(folder: Path, result: UnlearningResult) -> None:
    """Writes `answer.npz` and `weights.npy` into a folder."""
    arrays: dict[str, Any] = {
        "forget_labels": np.array(result.request.labels),
        "classes": np.array(result.request.classes),
        "candidate_prompts": result.candidate_prompts,
        "candidate_scores": result.candidate_scores,
        "chosen": np.array(result.chosen),
        "selected": result.selected,
    }
    np.savez(folder / "answer.npz", **arrays)
    np.save(folder / "weights.npy", np.asarray(jax.vmap(flatten)(result.models)))


def read(folder: Path, sizes: Sequence[int]) -> UnlearningResult:
    """Reads what `write` wrote, of classifiers with these widths."""
    weights = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [N, P]
    with np.load(folder / "answer.npz", allow_pickle=False) as arrays:
        labels, classes = (tuple(int(label) for label in arrays[name]) for name in ("forget_labels", "classes"))
        return UnlearningResult(
            request=UnlearningRequest(labels, classes),
            candidate_prompts=arrays["candidate_prompts"],
            candidate_scores=arrays["candidate_scores"],
            chosen=int(arrays["chosen"]),
            models=unflatten_many(weights, tuple(sizes)),
            selected=arrays["selected"],
        )
