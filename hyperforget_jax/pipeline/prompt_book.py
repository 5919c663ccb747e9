"""The prompt book of a run's hypernetwork: made when training ends, for every forget set; a page that it lacks is made on first use."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence

import jax
import numpy as np

from hyperforget_jax.diffusion.hypernetwork import Generator, Hypernetwork
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import halving, prompt_book, prompts, requests
from hyperforget_jax.unlearn.prompt_book import Floats, Page
from hyperforget_jax.zoo import coverage
from hyperforget_jax.zoo.statistics import ZooStatistics

FOLDER = "prompts"
"""Of a workdir: pages that the book lacks."""
MOST_SETS = 256
"""Forget sets up to which all have their page when training ends."""


def allowed_sets(run: Run) -> list[tuple[int, ...]]:
    """Labels of every set that the run's task allows to forget, with what is purged; small ones first."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    codes = range(1, 2 ** len(labels))
    sets = {requests.with_always(coverage.members(code, labels), run.config.task.always) for code in codes}
    return sorted((each for each in sets if len(each) < run.dataset.num_classes), key=lambda each: (len(each), each))


def make(run: Run, statistics: ZooStatistics, generators: Sequence[Generator]) -> dict[str, Page]:
    """Judges the candidate prompts of every allowed forget set that the zoo can serve.

    No page is made if these sets are more than 256, or if the hypernetwork is not asked for class losses.

    Args:
      run: its validation images judge.
      statistics: of the training part of its zoo.
      generators: of each round, as `training.judging_generators` gives them.
    """
    sets = allowed_sets(run)
    if len(sets) > MOST_SETS or run.config.hypernetwork.metric != "class_losses":
        return {}
    candidates = dict[tuple[int, ...], Floats]()
    for labels in sets:
        with contextlib.suppress(HyperForgetError):  # the zoo cannot serve it; whoever asks for it is told
            candidates[labels] = _candidates(run, statistics, labels)
    total = sum(halving.num_models(len(each), run.config.request) for each in candidates.values())
    with run.timed("prompts", resumes=False), track(run.console, "prompts", total, "models") as advance:
        return {
            requests.name_of(labels): _judged(run, labels, asked, generators, advance)
            for labels, asked in candidates.items()
        }


def page(run: Run, labels: tuple[int, ...], model: Pretrained, generators: Sequence[Generator]) -> Page:
    """The page of a forget set: that of the book, or one that is judged now and kept in `prompts/` of the workdir.

    Args:
      run: its validation images judge.
      labels: of the forget set, in rising order.
      model: the run's hypernetwork, its book and the statistics of its zoo.
      generators: of each round.

    Raises:
      HyperForgetError: the zoo cannot serve the forget set.
    """
    name = requests.name_of(labels)
    if name in model.book:
        return model.book[name]
    folder = run.folder / FOLDER / name
    made_from = identity(model.config) | {"forget_set": labels, "hypernetwork": _fingerprint(model.hypernetwork)}
    if not run.reuses(f"prompts {name}", folder, made_from, run.inputs):
        asked = _candidates(run, model.statistics, labels)
        total = halving.num_models(len(asked), run.config.request)
        with track(run.console, f"prompts {name}", total, "models") as advance:
            judged = _judged(run, labels, asked, generators, advance)
        with artifacts.new_artifact(folder, made_from, run.inputs) as partial_folder:
            prompt_book.save({name: judged}, partial_folder)
    return prompt_book.load(folder)[name]


def _candidates(run: Run, statistics: ZooStatistics, labels: tuple[int, ...]) -> Floats:
    config = run.prompted("best").config
    return prompts.of_request(statistics, run.dataset.positions(labels), config.request, config.hypernetwork.exposure)


def _judged(
    run: Run, labels: tuple[int, ...], asked: Floats, generators: Sequence[Generator], advance: Callable[[int], None]
) -> Page:
    """A page depends on the run's seed and the set alone, not on the others."""
    key = requests.judging_key(prng.stream(run.config.seed, requests.name_of(labels)))
    counted = [lambda keys, losses, each=each: each(keys, losses, advance) for each in generators]
    split = on_device(run.dataset.validation)
    return halving.judge_prompts(counted, asked, run.dataset.positions(labels), split, key, run.config.request)


def _fingerprint(hypernetwork: Hypernetwork) -> str:
    """SHA-256 of a hypernetwork's parameters and its student's, in hexadecimal."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves((hypernetwork.params, hypernetwork.student)):
        found.update(np.asarray(leaf).tobytes())
    return found.hexdigest()
