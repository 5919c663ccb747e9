"""Tables and verdicts of the report: numbers by hand, and where they lie against the reference models."""

import io
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import frame_of
from hyperforget_jax.report import console as terminal
from hyperforget_jax.report import tables
from hyperforget_jax.report.summaries import percent, verdicts


def rows_of(method: str, selection: str | None, metric: str, n: int, **values: float) -> list[dict[str, Any]]:
    shared: dict[str, Any] = {"dataset": "mnist4", "classifier": "784-2-4", "method": method, "forget_set": [2, 3]}
    shared |= {"metric": metric, "class": None, "selection": selection, "split": "test", "protocol": "strict"}
    shared |= {"n": n, "low": None, "high": None, "ideal": "reference"}
    return [shared | {"statistic": name, "value": value} for name, value in values.items()]


def measured(metric: str, unselected: float, best: float | None, low: float, high: float) -> list[dict[str, Any]]:
    rows = rows_of("dihyfo2", "all", metric, 256, mean=unselected - 0.01, median=unselected, q05=0.0, q95=1.0)
    rows += rows_of(
        "retrain", None, metric, 32, mean=(low + high) / 2, median=low + 0.8 * (high - low), q05=low, q95=high
    )
    if best is not None:
        rows += rows_of("dihyfo2", "selected", metric, 5, mean=best, median=0.0, q05=0.0, q95=0.0)
    return rows


def aligned(label: int, *values: float) -> list[dict[str, Any]]:
    names = ("mean", "median", "mean_clipped", "share_aligned")
    rows = rows_of("dihyfo2", None, "alignment_r2", 32, **dict(zip(names, values, strict=False)))
    rows += rows_of("dihyfo2", None, "alignment_pearson", 32, mean=values[4], median=0.0)
    return [row | {"class": label, "forget_set": []} for row in rows]


