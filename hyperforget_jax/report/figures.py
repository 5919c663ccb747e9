"""Figures: arrays in, `matplotlib.figure.Figure` out; no pyplot, so no global state and no window."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from hyperforget_jax.report.style import FAINT, INK, LEVEL, OURS, RC, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import braces, request_name
from hyperforget_jax.runtime.artifacts import writing_errors

Array = NDArray[np.number]
MOST_BARS = 32
EVERY_DIGIT = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
FEW_DIGITS = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Matrices:
    """Confusion of one forget set.

    Attributes:
      forget_set: original labels of the forgotten classes.
      classes: original labels of all K classes, in the order of the outputs.
      generated: [K, K], images of a true class (row) with a predicted class (column), counts or shares; of the generated models
        selected on validation.
      retrained: [K, K], the same of the reference models.
      mode: how the models were prompted, in a run that has both modes.
    """

    forget_set: tuple[int, ...]
    classes: tuple[int, ...]
    generated: Array
    retrained: Array
    mode: str = ""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Writes `name.png` (150 dpi) and `name.svg`; the same figure always gives the same bytes.

    Args:
      figure: any figure of this module.
      folder: made if it is missing; what it stands in exists.
      name: file name without its ending.

    Raises:
      HyperForgetError: disk full, no permission.
    """
    with writing_errors(folder):
        folder.mkdir(exist_ok=True)
        with matplotlib.rc_context(RC):
            figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        (folder / f"{name}.svg").write_bytes(to_svg(figure))


