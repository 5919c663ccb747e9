"""Results in long form: one statistic of one metric is one row of a frame, and one JSON object a line of `results.jsonl`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.statistics import REDUCE, bootstrap, summarise
from hyperforget_jax.runtime import artifacts

Row = dict[str, Any]
"""One number with all that is needed to read it: the keys are `COLUMNS`, the values are JSON-ready."""
Selection = Literal["all", "selected"] | None
"""All samples, those selected on validation, or nothing to select from."""
Split = Literal["validation", "test"]
"""Images measured on."""
Protocol = Literal["strict", "paper"]
"""strict: test images for reported numbers only; paper: for everything, as the paper did."""
Ideal = float | Literal["reference"] | None
"""What the metric should be: a number, what the reference models have, or nothing in particular."""

REFERENCE = "retrain"
"""The method of the reference models."""
CLEAN = "clean_reference"
"""The method of clean runs by the zoo's own recipe that no hypernetwork was trained on. In comparisons with them it is the control: one
half of them against the other."""
PERMUTED = "permuted_labels"
"""The method of the rows that say what a two-sample test gives if nothing tells its groups apart."""
COLUMNS = (
    *("dataset", "classifier", "method", "forget_set", "metric", "class", "selection", "statistic"),
    *("split", "protocol", "n", "value", "low", "high", "ideal"),
)
"""`forget_set`: labels; `class`: label of the class that a per-class metric is about; `statistic`: "mean", "median", "q05", "q95",
or "value", the only one; `n`: models, families or pairs behind it; `low`, `high`: ends of its 95% interval; missing where there is none."""


@dataclass(frozen=True)
class Context:
    """What was measured: the fields that the rows of one evaluation share."""

    dataset: str
    """Such as "mnist4"."""
    classifier: str
    """Widths, such as "784-2-4"."""
    method: str
    """Such as "dihyfo1", "dihyfo2", "dihyfo2_best" (its best prompt, in a run that draws prompts), "retrain", "scrub"."""
    forget_set: tuple[int, ...]
    """Forgotten classes, by their labels in the dataset."""
    selection: Selection
    split: Split
    protocol: Protocol


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
    shared = vars(context) | {"forget_set": [*context.forget_set], "metric": metric, "class": class_}
    shared |= {"n": len(values), "ideal": ideal}

    def row(statistic: str, value: float, low: float | None = None, high: float | None = None) -> Row:
        fields = shared | {"statistic": statistic, "value": value, "low": low, "high": high}
        return {name: fields[name] for name in COLUMNS}

    if len(values) == 1:
        return [row("value", float(values[0]))]
    intervals: dict[str, Any] = {name: bootstrap(values, name, resamples, seed) for name in REDUCE}
    return [row(name, value, *intervals.get(name, ())) for name, value in summarise(values).items()]


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame; numbers keep every digit, forget sets are tuples, and `class` is a nullable integer."""
    frame = pd.DataFrame([*rows])
    if frame.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    return frame.assign(
        forget_set=frame["forget_set"].map(tuple),
        **{"class": frame["class"].astype("Int64")},
        low=frame["low"].astype("float64"),
        high=frame["high"].astype("float64"),
    )


def write_results(path: Path, frame: pd.DataFrame) -> None:
    """Writes a frame as JSON lines, keys in the order of the columns, null where a value is missing.

    Raises:
      HyperForgetError: disk full, no permission.
    """
    records = frame.astype(object).to_dict("records")
    artifacts.write_rows(path, [{str(key): _json(value) for key, value in row.items()} for row in records])


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return None if pd.isna(value) else value
