"""Unlearned models beside the clean reference: two-sample tests, diversity and relearning, as a table."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.results import CLEAN, PERMUTED
from hyperforget_jax.report.tables import OURS, braces, by_mode, interval, number, to_markdown, without_empty_modes

TESTS = {
    f"c2st_{view}{ending}": f"C2ST {view.replace('_', ' ')}, {classifier}"
    for view in ("outputs", "class_scores", "canonical_weights", "raw_weights")
    for ending, classifier in (("", "forest"), ("_logistic", "logistic"))
}
"""Two-sample tests by their metric, to their names: what the classifier sees, and which it is."""
SPREADS = {"disagreement": "Disagreement", "loss_spread": "Spread of log losses, mean"}
"""Measures of diversity by their metric, to their names."""
SIMILAR = (0.8, 1.25)
"""Ratios to the clean reference's diversity that count as equal."""
WORDS = ("Forget", "Models", "Measure", "Against clean runs")
"""Columns that are no numbers."""
CAPTION = (
    "All samples beside the clean reference, clean runs by the zoo's own recipe: the yardstick of distribution. "
    "C2ST: AUC of a classifier that tells the two apart; "
    "under clean reference stands the control, one half of it against the other."
)
RELEARNING = r"relearning_k(\d+)_s(\d+)"


class Line(NamedTuple):
    """One measure of one forget set.

    Attributes:
      forget_set: labels.
      mode: how the models were prompted, see `tables.by_mode`.
      measure: its name in print.
      ours: value of unlearned models.
      clean: that of the clean reference; of a two-sample test the control, one half of it against the other.
      low: lower end of what counts as equal.
      high: its upper end.
      verdict: "below", "inside" or "above"; of a curve, at how many of its points.
    """

    forget_set: tuple[int, ...]
    mode: str
    measure: str
    ours: float
    clean: float
    low: float
    high: float
    verdict: str


def distribution(frame: pd.DataFrame) -> pd.DataFrame:
    """Lines of every forget set and mode, in the rows' order; none if the distribution was not measured.

    A two-sample test is inside if its AUC lies in the null interval. Diversity is inside at 0.8 to 1.25 of the clean reference's. A
    relearning curve is inside if the mean of our models lies in the 5-95% range of the clean reference at every step.

    Args:
      frame: results in long form.

    Returns:
      A frame with the fields of `Line` as columns.
    """
    of_requests = by_mode(frame, (CLEAN, PERMUTED)).groupby(["forget_set", "mode"], sort=False)
    lines = [
        line
        for (forget_set, mode), rows in of_requests
        if (rows["method"] == CLEAN).any()
        for line in _lines(forget_set, mode, rows)
    ]
    return pd.DataFrame(lines, columns=list(Line._fields))


def relearning(frame: pd.DataFrame) -> pd.DataFrame:
    """Points of relearning curves: `forget_set`, `mode`, `shots` (images a class), `steps`, and `ours_STATISTIC`, `clean_STATISTIC`.

    Args:
      frame: results in long form.
    """
    frame = by_mode(frame, (CLEAN,))
    numbers = frame["metric"].str.extract(f"^{RELEARNING}$").dropna().astype(int)
    rows = frame.loc[numbers.index].assign(shots=numbers[0], steps=numbers[1])
    who = rows["method"].map(lambda method: "clean" if method == CLEAN else "ours")
    rows = rows.assign(column=who + "_" + rows["statistic"])
    index = ["forget_set", "mode", "shots", "steps"]
    points = rows.pivot_table("value", index, "column", "first", sort=False)
    return points.reindex(rows.set_index(index).index.unique()).reset_index()


def texts(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines of `distribution` as they are printed."""
    texts = pd.DataFrame(
        {
            "Forget": lines["forget_set"].map(braces),
            "Models": lines["mode"],
            "Measure": lines["measure"],
            "Ours": lines["ours"].map(number),
            "Clean reference": lines["clean"].map(number),
            "Counts as equal": [*map(interval, lines["low"], lines["high"])],
            "Against clean runs": lines["verdict"],
        },
        dtype=object,
    )
    return without_empty_modes(texts)


def markdown(lines: pd.DataFrame) -> str:
    """The lines of `distribution` as a Markdown table, below what its columns say."""
    printed = texts(lines)
    return f"{CAPTION}\n\n{to_markdown(printed, [name for name in printed if name in WORDS])}"


def _lines(forget_set: Any, mode: Any, rows: pd.DataFrame) -> Iterator[Line]:
    ours, clean, permuted = (rows[rows["method"].isin(methods)] for methods in (OURS, (CLEAN,), (PERMUTED,)))
    for metric, title in TESTS.items():
        values = _mean(ours, metric), _mean(clean, metric)
        low, high = permuted.loc[permuted["metric"] == metric, ["low", "high"]].iloc[0]
        yield Line(forget_set, mode, title, *values, low, high, str(relative_to(values[0], low, high)))
    for metric, title in SPREADS.items():
        values = _mean(ours, metric), _mean(clean, metric)
        low, high = (bound * values[1] for bound in SIMILAR)
        yield Line(forget_set, mode, title, *values, low, high, str(relative_to(values[0], low, high)))
    for shots, curve in relearning(rows).groupby("shots"):
        title = f"Relearning, {shots} image{'s' if shots != 1 else ''} a class"
        ours_mean, clean_mean, low, high = curve[["ours_mean", "clean_mean", "clean_q05", "clean_q95"]].mean()
        sides = [*map(relative_to, curve["ours_mean"], curve["clean_q05"], curve["clean_q95"])]
        yield Line(forget_set, mode, title, ours_mean, clean_mean, low, high, _of_curve(sides))


def _mean(rows: pd.DataFrame, metric: str) -> float:
    """The value of a metric, or its mean over classes."""
    return float(rows.loc[rows["metric"] == metric, "value"].mean())


def _of_curve(sides: list[Any]) -> str:
    """Where most of the points outside lie, and how many those are; "inside" if there are none."""
    side = max(("above", "below"), key=sides.count)
    outside = sides.count(side)
    if outside in (0, len(sides)):
        return side if outside else "inside"
    return f"{side} at {outside} of {len(sides)}"
