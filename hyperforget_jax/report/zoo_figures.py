"""Figures of a zoo's losses: how they are spread per class, and what resampling makes of them; arrays in, `Figure` out."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from hyperforget_jax.report.figures import MOST_BARS
from hyperforget_jax.report.style import FAINT, INK, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.zoo import coverage

Counts = NDArray[np.integer]
Floats = NDArray[np.floating]
COLUMNS = 2
MOST_NUMBERS = 8
"""Most levels whose bars have room for their numbers, and most bounds whose names have room below."""
BOTTOM = 0.6
"""Where the axis of counts begins, so that a bar of one checkpoint is seen."""
RESAMPLED: dict[str, dict[str, Any]] = {
    "none": {"label": "as stored", "color": FAINT, "alpha": 0.45, "fill": True},
    "combinations": {"label": "combinations drawn equally often", "color": OURS, "linewidth": 2.2},
    "losses": {
        "label": "loss levels drawn equally often",
        "color": REFERENCE,
        "linestyle": (0, (4, 1.5)),
        "linewidth": 2.2,
    },
}
"""`LoaderConfig.resample` to the name and the look of its curve."""


def bar_names(labels: Sequence[int]) -> list[str]:
    """Names of all combinations of the forgettable classes, as short as the bars of `figures.coverage` need them.

    Args:
      labels: original labels, m of them, lowest bit first.

    Returns:
      2^m names: as `coverage.name` while all bars are shown, beyond that only the high classes, such as "2, 3 high".
    """
    codes = range(2 ** len(labels))
    if len(codes) <= MOST_BARS:
        return [coverage.name(code, labels) for code in codes]
    high = (", ".join(map(str, coverage.members(code, labels))) for code in codes)
    return [f"{each} high" if each else "all low" for each in high]


@styled
def losses(histograms: Mapping[int, Counts], edges: Sequence[float], pivots: Collection[int]) -> Figure:
    """Checkpoints per class and loss level, one panel per class, counts on a logarithmic axis (the bins of Figure 25).

    Args:
      histograms: original label to [E + 1], checkpoints per level, as `coverage.histograms` counts them.
      edges: E increasing bounds between the levels, in nats; the first and the last level are open.
      pivots: labels that are never forgotten; their panels are grey.

    Returns:
      A figure; a level without checkpoints has a 0 in place of its bar.
    """
    columns = min(len(histograms), COLUMNS)
    lines = math.ceil(len(histograms) / columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.45 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    most = max(2, *(int(counts.max()) for counts in histograms.values()))
    axes[0].set(yscale="log", ylim=(BOTTOM, most * (most / BOTTOM) ** 0.2))
    every = math.ceil(len(edges) / MOST_NUMBERS)
    axes[0].set_xticks(np.arange(len(edges))[::every] + 0.5, [f"{edge:g}" for edge in edges[::every]])
    axes[0].yaxis.set_major_locator(LogLocator(numticks=6))
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda count, _: short(count)))
    axes[0].yaxis.set_minor_locator(NullLocator())
    for panel, (label, counts) in zip(axes, histograms.items(), strict=False):
        _bars(panel, counts, FAINT if label in pivots else OURS)
        panel.set_title(f"class {label}{' (pivot)' if label in pivots else ''}")
    for panel in axes[len(histograms) :]:
        panel.remove()
        axes[len(histograms) - columns].tick_params(labelbottom=True)
    figure.supxlabel("loss of the class (nats); the levels at both ends are open", fontsize=9.5)
    figure.supylabel("checkpoints", fontsize=9.5)
    return figure


def _bars(panel: Axes, counts: Counts, colour: str) -> None:
    panel.bar(np.arange(len(counts)), counts, width=0.94, color=colour)
    panel.grid(visible=False, axis="x")
    panel.tick_params(axis="y", length=0)
    look: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 7.5}
    for level, count in enumerate(counts if len(counts) <= MOST_NUMBERS else ()):
        ink = INK if count else FAINT
        panel.annotate(short(count), (level, max(count, BOTTOM)), (0, 1.5), color=ink, **look)


def short(count: float) -> str:
    """A count in at most four characters: 7, 950, 1.2k, 48k, 1.9M; numbers below 1,000 are exact."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * unit:
            scaled = count / unit
            return f"{scaled:.{int(scaled < 9.95 and scaled % 1 > 0)}f}{name}"
    return f"{count:.0f}"


@styled
def resampling(edges: Floats, shares: Mapping[str, Floats]) -> Figure:
    """Mean losses as they are stored and as training draws them (section A.6, Figures 28 and 29), on logarithmic axes.

    Args:
      edges: [L + 1], bounds of the levels of the mean loss, in nats.
      shares: `LoaderConfig.resample` to [L], the share of the draws in each level.

    Returns:
      A figure; a level that is never drawn leaves a gap.
    """
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panel = figure.subplots()
    least = min(float(values[values > 0].min()) for values in shares.values())
    for name, values in shares.items():
        panel.stairs(100.0 * values, edges, **RESAMPLED[name])
    panel.set(xscale="log", yscale="log", ylim=(40.0 * least, 200.0))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_major_formatter("{x:g}%")
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set(xlabel="mean loss over the classes (nats)", ylabel="share of the draws")
    figure.legend(loc="outside upper left", ncols=3)
    return figure