def comparison(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return tables.comparison(frame_of(rows))


def markdown_cells(text: str) -> list[list[str]]:
    """The cells of a Markdown table, heading and rule first."""
    assert text.endswith("|\n")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_comparison_reads_each_statistic_from_its_own_row() -> None:
    rows = measured("mia", 0.51, 0.53, 0.50, 0.60)
    (line,) = comparison(rows).to_dict("records")
    assert (line["forget_set"], line["metric"]) == ((2, 3), "mia")
    assert (line["all_median"], line["all_mean"], line["selected_mean"]) == (0.51, 0.50, 0.53)
    assert (line["reference_q05"], line["reference_q95"]) == (0.50, 0.60)
    assert (line["reference_mean"], line["reference_median"]) == pytest.approx((0.55, 0.58))
    assert (line["all_n"], line["selected_n"], line["reference_n"]) == (256, 5, 32)
    assert (line["judged"], line["against_reference"]) == (0.53, "inside")


def test_comparison_passes_over_validation_rows_classes_other_methods_and_unknown_metrics() -> None:
    rows = measured("mia", 0.51, 0.53, 0.50, 0.60)
    strays = [row | change for row in rows for change in ({"split": "validation"}, {"class": 2}, {"metric": "seconds"})]
    strays += [row | {"method": "scrub"} for row in rows]
    strays = [row | {"value": 9.0} for row in strays]
    pd.testing.assert_frame_equal(comparison(strays + rows + strays), comparison(rows))


def of_both_modes() -> list[dict[str, Any]]:
    """Drawn prompts above the reference models, the best prompt inside; for two forget sets."""
    rows = measured("mia", 0.9, 0.9, 0.5, 0.6)
    rows += [row | {"method": "dihyfo2_best", "value": 0.55} for row in rows if row["method"] == "dihyfo2"]
    return [row | {"forget_set": forget} for forget in ([3], [2]) for row in rows]


def test_each_mode_has_lines_of_its_own_beside_the_same_reference() -> None:
    lines = comparison(of_both_modes())
    told = lines[["forget_set", "mode", "all_median", "reference_q05", "reference_n", "against_reference"]]
    assert told.to_numpy().tolist() == [
        [forget, mode, value, 0.5, 32, side]
        for forget in ((3,), (2,))
        for mode, value, side in (("drawn prompts", 0.9, "above"), ("best prompt", 0.55, "inside"))
    ]
    assert set(comparison(measured("mia", 0.9, 0.9, 0.5, 0.6))["mode"]) == {""}


def test_texts_terminal_and_verdicts_name_the_modes_where_there_are_both() -> None:
    texts = tables.comparison_texts(comparison(of_both_modes()))
    assert texts["Models"].tolist() == ["drawn prompts", "best prompt"] * 2
    assert "Models" not in tables.comparison_texts(comparison(measured("mia", 0.9, 0.9, 0.5, 0.6)))
    paper = io.StringIO()
    Console(file=paper, width=80).print(terminal.comparison(frame_of(of_both_modes())))
    first, second = paper.getvalue().split("ours, best prompt, beside the reference models")
    assert "ours, drawn prompts, beside the reference models" in first
    assert (first.count("above"), second.count("above"), second.count("inside")) == (2, 0, 2 + 1)
    accuracies = [row | {"metric": f"{images}_accuracy"} for images in ("retain", "forget") for row in of_both_modes()]
    assert [
        (verdict.forget_set, verdict.mode, verdict.like_retrained) for verdict in verdicts(frame_of(accuracies))
    ] == [(forget, mode, mode == "best prompt") for forget in ((3,), (2,)) for mode in ("drawn prompts", "best prompt")]


def test_comparison_keeps_the_order_of_metrics() -> None:
    rows = measured("mia", 0.5, None, 0.4, 0.6) + measured("retain_accuracy", 0.9, None, 0.8, 1.0)
    assert comparison(rows)["metric"].tolist() == ["retain_accuracy", "mia"]


@pytest.mark.parametrize(
    ("unselected", "best", "place"),
    [
        (0.55, 0.55, "inside"),
        (0.99, 0.55, "inside"),  # the best are judged,
        (0.55, 0.99, "above"),
        (0.55, 0.01, "below"),
        (0.55, None, "inside"),  # all of them where none were selected
        (0.99, None, "above"),
        (0.01, None, "below"),
        (0.10, 0.50, "inside"),  # the ends belong to the reference models,
        (0.10, 0.60, "inside"),
        (0.10, 0.60004, "inside"),  # as printed: 0.6000
        (0.10, 0.60006, "above"),  # 0.6001
        (0.10, 0.49996, "inside"),  # 0.5000
        (0.10, 0.49994, "below"),  # 0.4999
    ],
)
def test_place_is_judged_on_the_best_as_printed(unselected: float, best: float | None, place: str) -> None:
    assert comparison(measured("mia", unselected, best, 0.50, 0.60))["against_reference"].tolist() == [place]


def test_a_single_selected_model_counts_as_its_mean() -> None:
    rows = measured("mia", 0.51, None, 0.50, 0.60) + rows_of("dihyfo2", "selected", "mia", 1, value=0.75)
    assert comparison(rows)["selected_mean"].tolist() == [0.75]


def test_a_metric_without_its_reference_is_an_error() -> None:
    rows = [row for row in measured("mia", 0.5, 0.5, 0.4, 0.6) if row["method"] != "retrain"]
    with pytest.raises(HyperForgetError, match=r"mia of dihyfo2 for forget set \{2, 3\}"):
        comparison(rows)


def test_a_reference_without_its_median_is_an_error() -> None:
    rows = measured("mia", 0.5, 0.5, 0.4, 0.6)
    rows = [row for row in rows if (row["method"], row["statistic"]) != ("retrain", "median")]
    with pytest.raises(HyperForgetError, match=r"mean, median, q05, q95"):
        comparison(rows)


def test_markdown_has_four_decimals_and_no_negative_zero() -> None:
    rows = measured("forget_accuracy", -0.00001, None, 0.0, 0.0) + measured("mia", 0.123449, 0.7, 0.5, 0.6)
    rows += measured("phi_badt", 0.1, None, 0.5, 0.6)
    texts = tables.comparison_texts(comparison(rows))
    heads, rule, *body = markdown_cells(tables.to_markdown(texts, ["Forget", "Measure"]))
    assert heads == [
        *("Forget", "Measure", "All, median", "Selected, mean", "Retrained, median", "Retrained, mean"),
        *("Retrained, 5–95%", "Against retrained"),
    ]
    assert [(cell[0], cell[-1]) for cell in rule] == [(":", "-")] * 2 + [("-", ":")] * 6
    assert body == [
        ["{2, 3}", "Accuracy on D_f", "0.0000", "–", "0.0000", "0.0000", "0.0000–0.0000", "inside"],
        ["{2, 3}", "φ, bad-teaching", "0.1000", "–", "0.5800", "0.5500", "0.5000–0.6000", "below"],
        ["{2, 3}", "MIA score", "0.1234", "0.7000", "0.5800", "0.5500", "0.5000–0.6000", "above"],
    ]


def test_markdown_by_hand() -> None:
    rows = (each for each in [("2 low", "17"), ("", "3")])
    assert tables.markdown(["why", "kept"], "lr", rows) == (
        "| why | kept |\n| --- | ---: |\n| 2 low | 17 |\n|  | 3 |\n"
    )


def test_terminal_table_fits_80_columns_whole() -> None:
    rows = [row for metric in tables.METRICS for row in measured(metric, 0.123449, 0.7, 0.5, 0.6)]
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal.comparison(frame_of(rows)))
    lines = console.export_text().splitlines()
    for metric in tables.METRICS.values():
        (line,) = [line for line in lines if metric.name in line]
        assert line.split()[-5:] == ["0.7000", "0.5800", "0.5500", "0.5000–0.6000", "above"]


