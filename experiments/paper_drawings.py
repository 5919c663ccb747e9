"""Figures of the paper that no single run draws: its tables as pictures, hypernetworks side by side, agreement with retraining."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hyperforget_jax.report.figures import alignment_panel
from hyperforget_jax.report.paper_tables import METHODS, PaperLine
from hyperforget_jax.report.style import FAINT, INK, OURS, REFERENCE, WIDTH, class_axes, styled
from hyperforget_jax.report.tables import METRICS, braces, number

Array = NDArray[np.number]
TITLE_WIDTH = 12
"""Letters in a line of a panel's title: five panels stand side by side."""
FILLS = {"dihyfo1": "none", "dihyfo2": OURS}
"""Of the marks of ours: hollow for DiHyFo-1."""


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


@styled
def table(lines: Sequence[PaperLine]) -> Figure:
    """A table as a picture: one panel per measure, one row per forget set and method.

    Ours (strict) are circles, the paper's printed values crosses, the paper's retrained model a bar, ours the 5-95% range.
    """
    metrics = list(dict.fromkeys(line.metric for line in lines))
    rows = list(dict.fromkeys((line.forget_set, line.method) for line in lines))
    figure = Figure(figsize=(WIDTH, 0.9 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        for line in (line for line in lines if line.metric == metric):
            _row(panel, -rows.index((line.forget_set, line.method)), line)
        panel.set_title(textwrap.fill(METRICS[metric].name, TITLE_WIDTH), fontsize=9.0)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.margins(x=0.12)
        panel.set_ylim(0.5 - len(rows), 0.5)
        panel.grid(visible=False, axis="y")
        panel.tick_params(axis="y", length=0)
    names = [f"{braces(forget)}  {METHODS[method]}" for forget, method in rows]
    panels[0].set_yticks([-index for index in range(len(rows))], names)
    handles, labels = panels[0].get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
    return figure


def _row(panel: Axes, height: int, line: PaperLine) -> None:
    panel.plot(
        [line.reference_low, line.reference_high],
        [height, height],
        color=REFERENCE,
        alpha=0.35,
        linewidth=7,
        solid_capstyle="butt",
        label="retrained, 5–95%",
    )
    if line.printed_reference is not None:
        panel.plot(
            line.printed_reference, height, "|", color=REFERENCE, markersize=11, label="retrained, printed"
        )
    if line.printed is not None:
        panel.plot(line.printed, height, "x", color=INK, markersize=6, label="printed")
    panel.plot(
        line.strict, height, "o", color=OURS, markerfacecolor=FILLS[line.method], markersize=6, label="ours"
    )


@styled
def sides(sweeps: Mapping[str, tuple[Array, Array, float]]) -> Figure:
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
def agreement(matrices: Sequence[Agreement]) -> Figure:
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
    panel.imshow(np.log1p(counts), cmap="Blues", vmin=0.0, vmax=1.15 * np.log1p(max(int(counts.max()), 1)))
    size = 8.5 if len(classes) <= 5 else 5.5
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        dark = np.log1p(count) > 0.78 * np.log1p(counts.max())
        colour = FAINT if count == 0 else "white" if dark else INK
        panel.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=size)
    class_axes(panel, classes)


@styled
def families(
    printed: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]], least: float
) -> Figure:
    """Prompt alignment against correlation of every family (Table 5), the paper's beside ours.

    Args:
      printed: R^2 and Pearson's correlation of the paper's families.
      ours: those of our families.
      least: R^2 at which a mark stays, however far below it is.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panel = figure.subplots()
    for values, colour, mark, name in ((printed, INK, "x", "printed"), (ours, OURS, "o", "ours")):
        r2, pearson = np.array(values).T
        label = f"{name}: mean R² {r2.mean():.3f}, mean Pearson {pearson.mean():.3f}"
        panel.plot(np.maximum(r2, least), pearson, mark, color=colour, alpha=0.7, label=label, clip_on=False)
    panel.axhline(1.0, color=REFERENCE, linewidth=0.8)
    panel.axvline(1.0, color=REFERENCE, linewidth=0.8)
    panel.set(
        xlabel=f"prompt alignment R² of a family ({least:g} stands for that or less)",
        ylabel="Pearson's correlation",
        xlim=(least - 0.1, 1.1),
    )
    panel.legend(loc="lower right")
    return figure


@dataclass(frozen=True)
class Subset:
    """One forget set.

    Attributes:
      unselected: median retain accuracy of all samples.
      selected: mean retain accuracy of the selected models.
      reference: median retain accuracy of the retrained models.
      forget: mean forget accuracy of all samples.
    """

    unselected: float
    selected: float
    reference: float
    forget: float

    @property
    def gap(self) -> float:
        """By how much the selected models fall below the retrained ones' median."""
        return self.reference - self.selected


DARKEST = 0.05
"""Gap and forget accuracy from which a field of the heat map is as dark as it gets."""
COLUMNS = ("retain, selected", "retain, retrained", "gap", "forget, all")


@styled
def subsets(found: Mapping[tuple[int, ...], Subset], worst: tuple[int, ...]) -> Figure:
    """A heat map of every forget set, the worst one marked: dark is a large error, gap or forget accuracy.

    Args:
      found: forget set to its accuracies.
      worst: the forget set with the largest gap.
    """
    labels = sorted({label for forget in found for label in forget})
    order = sorted(found, key=lambda forget: (len(forget), forget))
    member = np.array([[label in forget for label in labels] for forget in order])
    values = np.array(
        [(each.selected, each.reference, each.gap, each.forget) for each in map(found.get, order) if each]
    )
    lowest = values[:, :2].min()
    shade = np.stack(
        [
            *((1.0 - values[:, :2].T) / max(1.0 - lowest, 1e-9)),
            *np.clip(values[:, 2:].T / DARKEST, 0.0, 1.0),
        ],
        axis=1,
    )
    figure = Figure(figsize=(WIDTH, 0.9 + 0.2 * len(order)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(len(labels), 12), sharey=True)
    left.imshow(member, cmap="Greys", vmin=0, vmax=1.6, aspect="auto")
    left.set_xticks(range(len(labels)), [str(label) for label in labels])
    left.set_yticks(range(len(order)), [braces(forget) for forget in order], fontsize=7.5)
    left.set_title("forgotten", fontsize=9.0)
    right.imshow(shade, cmap="Oranges", vmin=0.0, vmax=1.6, aspect="auto")
    for row, column in np.ndindex(values.shape):
        right.text(column, row, number(float(values[row, column])), ha="center", va="center", fontsize=7.5)
    right.set_xticks(range(len(COLUMNS)), COLUMNS)
    place = order.index(worst)
    right.axhspan(place - 0.46, place + 0.46, fill=False, edgecolor=INK, linewidth=1.6)
    right.set_title(f"worst gap: {found[worst].gap:.4f} for {braces(worst)}", fontsize=9.0)
    for panel in (left, right):
        panel.grid(visible=False)
        panel.tick_params(length=0)
        panel.xaxis.tick_top()
    return figure
