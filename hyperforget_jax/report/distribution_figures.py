"""Figures of the distribution: relearning curves, and AUCs of two-sample tests with control and null interval."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperforget_jax.report.distribution import TESTS, relearning
from hyperforget_jax.report.style import CLEAN, FAINT, INK, OURS, WIDTH, styled
from hyperforget_jax.report.tables import braces


@styled
def relearning_curves(frame: pd.DataFrame) -> Figure:
    """Accuracy on the forgotten test images against steps of fine-tuning; a row a forget set, a column a number of images.

    Args:
      frame: results in long form, with relearning of ours and of the clean reference.
    """
    points = relearning(frame)
    by_set, shots = points.groupby("forget_set", sort=False), points["shots"].unique()
    figure = Figure(figsize=(WIDTH, 0.7 + 1.75 * len(by_set)), layout="constrained")
    grid = figure.subplots(len(by_set), len(shots), squeeze=False, sharex=True, sharey="row")
    for row, (_, of_set) in zip(grid, by_set, strict=True):
        for panel, count in zip(row, shots, strict=True):
            _curve(panel, of_set[of_set["shots"] == count])
        row[0].set(ylim=(0.0, None), ylabel=f"forget {braces(of_set['forget_set'].iloc[0])}")
    for panel, count in zip(grid[0], shots, strict=True):
        panel.set_title(f"{count} image{'s' if count > 1 else ''} a class")
    figure.supxlabel("steps of Adam", fontsize=9.5)
    figure.supylabel("accuracy on $D_f$", fontsize=9.5)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def _curve(panel: Axes, points: pd.DataFrame) -> None:
    steps = points["steps"]
    for who, colour, name in (("clean", CLEAN, "clean reference"), ("ours", OURS, "ours")):
        low, high = points[f"{who}_q05"], points[f"{who}_q95"]
        if who == "clean":
            panel.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0, label=f"{name}, 5–95%")
        else:
            panel.vlines(steps, low, high, color=colour, alpha=0.4, linewidth=1.2, label=f"{name}, 5–95%")
        panel.plot(steps, points[f"{who}_mean"], ".-", color=colour, linewidth=1.8, markersize=5, label=f"{name}, mean")
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))


@styled
def two_sample_aucs(lines: pd.DataFrame) -> Figure:
    """AUC of every two-sample test: ours, the control, and the null interval; a panel for each forget set.

    Args:
      lines: of `distribution.distribution`.
    """
    tests = list(TESTS.values())
    sets = lines.groupby("forget_set", sort=False)
    columns = min(len(sets), 3)
    figure = Figure(figsize=(WIDTH, 0.9 + 2.3 * -(-len(sets) // columns)), layout="constrained")
    grid = figure.subplots(-(-len(sets) // columns), columns, squeeze=False, sharex=True, sharey=True)
    for panel, (_, of_set) in zip(grid.ravel(), sets, strict=False):
        shown = of_set.set_index("measure").loc[tests]
        heights = range(len(shown))
        panel.hlines(heights, shown["low"], shown["high"], color=FAINT, alpha=0.4, linewidth=7, label="equal, 95%")
        panel.plot(
            shown["clean"], heights, "D", color=CLEAN, markersize=5, label="control: clean runs, half against half"
        )
        panel.plot(
            shown["ours"], heights, "o", color=OURS, markersize=6.5, label="ours against clean runs", clip_on=False
        )
        panel.axvline(0.5, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        panel.set_yticks(heights, [name.removeprefix("C2ST ") for name in tests])
        panel.set_title(f"forget {braces(of_set['forget_set'].iloc[0])}")
        panel.set_xlim(right=1.0)
    for panel in grid.ravel()[len(sets) :]:
        panel.remove()
    grid[0, 0].invert_yaxis()
    figure.supxlabel("AUC (0.5: not told apart, 1: told apart always)", fontsize=9.5)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
