"""Generated models beside reference models on test images, for every request of a run: values of every model, and rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.metrics import comparison
from hyperforget_jax.metrics.comparison import Comparison
from hyperforget_jax.metrics.results import Context, Row
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.requests import UnlearningResult

Floats = np.ndarray[Any, np.dtype[Any]]


def evaluate(run: Run, results: Sequence[UnlearningResult], reference: Params) -> list[Comparison]:
    """Accuracies, overlap, unlearning scores and membership inference of every request's models, on test.

    Args:
      run: its test images are measured on, its training images are the members of membership inference, but for those of purged classes.
      results: one per forget set.
      reference: reference models, leaves [F, M, …].
    """
    comparisons: list[Comparison] = []
    stage = f"evaluation{run.variant}"
    with run.timed(stage, resumes=False), track(run.console, stage, len(results), "requests") as advance:
        for index, result in enumerate(results):
            models = jax.tree.map(lambda leaf, index=index: leaf[index], reference)
            test, forget = run.dataset.test, result.request.positions
            left = np.isin(run.learned_images.labels, forget).any()  # not where every class to forget is purged
            train = run.learned_images if left else None
            comparisons.append(comparison.measure(result.models, result.selected, models, test, forget, train))
            advance(1)
    return comparisons


def rows(run: Run, comparisons: Sequence[Comparison]) -> list[Row]:
    """Rows of every request: all samples, the selected ones; and, of the run as its config prompts it, the reference models."""
    return [
        row
        for forget_set, compared in zip(run.config.task.forget_sets, comparisons, strict=True)
        for row in comparison.summarise(
            compared, context(run, run.method, forget_set), run.dataset.classes, **resampling(run)
        )
        if not run.variant or row["method"] == run.method
    ]


def context(run: Run, method: str, forget_set: tuple[int, ...]) -> Context:
    """Fields common to the rows of one evaluation; the forget set by labels."""
    sizes = "-".join(str(size) for size in run.sizes)
    return Context(run.dataset.name, sizes, method, forget_set, None, "test", "strict")


def metric_rows(run: Run, about: Context, values: Mapping[str, Floats]) -> list[Row]:
    """Rows of metrics: of whole image sets [N], or of every class by itself [N, K]."""
    return comparison.metric_rows(about, values, run.dataset.classes, **resampling(run))


def resampling(run: Run) -> dict[str, int]:
    """How the intervals of a run's rows are bootstrapped."""
    return {"resamples": run.config.evaluation.bootstrap, "seed": run.config.seed}


def predictions(run: Run, models: Params) -> Floats:
    """Predictions [N, n] of N stacked models on test."""
    return np.asarray(classifier.logits_of_many(models, jnp.asarray(run.dataset.test.images)).argmax(-1))
