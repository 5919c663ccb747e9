"""A model that forgets and learns back: the table and the figure of `hyperforget update`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hyperforget_jax.report.style import FAINT, INK, LEVEL, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import (
    ALIGNMENT_COLUMNS,
    DECIMALS,
    Row,
    alignment_cells,
    alignment_table,
    braces,
    markdown,
    number,
)

Array = NDArray[np.floating]
SHOWN = {"forget_accuracy": "forget set", "retain_accuracy": "retain set"}
"""Metrics in the table to the names of their image sets."""
STATISTICS = {"median": ("all", "median"), "worst": ("all", "worst"), "chosen": ("selected", "value")}
"""Columns of the table to the selection and the statistic of their rows."""
ALONE = ("median", "worst", "value")
"""Statistics that the value of a single model stands for."""
GOLDEN = (5.0**0.5 - 1.0) / 2.0


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


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per forget set, direction and round, in the rows' order.

    Args:
      rows: of `update.jsonl`; those of the sweep are passed over.

    Returns:
      Accuracies on the forgotten and retained test images: median, worst and chosen, as printed; a single model is
      all three.
    """
    values = {
        (*_line(row), row["metric"], row["selection"], statistic): round(row["value"], DECIMALS)
        for row in rows
        if row["metric"] in SHOWN and row["direction"] != "sweep"
        for statistic in (ALONE if row["statistic"] == "value" else (row["statistic"],))
    }
    return [
        {"forget": braces(forget), "after": f"{direction} {round_}" if round_ else direction}
        | {
            f"{images}_{column}": values[
                forget, direction, round_, metric, None if direction == "before" else selection, statistic
            ]
            for metric, images in SHOWN.items()
            for column, (selection, statistic) in STATISTICS.items()
        }
        for forget, direction, round_ in dict.fromkeys(key[:3] for key in values)
    ]


def _line(row: Row) -> tuple[tuple[int, ...], str, int]:
    return tuple(row["forget_set"]), row["direction"], row["round"]


def page(rows: Sequence[Row], model: str) -> str:
    """The tables as Markdown.

    Args:
      rows: of `update.jsonl`.
      model: where the model comes from.
    """
    lines = summary(rows)
    heading = [name.replace("_", ", ").capitalize() for name in lines[0]]
    body = [
        [number(cell) if isinstance(cell, float) else str(cell) for cell in line.values()] for line in lines
    ]
    rounds = dict.fromkeys(row["round"] for row in rows if row["direction"] == "sweep")
    aligned = [
        [str(round_), *alignment_cells(line)]
        for round_ in rounds
        for line in alignment_table([row for row in rows if row["round"] == round_])
    ]
    return (
        f"# A model that forgets and learns back\n\nModel: {model}.\n\n"
        "Accuracies on the test images of the forget set and of the retain set, over all samples; the chosen one is chosen on "
        "validation. Round 1 (forget 1, back 1) is one call; a later round is applied to the output of the one before. Learning back "
        "starts from the model chosen in round 1 of forgetting.\n\n"
        f"{markdown(heading, 'llrrrrrr', body)}\n"
        "Prompt alignment of the same model: one class's loss is swept, the others are asked to stay learned.\n\n"
        f"{markdown(('Round', *ALIGNMENT_COLUMNS), 'r' * (1 + len(ALIGNMENT_COLUMNS)), aligned)}"
    )


@styled
def accuracies(calls: Sequence[tuple[Panel, Panel]]) -> Figure:
    """Class accuracies before and after each call: forgetting on the left, learning back on the right, a row per forget set.

    Args:
      calls: the two calls of every forget set.

    Returns:
      A figure; the classes that a call is to change are shaded.
    """
    figure = Figure(figsize=(WIDTH, 0.7 + 1.75 * len(calls)), layout="constrained")
    grid = figure.subplots(len(calls), 2, squeeze=False, sharex=True, sharey=True)
    for axes, call in zip(grid, calls, strict=True):
        for panel, one in zip(axes, call, strict=True):
            _draw(panel, one)
    grid[0, 0].set_ylim(-0.04, 1.04)
    for panel in grid[-1]:
        panel.set_xlabel("class")
    figure.supylabel("accuracy on the test images of the class", fontsize=9.5)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    places = np.arange(len(panel.classes))
    for place, label in enumerate(panel.classes):
        if label in panel.changing:
            axes.axvspan(place - 0.5, place + 0.5, color=REFERENCE, alpha=0.1, linewidth=0)
    # spread evenly in width, by the golden-ratio sequence
    spread = 0.56 * ((np.arange(len(panel.after)) * GOLDEN) % 1.0 - 0.5)  # [N]
    axes.scatter(
        places[None] + spread[:, None],
        panel.after,
        s=9,
        color=OURS,
        alpha=0.4,
        linewidths=0,
        clip_on=False,
        rasterized=True,
        label=f"after, every sample ({len(panel.after)})",
    )
    ends = places - 0.4, places + 0.4
    axes.hlines(np.median(panel.after, axis=0), *ends, color=INK, linewidth=1.8, label="their median")
    axes.hlines(panel.before, *ends, color=LEVEL, linewidth=1.8, linestyle=(0, (2, 1)), label="before")
    axes.scatter(
        places,
        panel.after[panel.selected],
        s=24,
        color=INK,
        marker="D",
        linewidths=0.6,
        edgecolors="white",
        zorder=4,
        clip_on=False,
        label="selected",
    )
    axes.set_xticks(places, [str(label) for label in panel.classes])
    axes.set_xlim(-0.5, len(panel.classes) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0)
    axes.axhline(0.0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_title(panel.title)
