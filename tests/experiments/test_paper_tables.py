"""The paper's tables beside ours, from hand-made values: what stands where, and what is drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from experiments import paper_tables
from experiments.paper_tables import PaperLine
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import figures
from hyperforget_jax.report.style import INK, OURS, REFERENCE

Row = dict[str, Any]


def row(method: str, forget: list[int], metric: str, selection: str | None, statistic: str, value: float) -> Row:
    """A row of `results.jsonl`, as far as tables read it."""
    about = {"method": method, "forget_set": forget, "metric": metric, "selection": selection}
    return {**about, "statistic": statistic, "value": value, "split": "test", "class": None}


def measured(
    method: str, forget: list[int], metric: str, best: float, median: float, reference: tuple[float, ...]
) -> list[Row]:
    """Rows of one metric: of the selected models, of all samples, and of the reference models (mean, 5%, 95%)."""
    mean, low, high = reference
    statistics = {"mean": mean, "median": 0.123, "q05": low, "q95": high}
    return [
        row(method, forget, metric, "selected", "mean", best),
        row(method, forget, metric, "selected", "median", 0.456),
        row(method, forget, metric, "all", "median", median),
        row(method, forget, metric, "all", "mean", 0.789),
        *(row("retrain", forget, metric, None, name, value) for name, value in statistics.items()),
    ]


def told(method: str, forget: list[int], metric: str, value: float) -> Row:
    """A row of the paper's."""
    return {"table": 3, "method": method, "forget_set": forget, "metric": metric, "value": value}


PRINTED = [
    told("dihyfo1", [2], "retain_accuracy", 0.9837),
    told("dihyfo1", [2, 3], "retain_accuracy", 0.9983),
    told("dihyfo2", [2], "retain_accuracy", 0.9834),
    told("dihyfo2", [2, 3], "retain_accuracy", 0.9995),
    told("retrain", [2], "retain_accuracy", 0.9938),
    told("retrain", [2, 3], "retain_accuracy", 0.9991),
    told("dihyfo1", [2], "mia", 0.626),
    told("dihyfo2", [2], "mia", 0.4457),
]
"""As a table prints them: by method, then by forget set."""


NARROW, WIDE, INFERRED = (0.95, 0.94, 0.96), (0.9, 0.8, 0.97), (0.5, 0.4, 0.6)


STRICT = {
    "dihyfo1": [
        *measured("dihyfo1", [2], "retain_accuracy", 0.96004, 0.91, NARROW),
        *measured("dihyfo1", [2, 3], "retain_accuracy", 0.96006, 0.92, NARROW),
        *measured("dihyfo1", [2], "mia", 0.39, 0.3, INFERRED),
    ],
    "dihyfo2": [
        *measured("dihyfo2", [2], "retain_accuracy", 0.79994, 0.93, WIDE),
        *measured("dihyfo2", [2, 3], "retain_accuracy", 0.85, 0.94, WIDE),
        *measured("dihyfo2", [2], "mia", 0.4, 0.2, INFERRED),
    ],
}


PAPER = {
    method: [each | {"value": each["value"] + 0.001} for each in rows if each["method"] == method]
    for method, rows in STRICT.items()
}


@pytest.fixture
def lines() -> list[PaperLine]:
    return paper_tables.lines(PRINTED, STRICT, PAPER)


def test_a_line_stands_for_every_value_of_a_hypernetwork_by_set_measure_and_method(lines: list[PaperLine]) -> None:
    assert [(line.forget_set, line.metric, line.method) for line in lines] == [
        ((2,), "retain_accuracy", "dihyfo1"),
        ((2,), "retain_accuracy", "dihyfo2"),
        ((2, 3), "retain_accuracy", "dihyfo1"),
        ((2, 3), "retain_accuracy", "dihyfo2"),
        ((2,), "mia", "dihyfo1"),
        ((2,), "mia", "dihyfo2"),
    ]


def test_every_value_comes_from_its_own_row(lines: list[PaperLine]) -> None:
    """Every method is held against the reference models of its own run."""
    line = lines[1]
    assert (line.printed, line.strict, line.unselected) == (0.9834, 0.79994, 0.93)
    assert line.paper == pytest.approx(0.79994 + 0.001)
    assert (line.printed_reference, line.reference_mean) == (0.9938, 0.9)
    assert (line.reference_low, line.reference_high) == (0.8, 0.97)
    assert (lines[0].reference_low, lines[0].reference_high) == (0.94, 0.96)
    assert lines[4].printed_reference is None


def test_a_line_lies_inside_below_or_above_the_reference_as_it_is_printed(lines: list[PaperLine]) -> None:
    assert [(round(line.strict, 5), line.place) for line in lines] == [
        (0.96004, "inside"),  # 0.9600 in the table, as is the end of the range
        (0.79994, "below"),
        (0.96006, "above"),
        (0.85, "inside"),
        (0.39, "below"),
        (0.4, "inside"),
    ]


def test_the_cells_of_a_line(lines: list[PaperLine]) -> None:
    assert paper_tables.cells(lines[2]) == (
        *("{2, 3}", "Accuracy on D_r", "DiHyFo-1", "0.9983", "0.9601", "0.9611", "0.9200"),
        *("0.9991", "0.9500", "0.9400–0.9600", "above"),
    )
    assert paper_tables.cells(lines[5])[7] == "–"  # the paper prints none
    assert len(paper_tables.cells(lines[0])) == len(paper_tables.COLUMNS)


