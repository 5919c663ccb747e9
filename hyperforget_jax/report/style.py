"""The look of every figure: one palette, one set of sizes, in one place."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

OURS = "#0072B2"
"""Generated models (Okabe-Ito blue: told from the others with any colour vision, and in grey)."""
REFERENCE = "#D55E00"
"""Reference models (Okabe-Ito vermilion)."""
LEVEL = "#009E73"
"""A level to compare with (Okabe-Ito green)."""
INK = "#1F2933"
"""Text, and marks that must stand out."""
FAINT = "#8A94A0"
"""Axes and marks in the background."""

WIDTH = 7.2
"""Width of every figure, in inches: a text column."""

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "grid.color": "#E6E9ED",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "figure.dpi": 150,  # also while the layout is settled: text is wider at some resolutions than at others
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "svg.hashsalt": "hyperforget_jax",
}
"""Settings of matplotlib, laid over the user's while a figure is made or saved."""


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Decorates a function that draws a figure: it draws in this style, and the layout is settled once.

    Without that, constrained layout moves a little at each saving, and a figure saved twice is two files.

    Args:
      draw: makes a figure.

    Returns:
      The same function, styled.
    """

    @functools.wraps(draw)
    def drawn(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with matplotlib.rc_context(RC):
            figure = draw(*args, **kwargs)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        return figure

    return drawn
