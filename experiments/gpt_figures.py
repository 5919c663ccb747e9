"""Figures of G.pt, a hypernetwork with one number as its condition (section A.6, Figures 26 to 31); arrays in, `Figure` out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from hyperforget_jax.report.figures import FEW_DIGITS, alignment_panel, learning_panel
from hyperforget_jax.report.style import FAINT, INK, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.zoo import coverage

Floats = NDArray[np.floating]
Curve = Sequence[Mapping[str, Any]]
BOUND = "learned model (bound)"
BINS = 40
SHOWN = 0.99
"""Share of the training set that a histogram spreads out; larger values fall into its last bin."""
FLOOR = -1.0
"""Alignment below which a mark only points down: R^2 has no lower bound."""
DASHED = (0, (4, 1.5))
LINES = ((OURS, "solid", "o"), (REFERENCE, DASHED, "s"))
"""Colour, line and mark of the first and of the second curve."""


@dataclass(frozen=True)
class Followed:
    """How a hypernetwork with one number as its condition follows it.

    Attributes:
      name: of the hypernetwork, such as "mean loss, re-balanced".
      axis: what it is asked for, with its unit.
      targets: [P].
      observed: [F, P], of the models of F families.
      learned: the value of learned models.
      trained_on: [n], of the training set.
      drawn: [2, m], of the starts and of the targets of the pairs that training draws, all above 0.
      learning: rows with "step", "train_loss" and "validation_loss".
      alignment: rows with "step", "r2" and "pearson", means over families, during training.
    """

    name: str
    axis: str
    targets: Floats
    observed: Floats
    learned: float
    trained_on: Floats
    drawn: Floats
    learning: Curve
    alignment: Curve


def draw(found: Mapping[str, Followed], levels: int) -> dict[str, Figure]:
    """All figures by their file names, the paper's numbers.

    Args:
      found: the hypernetworks that `gpt_tables.NAMES` names.
      levels: of the loss, from each of which re-balanced training draws starts equally often.
    """
    loss, balanced = found["mean_loss"], found["mean_loss_balanced"]
    return {
        "fig26": evolution([loss, found["mean_error"]]),
        "fig27": training(loss),
        "fig28": distribution(loss),
        "fig29": draws(loss, balanced, levels),
        "fig30": balance([loss, balanced]),
        "fig31": one_class(found["one_loss"]),
    }


@styled
def evolution(found: Sequence[Followed]) -> Figure:
    """R^2 and Pearson's correlation during training, of at most two hypernetworks (Figure 26)."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for panel, (column, title) in zip(panels, {"r2": "mean R²", "pearson": "mean Pearson"}.items(), strict=True):
        for one, look in zip(found, LINES, strict=False):
            _evolution(panel, one.alignment, column, one.name, look)
        panel.legend(loc="lower right")
        panel.set_title(title)
    return figure


@styled
def training(one: Followed) -> Figure:
    """Observed against target, and the learning curve (Figure 27)."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _sweep(left, one)
    learning_panel(right, one.learning)
    right.set_title("learning curve")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@styled
def distribution(one: Followed) -> Figure:
    """Losses of the training set beside those asked for and those that came out (Figure 28)."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    panel = figure.subplots()
    _distribution(panel, one)
    panel.legend(loc="upper right")
    return figure


@styled
def draws(before: Followed, after: Followed, levels: int) -> Figure:
    """What training draws before and after re-balancing into levels, starts and targets of its pairs, on a logarithmic axis (Figure 29)."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    edges = coverage.level_bounds(before.trained_on[:, None], levels)
    for panel, title, old, new in zip(panels, ("starts θ", "targets θ*"), before.drawn, after.drawn, strict=True):
        panel.stairs(_percent(old, edges), edges, color=FAINT, alpha=0.45, fill=True, label="as stored")
        panel.stairs(_percent(new, edges), edges, color=REFERENCE, linewidth=2.0, label="re-balanced")
        panel.set(xscale="log", xlabel=before.axis, title=title)
        panel.xaxis.set_major_locator(LogLocator(subs=FEW_DIGITS))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
        _percent_axis(panel)
    panels[0].set_ylabel("share of the draws")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


@styled
def balance(found: Sequence[Followed]) -> Figure:
    """Observed against target of several hypernetworks side by side, on one scale (Figure 30)."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True).ravel()
    tops = []
    for panel, one in zip(panels, found, strict=True):
        _sweep(panel, one)
        tops.append(panel.get_ylim()[1])
    panels[0].set_ylim(0.0, max(tops))
    for panel in panels[1:]:
        panel.set_ylabel("")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


@styled
def one_class(one: Followed) -> Figure:
    """Sweep, distributions, alignment during training and learning curve of one hypernetwork (Figure 31)."""
    figure = Figure(figsize=(WIDTH, 5.8), layout="constrained")
    sweep, spread, evolves, learning = figure.subplots(2, 2).ravel()
    _sweep(sweep, one)
    _distribution(spread, one)
    spread.legend(loc="upper right", fontsize=8)
    spread.set_title("distributions")
    for column, label, look in zip(("r2", "pearson"), ("mean R²", "mean Pearson"), LINES, strict=True):
        _evolution(evolves, one.alignment, column, label, look)
    evolves.legend(loc="lower right")
    evolves.set_title("alignment during training")
    learning_panel(learning, one.learning)
    learning.set_title("learning curve")
    figure.legend(*sweep.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def _sweep(panel: Axes, one: Followed) -> None:
    alignment_panel(panel, one.name, one.targets, one.observed, one.learned, BOUND)
    panel.set(xlabel=f"target {one.axis}", ylabel="observed")


def _distribution(panel: Axes, one: Followed) -> None:
    top = max(float(np.quantile(one.trained_on, SHOWN)), float(one.targets.max()))
    edges = np.linspace(0.0, top, BINS + 1)
    grid = np.linspace(one.targets.min(), one.targets.max(), 10 * BINS)  # as even as the targets, and no comb
    stored, asked, made = (_percent(values, edges) for values in (one.trained_on, grid, one.observed))
    panel.stairs(stored, edges, color=FAINT, alpha=0.45, fill=True, label="training set")
    panel.stairs(asked, edges, color=INK, linewidth=1.4, linestyle=DASHED, label="targets")
    panel.stairs(made, edges, color=OURS, linewidth=2.0, label="sampled models")
    panel.set(xlabel=one.axis, ylabel="share", xlim=(0.0, top))
    panel.set_title("the last bin is open", loc="right", fontsize=8, fontweight="normal", color=FAINT)
    _percent_axis(panel)


def _evolution(panel: Axes, curve: Curve, column: str, label: str, look: tuple[str, Any, str]) -> None:
    colour, line, mark = look
    steps = np.array([row["step"] for row in curve])
    values = np.array([row[column] for row in curve])
    shown = np.maximum(values, FLOOR)
    panel.plot(steps, shown, color=colour, linestyle=line, linewidth=1.8, label=f"{label}: {values[-1]:.3g}")
    for marker, there in ((mark, values >= FLOOR), ("v", values < FLOOR)):
        panel.plot(steps[there], shown[there], marker, color=colour, markersize=4.5)
    panel.axhline(1.0, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
    panel.set(ylim=(FLOOR - 0.1, 1.1), xlim=(0, None), xlabel="optimiser step")
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _percent_axis(panel: Axes) -> None:
    panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.yaxis.set_major_formatter("{x:g}%")


def _percent(values: Floats, edges: Floats) -> Floats:
    """Share [bins] of the values between edges, in percent; larger ones count in the last bin."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return 100.0 * counts / values.size
