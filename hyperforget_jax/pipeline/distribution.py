"""Are unlearned models distributed as clean runs are? Two-sample tests, diversity and relearning, beside the control.

Every other model of the clean reference stands for the distribution; unlearned models, and as a control the rest of it, are held against
these. Clean runs of one block share an order of minibatches, and so both halves have models of every block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import diversity, two_sample
from hyperforget_jax.metrics.relearning import few_images, relearning_curves
from hyperforget_jax.metrics.results import CLEAN, PERMUTED, Context, Ideal, Row, rows_of
from hyperforget_jax.metrics.two_sample import FOLDS, Classifier, Floats, two_sample_test
from hyperforget_jax.pipeline.evaluation import context, predictions, resampling
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.requests import UnlearningResult
from hyperforget_jax.weights.canonical import canonical_vectors, gauge_of_many
from hyperforget_jax.weights.layout import flatten

FOLDER = "distribution"
CLASSIFIERS: Mapping[str, Classifier] = {"": "forest", "_logistic": "logistic"}
"""Ending of a metric's name to what tells the models apart."""


def distribution_rows(run: Run, results: Mapping[str, Sequence[UnlearningResult]], clean: Params) -> list[Row]:
    """Rows of every request; an artifact.

    Args:
      run: its test images are measured on.
      results: of each method, by its name in results, one per forget set; all samples count, selected or not.
      clean: the clean reference, leaves [F, M, …].

    Raises:
      HyperForgetError: too few samples or clean runs for a test.
    """
    folder, forget_sets = run.folder / FOLDER, run.config.task.forget_sets
    made_from = identity(run.config) | {"task.forget_sets": forget_sets, "methods": [*results]}
    if not run.reuses("distribution", folder, made_from, run.inputs):
        rows = list[Row]()
        with (
            run.timed("distribution", resumes=False),
            track(run.console, "distribution", len(forget_sets), "requests") as on,
        ):
            for index, forget_set in enumerate(forget_sets):
                of_set = jax.tree.map(lambda leaf, index=index: leaf[index], clean)
                models = {method: of_method[index].models for method, of_method in results.items()}
                rows += request_rows(run, forget_set, models, of_set)
                on(1)
        with artifacts.new_artifact(folder, made_from, run.inputs) as partial_folder:
            artifacts.write_rows(partial_folder / "results.jsonl", rows)
    return artifacts.read_rows(folder / "results.jsonl")


def request_rows(run: Run, forget_set: tuple[int, ...], models: Mapping[str, Params], clean: Params) -> list[Row]:
    """Rows of one request.

    Args:
      run: its config says how.
      forget_set: labels.
      models: N unlearned models of each method, by its name in results. The null interval of a two-sample test is that of the first.
      clean: M clean runs.

    Raises:
      HyperForgetError: too few models of a method, or too few clean runs.
    """
    samples, runs = min(len(each[-1]["b"]) for each in models.values()), len(clean[-1]["b"])
    count = min(run.config.evaluation.distribution_models, samples, runs // 2)
    if count < FOLDS:
        raise HyperForgetError(
            f"a two-sample test got {samples} samples and {runs} clean runs, expected at least {FOLDS} and {2 * FOLDS}: "
            "raise request.samples and reference.clean_runs, or set evaluation.distribution_models to 0"
        )
    parts = [(each, slice(None)) for each in models.values()] + [(clean, slice(first, None, 2)) for first in (0, 1)]
    groups = [jax.tree.map(lambda leaf, rows=rows: leaf[rows][:count], group) for group, rows in parts]
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *groups[-2:])
    abouts = [context(run, method, forget_set) for method in (*models, CLEAN)]
    rows = two_sample_rows(run, abouts, [views(run, group) for group in groups])
    rows += diversity_rows(abouts, count, [spreads(run, group) for group in groups])
    return rows + [
        row
        for about, group in zip(abouts, (*groups[:-2], both), strict=True)
        for row in relearning_rows(run, about, group)
    ]


def views(run: Run, models: Params) -> dict[str, Floats]:
    """What a two-sample test may see of N models, features [N, d] by name: outputs and class scores on test, and weights."""
    test = on_device(run.dataset.test)
    shown = two_sample.spaced_images(run.dataset.test.labels, run.config.evaluation.c2st_images)
    probabilities = np.asarray(jax.nn.softmax(classifier.logits_of_many(models, test.images[shown])))  # [N, n, K]
    scores = classifier.class_scores_of_many(models, *test)
    return {
        "outputs": probabilities.reshape(len(probabilities), -1),
        "class_scores": two_sample.class_score_features(*map(np.asarray, scores)),
        "canonical_weights": np.asarray(canonical_vectors(models)),
        "raw_weights": np.asarray(jax.vmap(flatten)(models)),
    }


