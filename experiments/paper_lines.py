"""A table of the paper with ours beside it: what it prints, the strict protocol, its own protocol, and the reference models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report.tables import (
    METRICS,
    REFERENCE,
    STATISTICS,
    Place,
    Row,
    braces,
    interval,
    markdown,
    number,
    place_of,
    select,
)

METHODS = {"dihyfo1": "DiHyFo-1", "dihyfo2": "DiHyFo-2", "retrain": "retrained"}
COLUMNS = (
    *("Forget", "Measure", "Method", "Printed", "Best, strict", "Best, paper’s protocol", "All, median"),
    *("Retrained, printed", "Retrained, mean", "Retrained, 5–95%", "Against the reference models"),
)

BESIDE = {"phi_badt": "phi_jsd"}
"""Measures that the paper prints, and ours that go with them."""


@dataclass(frozen=True)
class PaperLine:
    """One printed value with ours.

    Attributes:
      forget_set: labels.
      metric: a name in `METRICS`.
      method: dihyfo1 or dihyfo2.
      printed: in the paper; None: not printed.
      strict: mean of the models selected on validation.
      paper: mean of the models selected on test, as the paper did.
      unselected: median of all samples, unselected.
      printed_reference: the paper's retrained model; None: not printed.
      reference_mean: of our retrained models.
      reference_low: their 5% quantile.
      reference_high: their 95% quantile.
      place: where `strict` lies against the reference models, all as printed.
    """

    forget_set: tuple[int, ...]
    metric: str
    method: str
    printed: float | None
    strict: float
    paper: float
    unselected: float
    printed_reference: float | None
    reference_mean: float
    reference_low: float
    reference_high: float
    place: Place


def lines(
    printed: Sequence[Row], strict: Mapping[str, Sequence[Row]], paper: Mapping[str, Sequence[Row]]
) -> list[PaperLine]:
    """One line per value that a table prints for a hypernetwork, by measure, forget set and method; `BESIDE` adds to them.

    Args:
      printed: the table's rows.
      strict: method to its rows of `results.jsonl`.
      paper: method to its rows under the paper's protocol.

    Raises:
      HyperForgetError: a forget set that the table prints was not asked for.
    """
    theirs: dict[tuple[str, tuple[int, ...], str], float | None] = {
        (row["method"], tuple(row["forget_set"]), row["metric"]): row["value"] for row in printed
    }
    theirs |= {
        (method, forget_set, BESIDE[metric]): None
        for method, forget_set, metric in theirs
        if metric in BESIDE
    }
    best = {name: select(rows, (name,), "selected") for name, rows in strict.items()}
    unselected = {name: select(rows, (name,), "all") for name, rows in strict.items()}
    selected = {name: select(rows, (name,), "selected") for name, rows in paper.items()}
    references = {name: select(rows, (REFERENCE,), None) for name, rows in strict.items()}
    found = []
    for (method, forget_set, metric), value in theirs.items():
        if method == REFERENCE:
            continue
        about = forget_set, metric
        if (*about, "mean") not in best[method]:
            raise HyperForgetError(
                f"the rows of {method} have no {metric} for forget set {braces(forget_set)}, which the paper prints: "
                "leave task.forget_sets as it is"
            )
        mean, _, low, high = (references[method][*about, name]["value"] for name in STATISTICS)
        ours = best[method][*about, "mean"]["value"]
        found.append(
            PaperLine(
                *about,
                method,
                value,
                ours,
                selected[method][*about, "mean"]["value"],
                unselected[method][*about, "median"]["value"],
                theirs.get((REFERENCE, *about)),
                mean,
                low,
                high,
                place_of(ours, low, high),
            )
        )
    order = list(dict.fromkeys((line.forget_set, line.metric) for line in found))
    return sorted(found, key=lambda line: order.index((line.forget_set, line.metric)))


def cells(line: PaperLine) -> tuple[str, ...]:
    """The texts of a line under `COLUMNS`."""
    return (
        braces(line.forget_set),
        METRICS[line.metric].name,
        METHODS[line.method],
        *map(
            number,
            (
                line.printed,
                line.strict,
                line.paper,
                line.unselected,
                line.printed_reference,
                line.reference_mean,
            ),
        ),
        interval(line.reference_low, line.reference_high),
        line.place,
    )


def to_markdown(found: Iterable[PaperLine]) -> str:
    """The table as Markdown."""
    return markdown(COLUMNS, "lllrrrrrrrl", map(cells, found))


def to_rows(found: Iterable[PaperLine]) -> list[dict[str, Any]]:
    """The table for a CSV file: one object per line, values unrounded, the forget set as `2-3`."""
    return [vars(line) | {"forget_set": "-".join(map(str, line.forget_set))} for line in found]
