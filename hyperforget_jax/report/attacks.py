"""What attacks found, as lines of one table, and as a picture: how far from the reference each method lies on each attack."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperforget_jax.attacks.suite import FAMILIES
from hyperforget_jax.report.style import INK, WIDTH, styled
from hyperforget_jax.report.tables import braces, interval, number

FARTHEST = 10.0
"""Reference standard deviations at which a distance is cut off: beyond, a value says no more than that it is far off."""
CAPTION = (
    "Value: mean over the models; reference: mean over clean runs of the zoo's recipe, which never saw the classes, and their 5–95% range. "
    "Inside: share of the values that lie in the range, about 0.9 for models like the reference. z: distance of the means in standard "
    "deviations of the reference; – where these are 0."
)


def texts(lines: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Lines as they are printed."""
    frame = pd.DataFrame([*lines])
    return pd.DataFrame(
        {
            "Forget": frame["forget_set"].map(braces),
            "Method": frame["method"],
            "Family": frame["family"],
            "Attack": frame["attack"],
            "Value": frame["value"].map(number),
            "Reference": frame["reference"].map(number),
            "Reference, 5–95%": [*map(interval, frame["low"], frame["high"])],
            "Inside": frame["share_inside"].map("{:.2f}".format),
            "z": frame["z"].map(lambda z: "–" if pd.isna(z) else f"{z:.1f}"),
            "Position": frame["position"],
        },
        dtype=object,
    )


def distances(lines: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Distance of every method (rows) from the reference in every family of attacks (columns), in reference standard deviations.

    It is the mean over attacks and forget sets of |z|, cut off at 10; NaN where a method has no attack of a family.
    """
    frame = pd.DataFrame([*lines])
    frame["distance"] = frame["z"].astype(float).abs().fillna(np.inf).clip(upper=FARTHEST)
    table = frame.pivot_table("distance", "method", "family", "mean")
    return table.reindex(index=frame["method"].unique(), columns=[family for family in FAMILIES if family in table])


@styled
def heatmap(lines: Sequence[Mapping[str, Any]]) -> Figure:
    """z-score of every attack (rows) on every method and forget set (columns); values outside the reference's range are framed.

    Args:
      lines: of `attacks.suite.line`.
    """
    columns = list(dict.fromkeys((each["method"], braces(each["forget_set"])) for each in lines))
    attacks = list(dict.fromkeys(each["attack"] for each in lines))
    shade, words = np.full((len(attacks), len(columns)), np.nan), np.full((len(attacks), len(columns)), "", object)
    outside = []
    for each in lines:
        place = attacks.index(each["attack"]), columns.index((each["method"], braces(each["forget_set"])))
        sign = np.sign(each["value"] - each["reference"])
        shade[place] = np.clip(sign * FARTHEST if each["z"] is None else each["z"], -FARTHEST, FARTHEST)
        words[place] = f"{each['value']:.3f}"
        if each["position"] != "inside":
            outside.append(place)
    figure = Figure(figsize=(WIDTH, 1.4 + 0.2 * len(attacks)), layout="constrained")
    panel = figure.subplots()
    seaborn.heatmap(
        shade, ax=panel, cmap="RdBu_r", vmin=-FARTHEST, vmax=FARTHEST, annot=words, fmt="", annot_kws={"size": 6.0},
        xticklabels=[f"{method}\n{forget}" for method, forget in columns], yticklabels=attacks, linewidths=0.6,
        cbar_kws={"label": "z within the reference"},
    )  # fmt: skip
    for row, column in outside:
        frame = Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, fill=False, edgecolor=INK, linewidth=1.0)
        panel.add_patch(frame)
    panel.grid(visible=False)
    panel.tick_params(length=0, labelsize=6.5, labelrotation=0)
    panel.xaxis.tick_top()
    return figure
