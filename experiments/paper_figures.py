"""Figures 2 to 18 of the paper, of our runs: `python -m experiments.reproduce fig2`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import accuracy
from hyperforget_jax.pipeline import alignment, evaluation
from hyperforget_jax.pipeline.alignment import Sweep
from hyperforget_jax.pipeline.run_folder import FinishedRun, RunFolder
from hyperforget_jax.report import figures, strip_plots
from hyperforget_jax.report.figures import alignment_panel
from hyperforget_jax.report.result import METHODS, Result
from hyperforget_jax.report.style import FAINT, WIDTH, styled
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime import artifacts

Array = NDArray[np.number]


@dataclass(frozen=True)
class Agreement:
    """Predictions of an unlearned model against those of a retrained one.

    Attributes:
      forget_set: labels.
      classes: labels of all K classes, in the order of the outputs.
      test: [K, K] images by the retrained model's (row) and the unlearned one's prediction (column), all test images.
      retain: the same on the retain set.
    """

    forget_set: tuple[int, ...]
    classes: tuple[int, ...]
    test: Array
    retain: Array


def losses(number: int, setting: str, runs: RunFolder) -> Result:
    """Figure 2: observed against target losses of class 2, both hypernetworks."""
    sweeps = {f"{METHODS[method]}, class 2": _sweep(one.sweeps[2]) for method, one in runs.of(setting).items()}
    return _picture(number, "Observed against target losses of class 2, MNIST-4", {"": side_by_side(sweeps)})


def selection(number: int, setting: str, runs: RunFolder) -> Result:
    """Figures 3 and 4: every sampled model, and those selected."""
    drawn = {
        method: strip_plots.accuracies([_request(one, index) for index in range(len(one.results))])
        for method, one in runs.of(setting).items()
    }
    return _picture(number, f"Selection of sampled models, {setting}", drawn)


def agreement(number: int, setting: str, method: str, runs: RunFolder) -> Result:
    """Figures 5 to 8: answers of the best unlearned model against those of a retrained one."""
    one = runs.open(setting, method)
    matrices = [_agreement(one, index) for index in range(len(one.results))]
    title = f"Answers of {METHODS[method]} and of a retrained model, {setting}"
    return _picture(number, title, {"": agreement_matrices(matrices)})


def curves(number: int, setting: str, runs: RunFolder) -> Result:
    """Figures 9 and 10: learning curves."""
    drawn = {
        method: figures.learning_curves(artifacts.read_rows(one.training / "learning_curve.jsonl"))
        for method, one in runs.of(setting).items()
    }
    return _picture(number, f"Learning curves, {setting}", drawn)


def comparison(number: int, setting: str, method: str, runs: RunFolder) -> Result:
    """Figures 11, 13, 15 and 17: observed against target losses of every class."""
    sweeps = runs.open(setting, method).sweeps
    drawn = figures.alignment(
        {label: sweep.targets for label, sweep in sweeps.items()},
        {label: sweep.observed for label, sweep in sweeps.items()},
        {label: sweep.learned for label, sweep in sweeps.items()},
    )
    title = f"Losses that were asked for and reached, {METHODS[method]}, {setting}"
    return _picture(number, title, {"": drawn})


def evolution(number: int, setting: str, method: str, runs: RunFolder) -> Result:
    """Figures 12, 14, 16 and 18: prompt alignment and correlation during training."""
    rows = alignment.evolution(runs.open(setting, method).training)
    if not rows:
        raise HyperForgetError(
            f"fig{number} shows alignment during training, and none was measured: set training.alignment_every, and name other --runs"
        )
    drawn = figures.alignment_evolution(rows)
    title = f"Alignment and correlation during training, {METHODS[method]}, {setting}"
    return _picture(number, title, {"": drawn})


def _picture(number: int, title: str, drawn: Mapping[str, Figure]) -> Result:
    named = {f"fig{number}" + (f"_{part}" if part else ""): figure for part, figure in drawn.items()}
    return Result(f"Figure {number}. {title}", "", [], named)


def _sweep(sweep: Sweep) -> tuple[np.ndarray, np.ndarray, float]:
    return sweep.targets, sweep.observed, sweep.learned


def _request(one: FinishedRun, index: int) -> strip_plots.Request:
    """Accuracies of every model that answers one request, and of the retrained ones."""
    result, labels = one.results[index], one.run.dataset.test.labels
    forgotten = np.isin(labels, one.run.forget_sets[index])
    (retain, forget), (reference_retain, reference_forget) = (
        [accuracy.accuracy(answers, labels, member) for member in (~forgotten, forgotten)]
        for answers in (
            evaluation.predictions(one.run, result.models),
            evaluation.predictions(one.run, one.reference_of(index)),
        )
    )
    forget_set = one.run.config.task.forget_sets[index]
    return strip_plots.Request(forget_set, retain, forget, result.selected, reference_retain, reference_forget)


def _agreement(one: FinishedRun, index: int) -> Agreement:
    """The best unlearned model beside the retrained one of median accuracy on the retain set."""
    result, labels, size = one.results[index], one.run.dataset.test.labels, one.run.sizes[-1]
    ours = evaluation.predictions(one.run, result.models)[result.selected[0]]  # [n]
    retained = ~np.isin(labels, one.run.forget_sets[index])
    retrained = evaluation.predictions(one.run, one.reference_of(index))  # [M, n]
    ranked = np.argsort(accuracy.accuracy(retrained, labels, retained), kind="stable")  # [M]
    theirs = retrained[ranked[len(ranked) // 2]]  # [n]
    test, retain = (
        np.bincount(theirs[member] * size + ours[member], minlength=size * size).reshape(size, size)
        for member in (np.ones_like(retained), retained)
    )
    return Agreement(one.run.config.task.forget_sets[index], one.run.dataset.classes, test, retain)


@styled
def side_by_side(sweeps: Mapping[str, tuple[Array, Array, float]]) -> Figure:
    """Observed against target losses of one class, a panel for each title (Figure 2).

    Args:
      sweeps: title to targets [P], what F families reached [F, P], and the loss of models that have learned the class; nats.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panels = figure.subplots(1, len(sweeps), squeeze=False)[0]
    for panel, (title, sweep) in zip(panels, sweeps.items(), strict=True):
        alignment_panel(panel, title, *sweep, "learned class (bound)")
        panel.set_xlabel("target loss (nats)")
    panels[0].set_ylabel("observed loss (nats)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@styled
def agreement_matrices(matrices: Sequence[Agreement]) -> Figure:
    """Predictions of an unlearned against those of a retrained model, one row per forget set (Figures 5 to 8)."""
    figure = Figure(figsize=(WIDTH, 0.3 + 3.2 * len(matrices)), layout="constrained")
    grid = figure.subplots(len(matrices), 2, squeeze=False)
    for (left, right), each in zip(grid, matrices, strict=True):
        for panel, counts, where in ((left, each.test, "test set"), (right, each.retain, "$D_r$")):
            _counts(panel, np.asarray(counts), each.classes)
            equal = np.trace(counts) / max(np.sum(counts), 1)
            panel.set_title(f"forget {braces(each.forget_set)}, {where}: {100 * equal:.1f}% equal")
        left.set_ylabel("retrained model’s answer")
    for panel in grid[-1]:
        panel.set_xlabel("unlearned model’s answer")
    return figure


def _counts(panel: Axes, counts: Array, classes: tuple[int, ...]) -> None:
    """A matrix of counts; shades are logarithmic, so that a few images are seen beside a thousand."""
    names = [str(label) for label in classes]
    seaborn.heatmap(
        np.log1p(counts), ax=panel, cmap="Blues", vmin=0.0, vmax=1.15 * np.log1p(max(int(counts.max()), 1)),
        annot=counts, fmt="d", annot_kws={"size": 8.5 if len(classes) <= 5 else 5.5}, cbar=False,
        square=True, xticklabels=names, yticklabels=names,
    )  # fmt: skip
    for text in (text for text in panel.texts if text.get_text() == "0"):
        text.set_color(FAINT)
    panel.tick_params(length=0, labelrotation=0)
