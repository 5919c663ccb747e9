"""A heat map of many forget sets: how far the selected models of each fall below the retrained ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import seaborn
from matplotlib.figure import Figure

from hyperforget_jax.metrics.results import REFERENCE
from hyperforget_jax.report.style import INK, WIDTH, styled
from hyperforget_jax.report.tables import braces, number, select

DARKEST = 0.05
"""Gap and forget accuracy from which a field is as dark as it gets."""
COLUMNS = ("retain, selected", "retain, retrained", "gap", "forget, all")


@dataclass(frozen=True)
class Accuracies:
    """Accuracies of one forget set.

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


def accuracies(rows: Sequence[Mapping[str, Any]], method: str) -> dict[tuple[int, ...], Accuracies]:
    """Accuracies of every forget set in rows of `results.jsonl`, in their order."""
    best, unselected = (select(rows, (method,), selection) for selection in ("selected", "all"))
    reference = select(rows, (REFERENCE,), None)
    return {
        forget: Accuracies(
            unselected[forget, "retain_accuracy", "median"]["value"],
            best[forget, "retain_accuracy", "mean"]["value"],
            reference[forget, "retain_accuracy", "median"]["value"],
            unselected[forget, "forget_accuracy", "mean"]["value"],
        )
        for forget in dict.fromkeys(key[0] for key in best)
    }


def worst(measured: Mapping[tuple[int, ...], Accuracies]) -> tuple[int, ...]:
    """The forget set whose selected models fall furthest below the retrained ones."""
    return max(measured, key=lambda forget: measured[forget].gap)


@styled
def heatmap(measured: Mapping[tuple[int, ...], Accuracies]) -> Figure:
    """Every forget set, by size, the worst one framed: dark is a large error, gap or forget accuracy.

    Args:
      measured: forget set to its accuracies.
    """
    labels = sorted({label for forget in measured for label in forget})
    order = sorted(measured, key=lambda forget: (len(forget), forget))
    member = np.array([[label in forget for label in labels] for forget in order])
    each = [measured[forget] for forget in order]
    values = np.array([(one.selected, one.reference, one.gap, one.forget) for one in each])  # [S, 4]
    errors = (1.0 - values[:, :2]) / max(1.0 - values[:, :2].min(), 1e-9)
    shade = np.hstack([errors, np.clip(values[:, 2:] / DARKEST, 0.0, 1.0)])  # [S, 4]
    texts = np.vectorize(number)(values)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.2 * len(order)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(len(labels), 12))
    look: dict[str, Any] = {"cbar": False, "vmin": 0.0, "vmax": 1.6, "linewidths": 0.6}
    names = [braces(forget) for forget in order]
    seaborn.heatmap(member, ax=left, cmap="Greys", xticklabels=[*map(str, labels)], yticklabels=names, **look)
    seaborn.heatmap(
        shade, ax=right, cmap="Oranges", annot=texts, fmt="", annot_kws={"size": 7.5},
        xticklabels=COLUMNS, yticklabels=False, **look,
    )  # fmt: skip
    furthest = worst(measured)
    row = order.index(furthest)
    right.axhspan(row + 0.04, row + 0.96, fill=False, edgecolor=INK, linewidth=1.6)
    left.set_title("forgotten", fontsize=9.0)
    right.set_title(f"worst gap: {measured[furthest].gap:.4f} for {braces(furthest)}", fontsize=9.0)
    for panel in (left, right):
        panel.grid(visible=False)
        panel.tick_params(length=0, labelsize=7.5, labelrotation=0)
        panel.xaxis.tick_top()
    return figure