def two_sample_rows(run: Run, abouts: Sequence[Context], groups: Sequence[Mapping[str, Floats]]) -> list[Row]:
    """AUC of either classifier on every view: of ours and of the control against the reference, and the null interval of our first.

    Args:
      run: its config says how.
      abouts: what is measured, of each of our methods and of the control.
      groups: features by view, of each of our methods, of one half of the clean reference, and of the other, the control.
    """
    config, (*ours, reference, control) = run.config.evaluation, groups
    settings: dict[str, Any] = {"trees": config.c2st_trees, "seed": run.config.seed}
    rows = list[Row]()
    for view, (ending, kind) in product(reference, CLASSIFIERS.items()):
        metric, count = f"c2st_{view}{ending}", len(reference[view])
        tests = [
            two_sample_test(
                group[view], reference[view], kind, permutations=0 if number else config.c2st_permutations, **settings
            )
            for number, group in enumerate((*ours, control))
        ]
        rows += [_row(about, metric, test.auc, count, 0.5) for about, test in zip(abouts, tests, strict=True)]
        null = _row(replace(abouts[0], method=PERMUTED), metric, 0.5, count, 0.5)
        rows.append(null | {"low": tests[0].low, "high": tests[0].high})
    return rows


def spreads(run: Run, models: Params) -> dict[tuple[str, int | None], float]:
    """How N models differ from each other on test: metric and label of the class, None for all, to value."""
    losses, _ = classifier.class_scores_of_many(models, *on_device(run.dataset.test))
    of_class = zip(run.dataset.classes, diversity.loss_spread(losses).tolist(), strict=True)
    disagreement = diversity.disagreement(predictions(run, models), run.dataset.num_classes)
    return {("disagreement", None): disagreement} | {("loss_spread", label): value for label, value in of_class}


def diversity_rows(
    abouts: Sequence[Context], count: int, groups: Sequence[Mapping[tuple[str, int | None], float]]
) -> list[Row]:
    """Spreads of ours and of the reference; and the ratios to it of ours and of the control, where it is not 0.

    Args:
      abouts: what is measured, of each of our methods and of the clean reference.
      count: models a side.
      groups: `spreads` of each of our methods, of one half of the clean reference, and of the other, the control.
    """
    *ours, reference, control = groups
    rows = list[Row]()
    for (name, label), base in reference.items():
        values = [each[name, label] for each in ours]
        rows += [
            _row(about, name, value, count, "reference", label)
            for about, value in zip(abouts, [*values, base], strict=True)
        ]
        if base > 0.0:
            rows += [
                _row(about, f"{name}_ratio", value / base, count, 1.0, label)
                for about, value in zip(abouts, [*values, control[name, label]], strict=True)
            ]
    return rows


def relearning_rows(run: Run, about: Context, models: Params) -> list[Row]:
    """Accuracy on the forgotten test images after each number of steps, for each number of images a class, in a fixed gauge.

    Args:
      run: its training images are fine-tuned on, but for those of purged classes.
      about: what is measured.
      models: N of them, as they are.
    """
    config, train, test = run.config.evaluation, on_device(run.learned_images), on_device(run.dataset.test)
    member = np.isin(run.dataset.test.labels, run.dataset.positions(about.forget_set))
    fixed, settings, rows = gauge_of_many(models), resampling(run), list[Row]()
    for shots in config.relearning_shots:
        shown = few_images(run.learned_images.labels, shots)
        few = (train.images[shown], train.labels[shown])
        curves = relearning_curves(fixed, few, test, member, config.relearning_steps)  # [N, S]
        for steps, accuracies in zip(config.relearning_steps, curves.T, strict=True):
            name = f"relearning_k{shots}_s{steps}"
            rows += rows_of(accuracies, about, metric=name, class_=None, ideal="reference", **settings)
    return rows


def _row(about: Context, metric: str, value: float, count: int, ideal: Ideal, label: int | None = None) -> Row:
    """The row of one number that `count` models have together."""
    (row,) = rows_of(np.array([value]), about, metric=metric, class_=label, ideal=ideal, resamples=1, seed=0)
    return row | {"n": count}
