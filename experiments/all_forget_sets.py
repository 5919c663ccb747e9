"""Every forget set from one hypernetwork, beside models retrained for each: `python -m experiments.reproduce subsets-mnist4-dihyfo2`.

Kept in `subsets/` of the run's workdir; a stopped measurement goes on with the next request.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.metrics.results import Row
from hyperforget_jax.pipeline import cache, evaluation, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.prompt_book import allowed_sets
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.report import forget_set_heatmap
from hyperforget_jax.report.result import METHODS, Result, number_table
from hyperforget_jax.report.tables import braces, number
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.weights.layout import flatten, unflatten

FOLDER = "subsets"
SETS_PER_BLOCK = 4
"""Forget sets whose references are trained as one block."""


def rows(run: Run) -> list[dict[str, Any]]:
    """Results of every forget set, strict, measured once."""
    task = replace(run.config.task, forget_sets=tuple(allowed_sets(run)))
    asking = replace(run, config=replace(run.config, task=task), folder=run.folder / FOLDER)
    return cache.rows(run, FOLDER, lambda: _measured(run, asking), forget_sets=task.forget_sets)


def every_forget_set(setting: str, method: str, runs: RunFolder) -> Result:
    """Retain and forget accuracy of every forget set, beside models retrained for each; the worst named."""
    found = forget_set_heatmap.accuracies(rows(runs.open(setting, method).run), method)
    worst = forget_set_heatmap.worst(found)
    lines: list[dict[str, Any]] = [
        {
            "forget_set": "-".join(map(str, forget)),
            "retain_all_median": each.unselected,
            "retain_selected_mean": each.selected,
            "retain_reference_median": each.reference,
            "gap": each.gap,
            "forget_all_mean": each.forget,
        }
        for forget, each in found.items()
    ]
    heads = ("Forget", "Retain, all, median", "Retain, selected", "Retain, retrained, median", "Gap", "Forget, all")
    words = (
        f"{METHODS[method]}, {setting}: one hypernetwork, {len(found)} forget sets, test images, strict. Gap: by how much the selected "
        f"models fall below the retrained ones' median. The worst is {braces(worst)}: {number(found[worst].gap)}.\n"
    )
    return Result(
        f"Every forget set, {METHODS[method]}, {setting}",
        f"{words}\n{number_table(heads, lines)}",
        lines,
        {f"subsets-{setting}-{method}": forget_set_heatmap.heatmap(found)},
    )


def _measured(run: Run, asking: Run) -> list[Row]:
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    unlearning.validate_served(asking, train_zoo)
    model = training.train_hypernetwork(run, train_zoo, val_zoo)
    answers = unlearning.unlearn_all(asking, model, training.generator_of(run, model.hypernetwork))
    return evaluation.rows(asking, evaluation.evaluate(asking, answers, references(asking)))


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
    for first in range(0, len(sets), SETS_PER_BLOCK):
        yield sets[first : first + SETS_PER_BLOCK]


def _reference(run: Run, number: int, group: list[tuple[int, ...]], advance: Any) -> Any:
    labels = ([run.dataset.classes[position] for position in each] for each in group)
    folder = run.folder / "reference" / "_".join("-".join(map(str, each)) for each in labels)
    if not artifacts.is_complete(folder):
        key = prng.stream(run.config.seed, f"{FOLDER}/reference/{number}")
        models = retrain(key, on_device(run.dataset.train), group, run.sizes, run.config.reference)
        with artifacts.new_artifact(folder, identity(run.config)) as partial_folder:
            np.save(partial_folder / "weights.npy", np.asarray(jax.vmap(jax.vmap(flatten))(models)))
    advance(len(group))
    artifacts.verify(folder)
    return np.load(folder / "weights.npy", allow_pickle=False)  # [G, M, P]
