"""The figure that hides nothing: the accuracies of every sampled model, beside the reference models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from hyperforget_jax.report.style import INK, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import request_name

Array = NDArray[np.floating]

FLOOR = 1e-3
RETAIN_TICKS = np.array((0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 1.0))
FORGET_TICKS = np.array((0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0))
CLOSEST = 0.15
NAMES = ("all", "selected", "reference")
HEIGHTS = (2.0, 1.0, 0.0)


@dataclass(frozen=True)
class Request:
    """Accuracies of all models that answer one request, in [0, 1].

    Attributes:
      forget_set: original labels of the forgotten classes.
      retain: [N], of the sampled models on the retained test images.
      forget: [N], of the sampled models on the forgotten test images.
      selected: [n], indices of the models selected on validation; may be empty.
      reference_retain: [M], of the retrained models on the retained test images.
      reference_forget: [M], of the retrained models on the forgotten test images.
      mode: how the models were prompted, in a run that has both modes.
    """

    forget_set: tuple[int, ...]
    retain: Array
    forget: Array
    selected: NDArray[np.integer]
    reference_retain: Array
    reference_forget: Array
    mode: str = ""


@styled
def accuracies(requests: Sequence[Request]) -> Figure:
    """Every model's accuracy on what is retained and on what is forgotten, one row per forget set and mode.

    The retain axis is logarithmic in the error, so that 0.99 and 0.995 stay apart beside a sample at 0.5; the forget axis is a
    square root, so that one forgotten image is seen beside zero. Marks pile up at a perfect retain accuracy and at a forget accuracy
    of zero: the number of each pile stands beside its row. A band marks the 5-95% range of the reference models.

    Args:
      requests: one per forget set.

    Returns:
      A figure.
    """
    figure = Figure(figsize=(WIDTH, 1.0 + 1.75 * len(requests)), layout="constrained")
    grid = figure.subplots(len(requests), 2, squeeze=False, sharex="col", width_ratios=(3, 2))
    for (left, right), request in zip(grid, requests, strict=True):
        _strips(left, request.retain, request.selected, request.reference_retain, pile=1.0)
        _strips(right, request.forget, request.selected, request.reference_forget, pile=0.0)
        counts = (len(request.retain), len(request.selected), len(request.reference_retain))
        left.set_yticks(HEIGHTS, [f"{who} ({n})" for who, n in zip(NAMES, counts, strict=True)])
        right.set_yticks(())
        left.set_title(f"forget {request_name(request.forget_set, request.mode)}")
    retain = np.concatenate([values for each in requests for values in (each.retain, each.reference_retain)])
    forget = np.concatenate([values for each in requests for values in (each.forget, each.reference_forget)])
    for left, right in grid:
        left.set_xscale("function", functions=(_log_error, _from_log_error))
        right.set_xscale("function", functions=(_root, _square))
        _frame(left, RETAIN_TICKS, retain, _log_error)
        _frame(right, FORGET_TICKS, np.append(forget, 0.1), _root)
        right.set_xlim(left=-2e-4)
    grid[-1, 0].set_xlabel("accuracy on $D_r$ (log scale of the error)")
    grid[-1, 1].set_xlabel("accuracy on $D_f$ (square-root scale)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _strips(panel: Axes, generated: Array, selected: NDArray[np.integer], reference: Array, *, pile: float) -> None:
    low, high = np.quantile(reference, (0.05, 0.95))
    name = "5–95% of the reference models"
    panel.axvspan(low, high, facecolor=REFERENCE, edgecolor=REFERENCE, alpha=0.16, linewidth=1.5, label=name)
    rows = ((generated, OURS, "o", 0.45), (generated[selected], INK, "D", 0.8), (reference, REFERENCE, "^", 0.55))
    for height, (values, colour, marker, alpha) in zip(HEIGHTS, rows, strict=True):
        y = height + 0.62 * spread(len(values))
        panel.scatter(values, y, s=14, c=colour, marker=marker, alpha=alpha, linewidths=0, clip_on=False)
        piled, units = f"{int((values == pile).sum())} at {pile:g}", ("axes fraction", "data")
        panel.annotate(piled, (1.0, height), (7, 0), units, "offset points", va="center", fontsize=8.5)
    medians = [np.median(values) for values in (generated, reference)]
    panel.vlines(medians, (1.58, -0.42), (2.42, 0.42), color=INK, linewidth=1.8, clip_on=False, label="median")
    panel.set_ylim(-0.6, 2.6)
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)


def spread(count: int) -> Array:
    """Numbers in [-0.5, 0.5) that spread marks evenly across a strip: the golden-ratio sequence."""
    return (np.arange(count) * (5.0**0.5 - 1.0) / 2.0) % 1.0 - 0.5


def _frame(panel: Axes, ticks: Array, values: Array, scale: Callable[[Array], Array]) -> None:
    """The axis ends at the nearest ticks around the values; of the ticks between, those with room are shown."""
    first = int(np.clip(np.searchsorted(ticks, values.min(), side="right") - 1, 0, len(ticks) - 2))
    last = max(int(np.searchsorted(ticks, values.max(), side="left")), first + 1)
    low, high = ticks[first], ticks[last]
    room = CLOSEST * (scale(high) - scale(low))
    shown = [high]
    for tick in ticks[first + 1 : last][::-1]:
        if scale(shown[-1]) - scale(tick) >= room and scale(tick) - scale(low) >= room:
            shown.append(tick)
    panel.xaxis.set_major_locator(FixedLocator([*shown, low]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    panel.set_xlim(low, high)


def _log_error(accuracy: Array) -> Array:
    return np.asarray(-np.log10(np.maximum(1.0 - accuracy, 0.0) + FLOOR))


def _from_log_error(position: Array) -> Array:
    return 1.0 + FLOOR - 10.0**-position


def _root(accuracy: Array) -> Array:
    return np.sign(accuracy) * np.sqrt(np.abs(accuracy))


def _square(position: Array) -> Array:
    return np.sign(position) * np.square(position)
