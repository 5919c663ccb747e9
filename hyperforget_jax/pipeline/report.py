"""The pictures and the page of a run, from what was measured."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from hyperforget_jax.config import flatten
from hyperforget_jax.metrics.comparison import Comparison
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import distribution, distribution_figures, figures, html, strip_plots, tables
from hyperforget_jax.report.html import Content
from hyperforget_jax.runtime import artifacts


def draw(
    run: Run,
    counts: dict[str, int],
    curve: list[dict[str, Any]],
    evolution: list[dict[str, Any]],
    evaluated: Mapping[str, Sequence[Comparison]],
    sweeps: dict[int, Sweep],
    results: pd.DataFrame,
) -> dict[str, Figure]:
    """Draws every figure and saves it as PNG and SVG in `figures/`; alignment during training and distribution only if measured.

    Args:
      run: its test labels and forget sets.
      counts: checkpoints of every high/low combination.
      curve: of the training.
      evolution: of the alignment during training; may be empty.
      evaluated: of each method, one comparison per forget set.
      sweeps: by label.
      results: in long form.
    """
    classes, labels = run.dataset.classes, run.dataset.test.labels
    requests, matrices = list[strip_plots.Request](), list[figures.Matrices]()
    named = {method: tables.mode_of(method) if len(evaluated) > 1 else "" for method in evaluated}
    for (index, forget_set), (method, mode) in product(enumerate(run.config.task.forget_sets), named.items()):
        one = evaluated[method][index]
        of_models = one.metrics, one.reference_metrics
        ours, reference = ([each[f"{images}_accuracy"] for images in ("retain", "forget")] for each in of_models)
        requests.append(
            strip_plots.Request(forget_set, ours[0], ours[1], one.selected, reference[0], reference[1], mode)
        )
        generated, retrained = (
            confusion_matrix(np.tile(labels, len(each)), each.ravel(), labels=range(len(classes)))
            for each in (one.predictions[one.selected], one.reference_predictions)
        )
        matrices.append(figures.Matrices(forget_set, classes, generated, retrained, mode))
    of_sweeps = (
        {label: getattr(sweep, name) for label, sweep in sweeps.items()} for name in ("targets", "observed", "learned")
    )
    drawn = {
        "accuracies": strip_plots.accuracies(requests),
        "alignment": figures.alignment(*of_sweeps),
        "confusion": figures.confusion(matrices),
        "learning_curves": figures.learning_curves(curve),
        "coverage": figures.coverage(counts),
    }
    if evolution:
        drawn["alignment_curve"] = figures.alignment_evolution(evolution)
    if len(lines := distribution.distribution(results)):
        drawn["two_sample"] = distribution_figures.two_sample_aucs(lines)
        drawn["relearning"] = distribution_figures.relearning_curves(results)
    for name, figure in drawn.items():
        figures.save(figure, run.folder / "figures", name)
    return drawn


def write_page(run: Run, results: pd.DataFrame, drawn: dict[str, Figure]) -> Path:
    """Writes `report.html` and returns its path."""
    config = run.config
    content = Content(
        classes=run.dataset.classes,
        pivots=config.task.pivots,
        forget_sets=config.task.forget_sets,
        results=results,
        figures=drawn,
        cost=artifacts.read_rows(run.folder / "costs.jsonl"),
        command=run.command,
        config=flatten(config),
        **artifacts.provenance(),
    )
    path = run.folder / "report.html"
    artifacts.write_text(path, html.page(content))
    return path
