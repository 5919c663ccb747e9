"""A model that forgets and learns back: the table and the figure of `hyperforget update`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hyperforget_jax.metrics.comparison import DECIMALS
from hyperforget_jax.report import distribution, tables
from hyperforget_jax.report.strip_plots import spread
from hyperforget_jax.report.style import FAINT, INK, LEVEL, OURS, REFERENCE, WIDTH, styled

Array = NDArray[np.floating]
SHOWN = {"forget_accuracy": "forget set", "retain_accuracy": "retain set"}
"""Metrics in the table to the names of their image sets."""


@dataclass(frozen=True)
class Panel:
    """One call of DiHyFo-1: class accuracies in [0, 1] on test images.

    Attributes:
      title: such as "forget {2}".
      classes: original labels of all K classes.
      changing: those of the classes that are forgotten or learned back.
      before: [K], of the model that the call started from.
      after: [N, K], of all samples.
      selected: row of the sample selected on validation.
    """

    title: str
    classes: tuple[int, ...]
    changing: tuple[int, ...]
    before: Array
    after: Array
    selected: int


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per forget set, direction and round, in the rows' order.

    Args:
      frame: of `update.jsonl`; rows of the sweep are passed over.

    Returns:
      Accuracies on the forgotten and retained test images: median, worst and selected, as printed; a single model is
      all three.
    """
    frame = frame[frame["metric"].isin([*SHOWN]) & (frame["direction"] != "sweep")]
    long = tables.spread_single(frame, ("median", "worst", "selected"))
    of_selected = long["selection"] == "selected"
    long = long[(of_selected == (long["statistic"] == "selected")) | (long["direction"] == "before")]
    columns = [f"{images}_{statistic}" for images in SHOWN.values() for statistic in ("median", "worst", "selected")]
    lines = tables.wide(long, ["forget_set", "direction", "round"], long["metric"].map(SHOWN) + "_" + long["statistic"])
    lines = lines[columns].round(DECIMALS).reset_index()
    names = zip(lines.pop("direction"), lines.pop("round"), strict=True)
    lines.insert(0, "forget", lines.pop("forget_set").map(tables.braces))
    lines.insert(1, "after", [f"{direction} {number}" if number else direction for direction, number in names])
    return lines


def page(frame: pd.DataFrame, model: str) -> str:
    """The tables as Markdown.

    Args:
      frame: of `update.jsonl`.
      model: where the model comes from.
    """
    lines = summary(frame).rename(columns=lambda name: name.replace("_", ", ").capitalize())
    lines = lines.map(lambda cell: cell if isinstance(cell, str) else tables.number(cell))
    sweeps = frame[frame["direction"] == "sweep"].groupby("round", sort=False)
    compared = distribution.distribution(frame)
    beside = (
        "\nModels updated to forget by one call, all from the one model, are held against clean runs, which never saw the forget set.\n"
        f"{distribution.markdown(compared)}"
    )
    aligned = pd.concat(
        {str(number): tables.alignment_texts(tables.alignment(rows)) for number, rows in sweeps}, names=["Round"]
    ).reset_index("Round")
    return (
        f"# A model that forgets and learns back\n\nModel: {model}.\n\n"
        "Accuracies on the test images of the forget set and of the retain set, over all samples; the selected one is selected on "
        "validation. Round 1 (forget 1, back 1) is one call; a later round is applied to the output of the one before. Learning back "
        "starts from the model selected in round 1 of forgetting.\n\n"
        f"{tables.to_markdown(lines, ('Forget', 'After'))}\n"
        "Prompt alignment of the same model: one class's loss is swept, the targets of the others are those of learned classes.\n\n"
        f"{tables.to_markdown(aligned)}{beside if len(compared) else ''}"
    )


@styled
def accuracies(calls: Sequence[Panel]) -> Figure:
    """Class accuracies before and after each call: forgetting on the left, learning back on the right, a row per forget set.

    Args:
      calls: the two calls of every forget set, one set after the other.

    Returns:
      A figure; the classes that a call is to change are shaded.
    """
    num_sets = len(calls) // 2
    figure = Figure(figsize=(WIDTH, 0.7 + 1.75 * num_sets), layout="constrained")
    grid = figure.subplots(num_sets, 2, squeeze=False, sharex=True, sharey=True)
    for axes, panel in zip(grid.flat, calls, strict=True):
        _draw(axes, panel)
    grid[0, 0].set_ylim(-0.04, 1.04)
    for axes in grid[-1]:
        axes.set_xlabel("class")
    figure.supylabel("accuracy on the test images of the class", fontsize=9.5)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    positions = np.arange(len(panel.classes))
    for position in np.flatnonzero(np.isin(panel.classes, panel.changing)):
        axes.axvspan(position - 0.5, position + 0.5, color=REFERENCE, alpha=0.1, linewidth=0)
    x = positions + 0.56 * spread(len(panel.after))[:, None]  # [N, K]
    label = f"after, every sample ({len(panel.after)})"
    samples: dict[str, Any] = {"s": 9, "color": OURS, "alpha": 0.4, "linewidths": 0, "rasterized": True}
    axes.scatter(x, panel.after, label=label, clip_on=False, **samples)
    ends = positions - 0.4, positions + 0.4
    axes.hlines(np.median(panel.after, axis=0), *ends, color=INK, linewidth=1.8, label="their median")
    axes.hlines(panel.before, *ends, color=LEVEL, linewidth=1.8, linestyle=(0, (2, 1)), label="before")
    diamond: dict[str, Any] = {
        "s": 24,
        "color": INK,
        "marker": "D",
        "linewidths": 0.6,
        "edgecolors": "white",
        "zorder": 4,
    }
    axes.scatter(positions, panel.after[panel.selected], label="selected", clip_on=False, **diamond)
    axes.set_xticks(positions, [str(label) for label in panel.classes])
    axes.set(xlim=(-0.5, len(panel.classes) - 0.5))
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_title(panel.title)