def test_the_markdown_has_heads_a_rule_and_a_row_per_line(lines: list[PaperLine]) -> None:
    heads, rule, *body = paper_tables.to_markdown(lines).splitlines()
    assert heads == f"| {' | '.join(paper_tables.COLUMNS)} |"
    assert rule == "| --- | --- | --- " + "| ---: " * 7 + "| --- |"
    assert body == [f"| {' | '.join(paper_tables.cells(line))} |" for line in lines]


def test_the_rows_of_the_csv_are_not_rounded(lines: list[PaperLine]) -> None:
    rows = paper_tables.to_rows(lines)
    assert [each["forget_set"] for each in rows] == ["2", "2", "2-3", "2-3", "2", "2"]
    assert rows[0]["strict"] == 0.96004
    assert rows[4]["printed_reference"] is None
    assert {tuple(each) for each in rows} == {tuple(PaperLine.__dataclass_fields__)}


def test_a_forget_set_that_was_not_asked_for_is_refused() -> None:
    fewer = {method: [each for each in rows if each["forget_set"] == [2]] for method, rows in STRICT.items()}
    with pytest.raises(HyperForgetError, match=r"dihyfo1 have no retain_accuracy for forget set \{2, 3\}"):
        paper_tables.lines(PRINTED, fewer, PAPER)


def table() -> Figure:
    return paper_tables.picture(paper_tables.lines(PRINTED, STRICT, PAPER))


def families() -> Figure:
    return paper_tables.scatter([(-6.0, 0.5), (1.0, 0.9)], [(0.5, 0.7), (-1.5, -0.1)], least=-1.0)


@pytest.mark.parametrize("build", [table, families])
def test_the_same_figure_twice_is_the_same_bytes(build: Callable[[], Figure], tmp_path: Path) -> None:
    for name in ("first", "anew"):
        figures.save(build(), tmp_path, name)
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()


def marks(panel: Axes, label: str) -> list[tuple[float, float]]:
    """First points of the lines with a label."""
    found = [np.asarray(line.get_xydata())[0] for line in panel.lines if line.get_label() == label]
    return [(float(x), float(y)) for x, y in found]


def test_the_picture_of_a_table_has_a_panel_per_measure_and_a_row_per_set_and_method() -> None:
    accuracy, inference = table().axes
    assert [panel.get_title(loc="left") for panel in (accuracy, inference)] == [
        "Accuracy on\nD_r",  # five panels stand side by side elsewhere
        "MIA score",
    ]
    assert [text.get_text() for text in accuracy.get_yticklabels()] == [
        *("{2}  DiHyFo-1", "{2}  DiHyFo-2", "{2, 3}  DiHyFo-1", "{2, 3}  DiHyFo-2")
    ]
    heights = [0.0, -1.0, -2.0, -3.0]
    assert list(accuracy.get_yticks()) == heights
    assert marks(accuracy, "ours") == list(zip((0.96004, 0.79994, 0.96006, 0.85), heights, strict=True))
    assert marks(accuracy, "printed") == list(zip((0.9837, 0.9834, 0.9983, 0.9995), heights, strict=True))
    assert marks(accuracy, "retrained, printed") == list(zip((0.9938, 0.9938, 0.9991, 0.9991), heights, strict=True))
    bars = [line for line in accuracy.lines if line.get_label() == "retrained, 5–95%"]
    assert {to_hex(bar.get_color()).upper() for bar in bars} == {REFERENCE}
    assert [tuple(np.asarray(bar.get_xdata())) for bar in bars] == [
        *((0.94, 0.96), (0.8, 0.97), (0.94, 0.96), (0.8, 0.97))
    ]
    assert marks(inference, "ours") == [(0.39, 0.0), (0.4, -1.0)]
    assert marks(inference, "retrained, printed") == []


def test_in_the_picture_of_a_table_the_marks_of_dihyfo1_are_hollow() -> None:
    ours = [line for line in table().axes[0].lines if line.get_label() == "ours"]
    assert [line.get_markerfacecolor() for line in ours] == ["none", OURS, "none", OURS]


def test_the_legend_of_a_table_names_every_mark_once() -> None:
    (legend,) = table().legends
    names = ["retrained, 5–95%", "retrained, printed", "printed", "ours"]
    assert [text.get_text() for text in legend.get_texts()] == names


def test_families_below_the_least_stay_on_it_and_means_are_of_all() -> None:
    (panel,) = families().axes
    theirs, ours = panel.lines[:2]
    np.testing.assert_allclose(np.asarray(theirs.get_xydata()), [(-1.0, 0.5), (1.0, 0.9)])
    np.testing.assert_allclose(np.asarray(ours.get_xydata()), [(0.5, 0.7), (-1.0, -0.1)])
    assert [to_hex(line.get_color()).upper() for line in (theirs, ours)] == [INK, OURS]
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "printed: mean R² -2.500, mean Pearson 0.700",
        "ours: mean R² -0.500, mean Pearson 0.300",
    ]
    low, high = panel.get_xlim()
    assert low < -1.0 < 1.0 < high
    assert "-1 stands for that or less" in panel.get_xlabel()
