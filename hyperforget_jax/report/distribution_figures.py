"""Figures of the distribution: relearning curves, and AUCs of two-sample tests with control and null interval."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperforget_jax.report.distribution import TESTS, relearning
from hyperforget_jax.report.style import BEST, CLEAN, FAINT, INK, OURS, WIDTH, styled
from hyperforget_jax.report.tables import braces

LOOKS = ((OURS, 6.5), (BEST, 4.0))
"""Colours and sizes of marks of our models by their mode, the run's own first."""


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
    named = grid[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper left", ncols=4 if len(named[0]) == 4 else 3)
    return figure


def _curve(panel: Axes, points: pd.DataFrame) -> None:
    by_mode = _by_mode(points)
    clean, look = next(iter(by_mode.values())), dict[str, Any](linewidth=1.8, markersize=5)
    low, high, name = clean["clean_q05"], clean["clean_q95"], "clean reference"
    panel.fill_between(clean["steps"], low, high, color=CLEAN, alpha=0.2, linewidth=0, label=f"{name}, 5–95%")
    panel.plot(clean["steps"], clean["clean_mean"], ".-", color=CLEAN, label=f"{name}, mean", **look)
    for (colour, _), (name, ours) in zip(LOOKS, by_mode.items(), strict=False):
        steps, low, high = ours["steps"], ours["ours_q05"], ours["ours_q95"]
        panel.vlines(steps, low, high, color=colour, alpha=0.4, linewidth=1.2, label=f"{name}, 5–95%")
        panel.plot(steps, ours["ours_mean"], ".-", color=colour, label=f"{name}, mean", **look)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _by_mode(lines: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The lines of each mode, by its name."""
    return {str(mode or "ours"): of_mode for mode, of_mode in lines.groupby("mode", sort=False)}


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
        by_mode = {name: of_mode.set_index("measure").loc[tests] for name, of_mode in _by_mode(of_set).items()}
        shown, heights = next(iter(by_mode.values())), range(len(tests))
        panel.hlines(heights, shown["low"], shown["high"], color=FAINT, alpha=0.4, linewidth=7, label="equal, 95%")
        panel.plot(
            shown["clean"], heights, "D", color=CLEAN, markersize=5, label="control: clean runs, half against half"
        )
        for (colour, size), (name, ours) in zip(LOOKS, by_mode.items(), strict=False):
            label = f"{name} against clean runs"
            panel.plot(ours["ours"], heights, "o", color=colour, markersize=size, label=label, clip_on=False)
        panel.axvline(0.5, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        panel.set_yticks(heights, [name.removeprefix("C2ST ") for name in tests])
        panel.set_title(f"forget {braces(of_set['forget_set'].iloc[0])}")
        panel.set_xlim(right=1.0)
    for panel in grid.ravel()[len(sets) :]:
        panel.remove()
    grid[0, 0].invert_yaxis()
    figure.supxlabel("AUC (0.5: not told apart, 1: told apart always)", fontsize=9.5)
    named = grid[0, 0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper left", ncols=3 if len(named[0]) == 3 else 2)
    return figure
