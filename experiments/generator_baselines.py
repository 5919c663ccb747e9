"""What a generator must beat, at the same prompts, and whether it only recites: `python -m experiments.reproduce rivals-mnist4-dihyfo2`.

Kept in `rivals/` of the run's workdir.

Rivals: the checkpoints of the zoo nearest to a prompt (`retrieval`), the same with noise (`noise`), and averages of neighbours
(`average`). Novelty: the distance of every model from the nearest of the training checkpoints closest to the prompt in losses, and the
mistakes it shares with them, beside those of checkpoints of held-out runs and of the clean reference: a control, since no hypernetwork was
trained on either.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion import conditioning
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.metrics import comparison, novelty
from hyperforget_jax.metrics.results import CLEAN, REFERENCE, Row, rows_of
from hyperforget_jax.pipeline import alignment, cache, evaluation, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid, Sweep
from hyperforget_jax.pipeline.reference import clean_reference, reference_models
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.report.result import METHODS, Result, alignment_means, number_table
from hyperforget_jax.report.tables import select
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import retrieval, selection
from hyperforget_jax.unlearn.requests import Floats, UnlearningResult
from hyperforget_jax.weights.codec import Functional
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo.storage import Zoo

FOLDER = "rivals"
RIVALS = ("retrieval", "noise", "average")
CONTROLS = ("held_out", CLEAN)
"""Of novelty: checkpoints of held-out runs, and the ends of clean runs."""
COMPARED = (
    *("retain_accuracy", "forget_accuracy", "failed_models", "overlap_retain", "phi_jsd", "mia"),
    *("novelty_distance", "novelty_shared_mistakes"),
)
MODELS = 64
"""Of each rival, for each request."""
NOISE = 0.05
"""Deviation of the noise on a checkpoint, as a share of the root mean square of each tensor."""
NEIGHBOURS = 5
"""Checkpoints in an average."""
FAILED = 0.05
"""By how much a model's retain accuracy may fall below the retrained ones' median before it has failed."""
CHECKPOINTS = 20000
"""Checkpoints nearest to the prompt, among which the nearest one in weights is looked for."""


def against_rivals(setting: str, method: str, runs: RunFolder) -> Result:
    """The generator beside retrieval, noise and averages at the same prompts; alignment and novelty."""
    finished = runs.open(setting, method)
    measured = [*finished.rows, *rows(finished.run)]
    by_method = {name: select(measured, (name,), "all") for name in (method, *RIVALS, *CONTROLS)}
    by_method[REFERENCE] = select(measured, (REFERENCE,), None)
    lines: list[dict[str, Any]] = [
        {
            "forget_set": "-".join(map(str, forget)),
            "method": name,
            **{metric: found.get((forget, metric, "median"), {"value": None})["value"] for metric in COMPARED},
        }
        for forget in finished.run.config.task.forget_sets
        for name, found in by_method.items()
    ]
    means = alignment_means(measured)
    aligned: list[dict[str, Any]] = [
        {"class": label, "method": name}
        | {metric: means[label, name, f"alignment_{metric}"] for metric in ("r2", "pearson")}
        for label in finished.labels
        for name in (method, "retrieval", "nearest")
    ]
    heads = (
        *(
            "Forget",
            "Models",
            "Accuracy on D_r",
            "Accuracy on D_f",
            "Failed",
            "Overlap on D_r",
            "φ, JSD in bits",
            "MIA",
        ),
        *("Distance from the zoo", "Shared mistakes"),
    )
    words = (
        f"{METHODS[method]}, {setting}, test images, medians of unselected models at the prompt that was chosen on validation. "
        f"Failed: share with forget accuracy above {finished.run.config.request.forget_tolerance:g}, or "
        f"{FAILED:g} below the retrained ones' median. "
        f"Retrieval: the checkpoints of the zoo nearest to the prompt in standardised log losses; noise: these with Gaussian noise of "
        f"{NOISE:g} times each tensor's root mean square; average: {NEIGHBOURS} neighbours, aligned. "
        f"Distance: from the nearest of the {CHECKPOINTS:,} training checkpoints closest to the prompt in losses, free of symmetries; "
        "held out: checkpoints of runs it was not trained on; clean reference: clean runs by the zoo's recipe, which never saw the "
        "forget set. Their distance is the control: a smaller one comes closer to the zoo than a new run does. "
        "Shared mistakes: of the retained test images that a model or a checkpoint gets "
        f"wrong, the greatest share that both do, with any of the {MODELS * NEIGHBOURS} checkpoints nearest to the prompt. "
        "Alignment: the families of retrieval are the nearest checkpoint of every prompt, the second nearest, and so on; nearest: the "
        "first alone.\n"
    )
    tables = (number_table(heads, lines), number_table(("Class", "Models", "R², mean", "Pearson, mean"), aligned))
    return Result(f"Rivals of {METHODS[method]}, {setting}", "\n".join((words, *tables)), lines, {})


def rows(run: Run) -> list[dict[str, Any]]:
    """Results of the rivals, measured once."""
    settings = {
        "models": MODELS,
        "noise": NOISE,
        "neighbours": NEIGHBOURS,
        "failed": FAILED,
        "checkpoints": CHECKPOINTS,
        "controls": CONTROLS,
        "forget_sets": run.config.task.forget_sets,
    }
    return cache.rows(run, FOLDER, lambda: _measured(run), **settings)


def _measured(run: Run) -> list[Row]:
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    model = training.train_hypernetwork(run, train_zoo, val_zoo)
    hypernetwork = model.hypernetwork
    unlearning_results = unlearning.unlearn_all(run, model, training.generator_of(run, hypernetwork))
    reference, clean = reference_models(run), clean_reference(run)
    measured = list[Row]()
    with track(run.console, "rivals", len(unlearning_results), "requests") as advance:
        for index, result in enumerate(unlearning_results):
            labels, forget = run.config.task.forget_sets[index], run.forget_sets[index]
            prompt = result.prompt
            theirs = jax.tree.map(lambda leaf, i=index: leaf[i], reference)
            seen_reference = comparison.outputs(theirs, run.dataset.test, run.dataset.train)
            seen = {
                name: comparison.outputs(models, run.dataset.test, run.dataset.train)
                for name, models in of_prompt(run, hypernetwork, train_zoo, prompt).items()
            }
            ours = classifier.class_scores_of_many(result.models, *on_device(run.dataset.test))[1]  # [N, K]
            accuracies: dict[str, Floats] = {run.config.hypernetwork.kind: np.asarray(ours)}
            accuracies |= {name: each.class_metrics["class_accuracy"] for name, each in seen.items()}
            for name, table in accuracies.items():
                about = replace(evaluation.context(run, name, labels), selection="all")
                share = np.array([failed(run, forget, table, seen_reference.class_metrics["class_accuracy"])])
                settings: dict[str, Any] = {"ideal": 0.0, **evaluation.resampling(run)}
                measured += rows_of(share, about, metric="failed_models", class_=None, **settings)
            for name, each in seen.items():
                about = replace(evaluation.context(run, name, labels), selection="all")
                measured += evaluation.metric_rows(
                    run, about, comparison.metrics(each, seen_reference, run.dataset.test, forget, run.dataset.train)
                )
            of_set = jax.tree.map(lambda leaf, i=index: leaf[i][:MODELS], clean)
            measured += _novelty(run, hypernetwork, train_zoo, val_zoo, of_set, result)
            advance(1)
    for label, sweep in _sweeps(run, hypernetwork, train_zoo, alignment.grids(run, train_zoo)).items():
        first = replace(sweep, observed=sweep.observed[:1])
        for name, families in (("nearest", first), ("retrieval", sweep)):
            measured += alignment.sweep_rows(run, evaluation.context(run, name, ()), label, families)
    return measured


def failed(run: Run, forget: tuple[int, ...], models: Floats, reference: Floats) -> float:
    """Share of models that remember more than `forget_tolerance`, or fall below the reference models' median by more than `FAILED`.

    Args:
      run: its test images say how classes weigh.
      forget: output positions of the classes to forget.
      models: [N, K], class accuracies on test.
      reference: [M, K], those of the retrained models.
    """
    retained, forgotten = selection.class_weights(run.dataset.test.labels, forget, run.sizes[-1])
    bad = models @ retained < np.median(reference @ retained) - FAILED
    return float(np.mean(bad | (models @ forgotten > run.config.request.forget_tolerance)))


def of_prompt(run: Run, hypernetwork: Hypernetwork, train_zoo: Zoo, prompt: Floats) -> Mapping[str, Params]:
    """Models of every rival for one prompt [K]: leaves [N, …]."""
    chosen = closest(hypernetwork, train_zoo, prompt[None], MODELS * NEIGHBOURS)[0]
    neighbours = models_of(run, train_zoo, chosen)
    nearest = jax.tree.map(lambda leaf: leaf[:MODELS], neighbours)
    groups = (
        jax.tree.map(lambda leaf, g=group: leaf[g * NEIGHBOURS : (g + 1) * NEIGHBOURS], neighbours)
        for group in range(len(chosen) // NEIGHBOURS)
    )
    return {
        "retrieval": nearest,
        "noise": retrieval.noisy(prng.stream(run.config.seed, "rivals/noise"), nearest, NOISE),
        "average": jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(retrieval.averaged, groups)),
    }


def closest(hypernetwork: Hypernetwork, zoo: Zoo, prompts: Floats, count: int) -> Any:
    """Rows [Q, count] of the checkpoints nearest to prompts [Q, K] in standardised log losses."""
    targets, losses_of_zoo = (
        np.asarray(conditioning.standardise(hypernetwork.condition, jnp.asarray(losses)))
        for losses in (prompts, zoo.losses)
    )
    return retrieval.nearest(losses_of_zoo, targets, min(count, len(zoo)))


def models_of(run: Run, zoo: Zoo, chosen: Any) -> Params:
    """Checkpoints of a zoo by their rows [N]: leaves [N, …]."""
    return unflatten_many(np.asarray(zoo.take(chosen).weights, np.float32), run.sizes)


def _novelty(
    run: Run, hypernetwork: Hypernetwork, train_zoo: Zoo, val_zoo: Zoo, clean: Params, result: UnlearningResult
) -> list[Row]:
    """Distances and shared mistakes of samples and of the `CONTROLS`, from and with the `CHECKPOINTS` closest to the prompt."""
    labels, prompt = result.request.labels, result.prompt
    encode = hypernetwork.codec.first.encode if isinstance(hypernetwork.codec, Functional) else None
    near, unseen = (
        models_of(run, zoo, closest(hypernetwork, zoo, prompt[None], count)[0])
        for zoo, count in ((train_zoo, CHECKPOINTS), (val_zoo, MODELS))
    )
    learned = novelty.canonical(near, encode)
    found, test = list[Row](), run.dataset.test
    retained = ~np.isin(test.labels, run.dataset.positions(labels))
    nearest = evaluation.predictions(run, jax.tree.map(lambda leaf: leaf[: MODELS * NEIGHBOURS], near))
    sampled = jax.tree.map(lambda leaf: leaf[:MODELS], result.models)
    for name, models in zip((run.method, *CONTROLS), (sampled, unseen, clean), strict=True):
        shared = novelty.shared_mistakes(evaluation.predictions(run, models), nearest, test.labels, retained)
        values = {
            "novelty_distance": novelty.nearest_distance(novelty.canonical(models, encode), learned),
            "novelty_shared_mistakes": shared.max(1),
        }
        about = replace(evaluation.context(run, name, labels), selection="all")
        settings: dict[str, Any] = {"class_": None, "ideal": None, **evaluation.resampling(run)}
        for metric, column in values.items():
            found += rows_of(column, about, metric=metric, **settings)
    return found


def _sweeps(run: Run, hypernetwork: Hypernetwork, train_zoo: Zoo, grids: Mapping[int, Grid]) -> dict[int, Sweep]:
    """Prompt alignment of retrieval: family f is the f-th nearest checkpoint of every prompt."""
    found, families = {}, run.config.evaluation.alignment_families
    for label, (column, grid) in alignment.by_position(run, grids).items():
        chosen = closest(hypernetwork, train_zoo, grid.prompts, families)  # [P, F]
        models = models_of(run, train_zoo, chosen.T.ravel())  # F * P of them
        losses, _ = classifier.class_scores_of_many(models, *on_device(run.dataset.test))  # [F * P, K]
        observed = np.asarray(losses, np.float64)[:, column].reshape(chosen.T.shape)  # [F, P]
        found[label] = Sweep(grid.prompts[:, column].astype(np.float64), observed, grid.learned)
    return found
