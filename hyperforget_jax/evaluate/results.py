"""Results as tidy rows: one statistic of one metric is one JSON object, one line of `results.jsonl`."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.evaluate.statistics import bootstrap, summarise

Selection = Literal["all", "selected"] | None
"""All samples, those selected on validation, or nothing to select from."""
Split = Literal["validation", "test"]
"""Images measured on."""
Protocol = Literal["strict", "paper"]
"""strict: test images for reported numbers only; paper: for everything, as the paper did."""
Statistic = Literal["mean", "median", "q05", "q95", "value", "mean_clipped", "share_aligned"]
"""What of the N values a row holds; "value" is the only one."""
Ideal = float | Literal["reference"] | None
"""What the metric should be: a number, what the reference models has, or nothing in particular."""


@dataclass(frozen=True)
class Context:
    """What was measured: the fields that the rows of one evaluation share."""

    dataset: str
    """Such as "mnist4"."""
    classifier: str
    """Widths, such as "784-2-4"."""
    method: str
    """Such as "dihyfo1", "dihyfo2", "retrain", "scrub"."""
    forget_set: tuple[int, ...]
    """Forgotten classes, by their labels in the dataset."""
    selection: Selection
    split: Split
    protocol: Protocol


@dataclass(frozen=True)
class Row:
    """One number, with all that is needed to read it."""

    dataset: str
    classifier: str
    method: str
    forget_set: tuple[int, ...]
    metric: str
    class_: int | None
    """Label of the class that a per-class metric is about; None for the others; "class" in JSON."""
    selection: Selection
    statistic: Statistic
    split: Split
    protocol: Protocol
    n: int
    """Values (models, families or pairs) behind the statistic."""
    value: float
    low: float | None
    """Ends of the 95% interval of the value; None where there is none."""
    high: float | None
    ideal: Ideal


def to_json(row: Row) -> dict[str, Any]:
    """The row as a JSON-ready object, keys in the order of its fields."""
    return dataclasses.asdict(
        row,
        dict_factory=lambda items: {
            name.rstrip("_"): list(value) if isinstance(value, tuple) else value for name, value in items
        },
    )


def rows_of(
    values: NDArray[np.floating],
    context: Context,
    *,
    metric: str,
    class_: int | None,
    ideal: Ideal,
    resamples: int,
    seed: int,
) -> list[Row]:
    """Rows of one metric: mean and median with their 95% intervals, q05 and q95; or the value, if N = 1.

    Args:
      values: [N], one per model.
      context: what was measured.
      metric: its name, such as "retain_accuracy".
      class_: label of the class that a per-class metric is about; None for the others.
      ideal: what the metric should be.
      resamples: of the bootstrap.
      seed: of the bootstrap.

    Returns:
      Four rows, or one.

    Raises:
      HyperForgetError: there is no value, or one is not finite (JSON has no NaN).
    """
    about = f"{metric} of {context.method} for forget set {list(context.forget_set)}"
    if len(values) == 0:
        raise HyperForgetError(f"{about} has 0 values, expected at least 1: sample at least one model")
    finite = np.isfinite(values)
    if not finite.all():
        raise HyperForgetError(
            f"{about} is not finite for {(~finite).sum()} of {len(values)} values: "
            "drop the models with NaN or infinite outputs, or the metric"
        )

    def row(statistic: Statistic, value: float, low: float | None, high: float | None) -> Row:
        return Row(
            **vars(context),
            metric=metric,
            class_=class_,
            statistic=statistic,
            n=len(values),
            value=value,
            low=low,
            high=high,
            ideal=ideal,
        )

    if len(values) == 1:
        return [row("value", float(values[0]), None, None)]
    of = summarise(values)
    return [
        row("mean", of["mean"], *bootstrap(values, "mean", resamples, seed)),
        row("median", of["median"], *bootstrap(values, "median", resamples, seed)),
        row("q05", of["q05"], None, None),
        row("q95", of["q95"], None, None),
    ]