def test_alignment_lines_by_hand() -> None:
    rows = aligned(3, 0.5, 0.8, 0.6, 0.75, 0.9) + aligned(0, -0.4911, 0.77, 0.55, 0.5, 0.7968)
    rows += [row | {"class": 0} for row in rows_of("dihyfo2", None, "alignment_pivot_accuracy", 32, value=0.97)]
    lines = tables.alignment(frame_of(rows))
    assert lines.index.tolist() == [3, 0]
    names = [f"alignment_r2_{name}" for name in ("mean", "median", "mean_clipped", "share_aligned")]
    assert lines[[*names, "alignment_pearson_mean"]].to_numpy().tolist() == [
        [0.5, 0.8, 0.6, 0.75, 0.9],
        [-0.4911, 0.77, 0.55, 0.5, 0.7968],
    ]
    assert lines[tables.PIVOTS].fillna(-1.0).tolist() == [-1.0, 0.97]
    assert markdown_cells(tables.to_markdown(tables.alignment_texts(lines)))[2:] == [
        ["3", "0.5000", "0.8000", "0.6000", "0.7500", "0.9000", "–"],
        ["0", "-0.4911", "0.7700", "0.5500", "0.5000", "0.7968", "0.9700"],
    ]
    assert terminal.alignment(frame_of(rows)).row_count == 2


def test_alignment_is_empty_if_not_measured_and_an_error_if_half_measured() -> None:
    assert tables.alignment(frame_of(measured("mia", 0.5, 0.5, 0.4, 0.6))).empty
    rows = [row for row in aligned(3, 0.5, 0.8, 0.6, 0.75, 0.9) if row["statistic"] != "share_aligned"]
    with pytest.raises(HyperForgetError, match=r"share_aligned of alignment_r2 for class 3"):
        tables.alignment(frame_of(rows))


def test_verdict_says_the_numbers_in_words() -> None:
    rows = measured("retain_accuracy", 0.992, 0.9934, 0.990, 0.996)
    rows += measured("forget_accuracy", 0.01, 0.0, 0.0, 0.0)
    rows += measured("overlap_forget", 0.5, 0.4, 0.5, 0.6)
    rows += measured("phi_jsd", 0.5, 0.8, 0.5, 0.6)
    rows += measured("mia", 0.5, 0.7, 0.5, 0.6)
    (verdict,) = verdicts(frame_of(rows))
    assert verdict.forget_set == (2, 3)
    assert verdict.like_retrained
    assert verdict.headline == "As accurate as the reference models"
    assert verdict.sentences == (
        "256 unselected models got 0.0% of the forgotten images right on average; 32 reference models got 0.0%.",
        "Their median accuracy on the rest is 99.2%; reference: 99.5% (median; 5–95%: 99.0% to 99.6%).",
        "Selected on validation (5), on average: 99.3% on the rest, 0.0% on the forgotten images.",
        "Outside the reference models' range on 3 of 5 measures. Above: φ, JSD in bits 0.8000 (reference: 0.5000–0.6000); MIA score 0.7000 "
        "(reference: 0.5000–0.6000). Below: Overlap on D_f 0.4000 (reference: 0.5000–0.6000).",
    )


@pytest.mark.parametrize(
    ("retain", "forget", "headline"),
    [
        (0.993, 0.2, "Forgotten images: above the reference models. The rest: like the reference models."),
        (0.9, 0.0, "Forgotten images: like the reference models. The rest: below the reference models."),
        (0.999, 0.2, "Forgotten images: above the reference models. The rest: above the reference models."),
    ],
)
def test_verdict_names_the_side_of_the_reference(retain: float, forget: float, headline: str) -> None:
    rows = measured("retain_accuracy", retain, None, 0.990, 0.996)
    rows += measured("forget_accuracy", forget, None, 0.0, 0.0)
    (verdict,) = verdicts(frame_of(rows))
    assert verdict.headline == headline
    assert not verdict.like_retrained
    assert len(verdict.sentences) == 3  # none were selected


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0%"), (0.0004, "less than 0.1%"), (0.9934, "99.3%"), (0.9996, "more than 99.9%"), (1.0, "100.0%")],
)
def test_percent_rounds_neither_to_nothing_nor_to_all(share: float, text: str) -> None:
    assert percent(share) == text