@matplotlib.rc_context(RC)
def to_svg(figure: Figure) -> bytes:
    """The figure as SVG, text as outlines; the same figure always gives the same bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return file.getvalue()


@styled
def alignment(targets: Mapping[int, Array], observed: Mapping[int, Array], learned_loss: Mapping[int, float]) -> Figure:
    """Observed against target loss, one panel per class (section A.4; Figure 2); losses beyond a panel's top are counted above it.

    Args:
      targets: original label to [P], the prompted losses in nats.
      observed: original label to [F, P], the losses of the models of F families.
      learned_loss: original label to the loss of a model that knows the class: the lower performance bound.
    """
    columns = min(len(targets), 2 if len(targets) <= 4 else 3)
    lines = math.ceil(len(targets) / columns)
    height = 2.7 if columns < 3 else 2.3
    figure = Figure(figsize=(WIDTH, 0.4 + height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, label in zip(axes, targets, strict=False):
        sweep = targets[label], observed[label], learned_loss[label]
        alignment_panel(panel, f"class {label}", *sweep, "learned class (bound)")
    for panel in axes[len(targets) :]:
        panel.remove()
    figure.supxlabel("target loss of the class (nats)", fontsize=9.5)
    figure.supylabel("observed loss (nats)", fontsize=9.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def alignment_panel(panel: Axes, title: str, target: Array, losses: Array, learned: float, bound: str) -> None:
    """Observed against target values of one sweep.

    Args:
      panel: to draw on.
      title: of the panel.
      target: [P].
      losses: [F, P], or errors: what the models of F families reach.
      learned: the value of a learned model, a level with the name `bound`.
      bound: its name in the legend.
    """
    reach = float(target.max())
    top = 1.06 * max(reach, float(np.quantile(losses, 0.95, axis=0).max()), learned)
    lines = panel.plot(target, losses.T, ".-", color=OURS, alpha=0.22, linewidth=0.5, markersize=2.5, rasterized=True)
    lines[0].set_label("one family")
    band = {"label": "5–95% of the families", "alpha": 0.16, "linewidth": 0}
    look: dict[str, Any] = {
        "color": OURS,
        "linewidth": 2.2,
        "label": "median of the families",
        "legend": False,
        "ax": panel,
    }
    x, y = np.tile(target, len(losses)), losses.ravel()
    seaborn.lineplot(x=x, y=y, estimator="median", errorbar=("pi", 90), err_kws=band, **look)
    panel.plot([0.0, reach], [0.0, reach], color=INK, linewidth=1.2, linestyle=(0, (5, 3)), label="observed = target")
    panel.axhline(learned, color=LEVEL, linewidth=1.6, linestyle=(0, (1, 1.2)), label=bound, clip_on=False, zorder=3)
    panel.set(xlim=(0.0, 1.03 * reach), ylim=(0.0, top))
    panel.locator_params(nbins=5, steps=[1, 2, 5, 10])
    panel.set_title(title)
    if above := int((losses > top).sum()):
        note = f"{above} of {losses.size} above"
        # under the diagonal, where nothing is
        panel.text(0.98, 0.06, note, transform=panel.transAxes, ha="right", fontsize=8, color=FAINT)


@styled
def alignment_evolution(curve_rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Mean R^2, below zero drawn at zero, and mean Pearson's correlation of every swept class during training (Figures 9 to 18).

    Args:
      curve_rows: rows with "step" and, for every label L, "r2_L" and "pearson_L".
    """
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    table = pd.DataFrame(curve_rows).set_index("step")
    titles = {"r2": "mean R²", "pearson": "mean Pearson"}
    for panel, (measure, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        values = table.filter(regex=f"^{measure}_").clip(lower=0.0)
        ends = {name: f"class {str(name).split('_')[1]}, at the end {values[name].iloc[-1]:.3f}" for name in values}
        values = values.rename(columns=ends)
        shades = seaborn.light_palette(OURS, len(ends) + 1)[1:]
        seaborn.lineplot(values, markers=True, dashes=False, palette=shades, ax=panel)
        panel.set(ylim=(0.0, 1.02), xlabel="training step", ylabel="")
        panel.set_title(title)
        panel.legend(loc="lower right")
    return figure


@styled
def learning_curves(curve_rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Training and validation loss of the hypernetwork over its steps, on a logarithmic axis.

    Args:
      curve_rows: rows with "step", "train_loss" and "validation_loss".
    """
    figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    learning_panel(figure.subplots(), curve_rows)
    return figure


def learning_panel(panel: Axes, curve_rows: Sequence[Mapping[str, Any]]) -> None:
    """Draws the curves of `learning_curves` on a panel."""
    table = pd.DataFrame(curve_rows).set_index("step")
    curves = (("training", "train_loss", FAINT, 1.3), ("validation", "validation_loss", OURS, 2.2))
    for name, column, colour, width in curves:
        label = f"{name}, at the end {table[column].iloc[-1]:.4g}"
        seaborn.lineplot(table[column], color=colour, linewidth=width, label=label, ax=panel)
    panel.set(yscale="log", xlabel="optimiser step", ylabel="loss (mean squared error)", xlim=(0, None))
    low, high = panel.get_ylim()
    within_a_decade = high <= 10.0 * low
    panel.yaxis.set_major_locator(LogLocator(subs=EVERY_DIGIT if within_a_decade else FEW_DIGITS))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(loc="best")


@styled
def confusion(panels: Sequence[Matrices]) -> Figure:
    """Confusion matrices, one row per forget set and mode: selected generated models beside reference models.

    Args:
      panels: one per forget set; each row of a matrix is shown as shares of its true class, in percent.

    Returns:
      A figure; the rows of forgotten classes are marked.
    """
    figure = Figure(figsize=(WIDTH, 0.3 + 3.2 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 2, squeeze=False)
    for row, panel in zip(grid, panels, strict=True):
        ours = request_name(panel.forget_set, panel.mode) + (":\n" if panel.mode else ": ")
        matrices = {f"{ours}selected": panel.generated, f"{braces(panel.forget_set)}: reference": panel.retrained}
        for axes, (models, matrix) in zip(row, matrices.items(), strict=True):
            _matrix(axes, matrix, panel)
            axes.set_title(f"forget {models} models")
        row[0].set_ylabel("true class (each row is 100%)")
    for axes in grid[-1]:
        axes.set_xlabel("predicted class")
    return figure


def _matrix(axes: Axes, matrix: Array, panel: Matrices) -> None:
    shares = normalize(np.asarray(matrix, np.float64), "l1")  # [K, K]
    few, names = len(panel.classes) <= 5, [str(label) for label in panel.classes]
    texts = np.vectorize(_percent)(shares, 1 if few else 0)
    look: dict[str, Any] = {
        "annot": texts,
        "fmt": "",
        "annot_kws": {"fontsize": 9.0 if few else 7.0},
        "linewidths": 0.6,
    }
    look |= {"cmap": "Blues", "vmin": 0.0, "vmax": 1.15, "cbar": False, "square": True}
    seaborn.heatmap(shares, xticklabels=names, yticklabels=names, ax=axes, **look)
    axes.tick_params(length=0, rotation=0)
    for text in axes.texts:
        if text.get_text().startswith(("0", "<")):
            text.set_color(FAINT)
    for index, label in enumerate(panel.classes):
        if label in panel.forget_set:
            axes.axhspan(index + 0.04, index + 0.96, fill=False, edgecolor=REFERENCE, linewidth=1.8, clip_on=False)
            for tick in (axes.get_yticklabels()[index], axes.get_xticklabels()[index]):
                tick.set(color=REFERENCE, fontweight="bold")


def _percent(share: float, decimals: int) -> str:
    """A share in percent; a few images are never printed as none."""
    text = f"{100 * share:.{decimals}f}"
    if float(text) > 0.0:
        return text
    return "0" if share == 0.0 else f"<{10.0**-decimals:g}"


@styled
def coverage(
    counts: Mapping[str, int], counted: str = "checkpoints in the zoo", groups: str = "combinations"
) -> Figure:
    """What the zoo has of every group, such as checkpoints of every high/low combination of the forgettable classes (section A.5).

    Args:
      counts: name of a group, such as "2 high, 3 low", to its count.
      counted: what is counted.
      groups: what the groups are.

    Returns:
      A figure; of more than 32 groups, the 32 rarest.
    """
    every = pd.Series(counts)
    shown = every[every.rank(method="first") <= MOST_BARS]
    figure = Figure(figsize=(WIDTH, 0.8 + 0.3 * len(shown)), layout="constrained")
    panel = figure.subplots()
    bars = panel.barh(shown.index, shown, color=OURS, height=0.68)
    panel.bar_label(bars, fmt="{:,.0f}", padding=4, fontsize=9)
    panel.invert_yaxis()
    panel.margins(x=0.12, y=0.02)
    panel.set_xlim(left=0, right=None if any(counts.values()) else 1)
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    rarest = f" (the {MOST_BARS} rarest of {len(counts)} {groups})" if len(counts) > MOST_BARS else ""
    panel.set_xlabel(f"{counted}{rarest}")
    return figure
