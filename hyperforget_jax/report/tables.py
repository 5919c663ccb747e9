"""Tables: our models beside the reference models, for the terminal, for Markdown and for the page.

No measure is simply better when higher or lower. The aim of unlearning is to be indistinguishable from a model retrained without
the forget set, so each line tells whether the value lies below, inside or above the 5-95% range of the reference models.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import REFERENCE

Row = Mapping[str, Any]
Place = Literal["below", "inside", "above"]
"""Where a value lies against the 5-95% range of the reference models, whose ends belong to it."""

OURS = ("dihyfo1", "dihyfo2")
STATISTICS = ("mean", "median", "q05", "q95")
DECIMALS = 4


@dataclass(frozen=True)
class Metric:
    """How a metric is called, and what its number says."""

    name: str
    unit: str


METRICS: Mapping[str, Metric] = {
    "retain_accuracy": Metric("Accuracy on D_r", "share of the retained test images classified correctly"),
    "forget_accuracy": Metric("Accuracy on D_f", "share of the forgotten test images classified correctly"),
    "test_accuracy": Metric("Accuracy on all", "share of all test images classified correctly"),
    "overlap_retain": Metric("Overlap on D_r", "share of D_r with the same prediction as a retrained model"),
    "overlap_forget": Metric("Overlap on D_f", "share of D_f with the same prediction as a retrained model"),
    "overlap_test": Metric("Overlap on all", "share of all with the same prediction as a retrained model"),
    "phi_jsd": Metric(
        "φ, JSD in bits", "1 minus the Jensen–Shannon divergence from a retrained model, base 2"
    ),
    "phi_jsd_nat": Metric("φ, JSD in nats", "the same with the natural logarithm"),
    "phi_badt": Metric(
        "φ, bad-teaching", "the same with the divergence of the bad-teaching code, for the paper’s tables"
    ),
    "mia": Metric("MIA score", "mean predicted membership of D_f in the training set"),
}


@dataclass(frozen=True)
class Line:
    """One metric of one forget set; all values in the metric's unit.

    Attributes:
      forget_set: original labels of the forgotten classes.
      metric: a name in `METRICS`.
      unselected: median of all samples, unselected.
      best: mean of the samples selected on validation; None if none were selected.
      reference_median: median of the reference models.
      reference_mean: its mean.
      reference_low: its 5% quantile.
      reference_high: its 95% quantile.
      place: where `judged` lies against [reference_low, reference_high], all as printed.
    """

    forget_set: tuple[int, ...]
    metric: str
    unselected: float
    best: float | None
    reference_median: float
    reference_mean: float
    reference_low: float
    reference_high: float
    place: Place

    @property
    def judged(self) -> float:
        """The value held against the reference models: `best`, or `unselected` if none were selected."""
        return self.unselected if self.best is None else self.best


@dataclass(frozen=True)
class AlignmentLine:
    """Prompt alignment of one class, by its original label, over the families of samples (section A.4, Equation 6).

    Attributes:
      r2_mean: mean R² of the families; one bad family drags it. r2_median: their median.
      r2_clipped: mean of R² clipped at 0.
      r2_share: share of families with R² above 0.8.
      pearson_mean: mean correlation of target and observed loss.
      pivots_least: median accuracy on the pivots at the prompt where it is least; None: there are no pivots.
    """

    label: int
    r2_mean: float
    r2_median: float
    r2_clipped: float
    r2_share: float
    pearson_mean: float
    pivots_least: float | None = None


def select(rows: Iterable[Row], methods: Sequence[str], selection: str | None) -> dict[tuple[Any, ...], Row]:
    """The test rows of a method that are about whole image sets, by forget set, metric and statistic.

    A single model has one "value"; it stands for its mean, its median and its quantiles.

    Args:
      rows: rows of `results.jsonl`.
      methods: such as `OURS`.
      selection: "all", "selected" or None.

    Returns:
      `{((2, 3), "mia", "mean"): row, …}`, in the rows' order.
    """
    return {
        (tuple(row["forget_set"]), row["metric"], statistic): row
        for row in rows
        if row["method"] in methods and row["selection"] == selection
        if row["split"] == "test" and row["class"] is None
        for statistic in (STATISTICS if row["statistic"] == "value" else (row["statistic"],))
    }


def comparison(rows: Sequence[Row]) -> list[Line]:
    """Our models beside the reference models, by forget set in the rows' order and metric in that of `METRICS`.

    Args:
      rows: rows of `results.jsonl`; a metric that was not measured has no line.

    Returns:
      One line per forget set and metric.

    Raises:
      HyperForgetError: a metric was measured on our models and not on the reference models.
    """
    ours, best, reference = (
        select(rows, OURS, "all"),
        select(rows, OURS, "selected"),
        select(rows, (REFERENCE,), None),
    )
    lines = []
    for forget_set in dict.fromkeys(key[0] for key in ours):
        for metric in METRICS:
            if (forget_set, metric, "median") not in ours:
                continue
            if not all((forget_set, metric, statistic) in reference for statistic in STATISTICS):
                method = ours[forget_set, metric, "median"]["method"]
                raise HyperForgetError(
                    f"the rows have {metric} of {method} for forget set {braces(forget_set)}, but not of the reference"
                    f" models ({', '.join(STATISTICS)}): evaluate the reference models on it too"
                )
            mean, median, low, high = (reference[forget_set, metric, name]["value"] for name in STATISTICS)
            unselected = ours[forget_set, metric, "median"]["value"]
            chosen = best.get((forget_set, metric, "mean"), {"value": None})["value"]
            place = place_of(unselected if chosen is None else chosen, low, high)
            lines.append(Line(forget_set, metric, unselected, chosen, median, mean, low, high, place))
    return lines


def place_of(value: float, low: float, high: float) -> Place:
    """Where a value lies against [low, high], all as printed, so that no table contradicts itself in the last digit."""
    low, value, high = (round(each, DECIMALS) for each in (low, value, high))
    return "below" if value < low else "above" if value > high else "inside"


def alignment_table(rows: Sequence[Row]) -> list[AlignmentLine]:
    """Prompt alignment, one line per class in the rows' order.

    Args:
      rows: rows of `results.jsonl`; those of other metrics are passed over.

    Returns:
      One line per class; empty if alignment was not measured.

    Raises:
      HyperForgetError: a statistic of a class is missing.
    """
    values = {
        (row["class"], row["metric"], row["statistic"]): float(row["value"])
        for row in rows
        if row["metric"].startswith("alignment_") and row["method"] in OURS
    }
    names = ("mean", "median", "mean_clipped", "share_aligned")
    wanted = [*(("alignment_r2", name) for name in names), ("alignment_pearson", "mean")]
    lines = []
    for label in dict.fromkeys(key[0] for key in values):
        for metric, statistic in wanted:
            if (label, metric, statistic) not in values:
                raise HyperForgetError(
                    f"the rows have no {statistic} of {metric} for class {label}: evaluate the alignment again"
                )
        aligned = AlignmentLine(label, *(values[label, *key] for key in wanted))
        pivots = values.get((label, "alignment_pivot_accuracy", "value"))
        lines.append(replace(aligned, pivots_least=pivots))
    return lines


def braces(forget_set: Iterable[int]) -> str:
    """A forget set as people write it: `{2, 3}`."""
    return "{" + ", ".join(str(label) for label in forget_set) + "}"


def number(value: float | None) -> str:
    """A value to four decimals, zero without a sign; a dash for None."""
    return "–" if value is None else f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"


def interval(low: float, high: float) -> str:
    """The range of the reference models, to four decimals."""
    return f"{number(low)}–{number(high)}"


COLUMNS = (
    "Forget",
    "Measure",
    "All, median",
    "Best, mean",
    "Retrained, median",
    "Retrained, mean",
    "Retrained, 5–95%",
    "Against the reference models",
)
ALIGNMENT_COLUMNS = (
    *("Class", "R², mean", "R², median", "R² clipped at 0, mean"),
    *("R² > 0.8, share", "Pearson, mean", "Pivots, least median accuracy"),
)


def cells(line: Line) -> tuple[str, ...]:
    """The texts of a line under `COLUMNS`."""
    return (
        braces(line.forget_set),
        METRICS[line.metric].name,
        number(line.unselected),
        number(line.best),
        number(line.reference_median),
        number(line.reference_mean),
        interval(line.reference_low, line.reference_high),
        line.place,
    )


def alignment_cells(line: AlignmentLine) -> tuple[str, ...]:
    """The texts of a line under `ALIGNMENT_COLUMNS`."""
    label, *values = astuple(line)
    return (str(label), *(number(value) for value in values))


def to_rich(lines: Sequence[Line]) -> Table:
    """The comparison for the terminal; each forget set is a section."""
    table = Table(
        title="ours beside the reference models",
        caption="the aim is to lie inside the reference models: neither higher nor lower is better",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for index, column in enumerate(COLUMNS):
        short = column.replace("Retrained", "Reference")  # to fit 80 columns
        heading = short.replace(", ", ",\n").replace("Against the ", "Against\nthe\n")
        table.add_column(heading, justify="left" if index in (0, 1, len(COLUMNS) - 1) else "right")
    for index, line in enumerate(lines):
        first = index == 0 or lines[index - 1].forget_set != line.forget_set
        last = index + 1 == len(lines) or lines[index + 1].forget_set != line.forget_set
        head, *middle, place = cells(line)
        colour = "green" if line.place == "inside" else "yellow"
        table.add_row(head if first else "", *middle, f"[{colour}]{place}[/]", end_section=last)
    return table


def alignment_to_rich(lines: Sequence[AlignmentLine]) -> Table:
    """Prompt alignment for the terminal."""
    table = Table(title="prompt alignment", caption="over families of samples; 1 is perfect", box=SIMPLE_HEAD)
    for column in ALIGNMENT_COLUMNS:
        table.add_column(column.replace(", ", ",\n"), justify="right")
    for line in lines:
        table.add_row(*alignment_cells(line))
    return table


def to_markdown(lines: Sequence[Line]) -> str:
    """The comparison as a Markdown table, with a newline at its end."""
    return markdown(COLUMNS, "llrrrrrl", [cells(line) for line in lines])


def alignment_to_markdown(lines: Sequence[AlignmentLine]) -> str:
    """Prompt alignment as a Markdown table, with a newline at its end."""
    return markdown(
        ALIGNMENT_COLUMNS, "r" * len(ALIGNMENT_COLUMNS), [alignment_cells(line) for line in lines]
    )


def markdown(columns: Sequence[str], sides: str, body: Iterable[Iterable[str]]) -> str:
    """A Markdown table, with a newline at its end; `sides` has a letter per column: l stands to the left, r to the right."""
    rule = ["---" if side == "l" else "---:" for side in sides]
    return "".join("| " + " | ".join(row) + " |\n" for row in (columns, rule, *body))
