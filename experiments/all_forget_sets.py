"""Every forget set from one hypernetwork, beside models retrained for each: `subsets/` in the workdir, resumed request by request."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.evaluate.results import Row, to_json
from hyperforget_jax.pipeline import cache, evaluation, results, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.report.paper_figures import Subset
from hyperforget_jax.report.tables import REFERENCE, select
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.weights.layout import flatten, unflatten

FOLDER = "subsets"
AT_ONCE = 4
"""Forget sets whose references are trained as one block."""


def every(run: Run) -> list[tuple[int, ...]]:
    """All sets of forgettable classes, by their labels; one class at least is retained."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    sets = itertools.chain.from_iterable(
        itertools.combinations(labels, size) for size in range(1, len(labels) + 1)
    )
    return [each for each in sets if len(each) < run.dataset.num_classes]


def rows(run: Run) -> list[dict[str, Any]]:
    """Tidy rows of every forget set, strict, made once: `subsets/` in the workdir."""
    task = replace(run.config.task, forget_sets=tuple(every(run)))
    asking = replace(run, config=replace(run.config, task=task), folder=run.folder / FOLDER)
    return cache.rows(run, FOLDER, lambda: map(to_json, _measured(run, asking)), forget_sets=task.forget_sets)


def of_rows(rows: Sequence[Mapping[str, Any]], method: str) -> dict[tuple[int, ...], Subset]:
    """What tidy rows tell of every forget set, in their order."""
    best, unselected = (select(rows, (method,), selection) for selection in ("selected", "all"))
    reference = select(rows, (REFERENCE,), None)
    return {
        forget: Subset(
            unselected[forget, "retain_accuracy", "median"]["value"],
            best[forget, "retain_accuracy", "mean"]["value"],
            reference[forget, "retain_accuracy", "median"]["value"],
            unselected[forget, "forget_accuracy", "mean"]["value"],
        )
        for forget in dict.fromkeys(key[0] for key in best)
    }


def worst(found: Mapping[tuple[int, ...], Subset]) -> tuple[int, ...]:
    """The forget set whose selected models fall furthest below the retrained ones."""
    return max(found, key=lambda forget: found[forget].gap)


def _measured(run: Run, asking: Run) -> list[Row]:
    known, held_out = pipeline_zoo.split_zoo(run)
    candidates = unlearning.candidate_prompts(asking, known)
    hypernetwork = training.train_hypernetwork(run, known, held_out)
    answers = unlearning.unlearn_all(asking, candidates, training.generator_of(run, hypernetwork))
    return results.unlearning_rows(asking, evaluation.evaluate(asking, answers, references(asking)))


def references(run: Run) -> Params:
    """Models retrained without each forget set, leaves [F, M, …]; a few sets at a time, each an artifact."""
    groups = list(_groups(run.forget_sets))
    with (
        run.timed("reference models", resumes=True),
        track(run.console, "reference models", len(run.forget_sets), "forget sets") as advance,
    ):
        parts = [_reference(run, number, group, advance) for number, group in enumerate(groups)]
    weights = jnp.asarray(np.concatenate(parts))  # [F, M, P]
    return jax.vmap(jax.vmap(partial(unflatten, sizes=run.sizes)))(weights)


def _groups(sets: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    for first in range(0, len(sets), AT_ONCE):
        yield sets[first : first + AT_ONCE]


def _reference(run: Run, number: int, group: list[tuple[int, ...]], advance: Any) -> Any:
    labels = ([run.dataset.classes[position] for position in each] for each in group)
    folder = run.folder / "reference" / "_".join("-".join(map(str, each)) for each in labels)
    if not artifacts.is_complete(folder):
        key = prng.stream(run.config.seed, f"{FOLDER}/reference/{number}")
        models = retrain(key, on_device(run.dataset.train), group, run.sizes, run.config.reference)
        with artifacts.new_artifact(folder, identity(run.config)) as place:
            np.save(place / "weights.npy", np.asarray(jax.vmap(jax.vmap(flatten))(models)))
    advance(len(group))
    artifacts.verify(folder)
    return np.load(folder / "weights.npy", allow_pickle=False)  # [G, M, P]
