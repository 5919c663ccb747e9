"""Figures of `experiments.bottleneck`: arrays in, `Figure` out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from hyperforget_jax.report.style import INK, LEVEL, OURS, REFERENCE, WIDTH, styled

Floats = NDArray[np.float64]
AXES = {"pairs": "pairs masked, $N_a$ (activations)", "examples": "images looked at, $N_e$ (examples)"}
MEASURES = {
    "forget training accuracy": ("forgotten class, training", REFERENCE, "--"),
    "forget accuracy": ("forgotten class, test", REFERENCE, "-"),
    "retain accuracy": ("other classes, test", OURS, "-"),
}
"""Measure: its name, colour and line."""
NAMED = 20
"""Most classes whose names fit beside a matrix."""


@styled
def curves(rows: Mapping[str, Sequence[Mapping[str, Any]]], before: Mapping[str, float]) -> Figure:
    """What is left of the forgotten class and of the others, medians and 5-95% over classes, as more pairs are masked.

    Args:
      rows: of either way, by its name in `AXES`.
      before: test accuracy before anything is forgotten, by "test".
    """
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (number, title) in zip(axes, AXES.items(), strict=True):
        grouped = pd.DataFrame(rows[number]).groupby(number)
        for measure, (name, colour, line) in MEASURES.items():
            low, middle, high = (grouped[measure].quantile(share) for share in (0.05, 0.5, 0.95))
            axis.plot(middle.index, middle, line, color=colour, marker="o", markersize=3, label=name)
            axis.fill_between(middle.index, low, high, color=colour, alpha=0.12, linewidth=0)
        axis.axhline(before["test"], color=LEVEL, linewidth=1, linestyle=":", label="all classes, before")
        axis.set(xscale="log", xlabel=title, ylim=(-0.03, 1.03))
    axes[0].set_ylabel("accuracy")
    axes[1].legend(loc="lower left", bbox_to_anchor=(0.02, 0.12), fontsize=7)
    return figure


@styled
def overlap(matrix: Floats, names: Sequence[str]) -> Figure:
    """How far classes share pairs; the diagonal is 1."""
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.grid(visible=False)
    image = axis.imshow(matrix, vmin=0.0, vmax=1.0, cmap="Blues")
    if len(names) <= NAMED:
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
        for row, column in np.ndindex(matrix.shape):
            if row != column:
                axis.text(column, row, f"{matrix[row, column]:.2f}".lstrip("0"), ha="center", va="center", fontsize=6)
    figure.colorbar(image, label="share of hits on the same pairs")
    return figure


@styled
def separation(selected: NDArray[np.int32], labels: NDArray[np.int32], names: Sequence[str], seed: int) -> Figure:
    """Images as points, near to each other where they select the same pairs (t-SNE of the share of codebooks that differ).

    Args:
      selected: [N, C], the pair of every codebook.
      labels: [N], positions of at most ten classes.
      names: of these.
      seed: of the map.
    """
    points = TSNE(metric="hamming", init="random", perplexity=30, random_state=seed).fit_transform(selected)  # [N, 2]
    figure = Figure(figsize=(WIDTH * 0.75, 3.8), layout="constrained")
    axis = figure.subplots()
    for position, name in enumerate(names):
        own = labels == position
        axis.scatter(points[own, 0], points[own, 1], s=5, label=name, color=f"C{position}", linewidth=0)
    axis.set(xticks=[], yticks=[], xlabel="no unit: neighbours select the same pairs")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, markerscale=2, labelcolor=INK)
    return figure
