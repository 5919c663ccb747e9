"""The look of every figure: one palette, one set of sizes, in one place."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import matplotlib
from matplotlib.figure import Figure

Parameters = ParamSpec("Parameters")

OURS = "#0072B2"
"""Generated models (Okabe-Ito blue: told from the others with any colour vision, and in grey)."""
BEST = "#56B4E9"
"""Generated models of the best prompt, beside those of drawn prompts (Okabe-Ito sky blue)."""
REFERENCE = "#D55E00"
"""Reference models (Okabe-Ito vermilion)."""
CLEAN = "#CC79A7"
"""Clean reference (Okabe-Ito reddish purple)."""
LEVEL = "#009E73"
"""A level to compare with (Okabe-Ito green)."""
INK = "#1F2933"
"""Text, and marks that must stand out."""
FAINT = "#8A94A0"
"""Axes and marks in the background."""

WIDTH = 7.2
"""Width of every figure, in inches: a text column."""

RC = matplotlib.rc_params_from_file(Path(__file__).with_name("figures.mplstyle"), use_default_template=False)
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
