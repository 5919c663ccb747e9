"""The table and the figures of the distribution: verdicts by hand, and the data that the figures must show."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hyperforget_jax.metrics.results import frame_of
from hyperforget_jax.report import console, distribution, distribution_figures, html
from hyperforget_jax.report.style import BEST, CLEAN, OURS

STEPS = (5, 20)


def row(method: str, forget_set: tuple[int, ...], metric: str, value: float, **fields: Any) -> dict[str, Any]:
    about = {"dataset": "mnist4", "classifier": "784-2-4", "selection": None, "split": "test", "n": 128}
    default = {"class": None, "statistic": "value", "low": None, "high": None}
    return (
        about | default | {"method": method, "forget_set": list(forget_set), "metric": metric, "value": value} | fields
    )


def rows_of(forget_set: tuple[int, ...], auc: float, disagreement: float, relearned: float) -> list[dict[str, Any]]:
    """Every measure of one forget set; the clean reference has AUC 0.48, disagreement 0.1, and relearns to 0.1 to 0.3."""
    rows = []
    for metric in distribution.TESTS:
        rows += [row("dihyfo2", forget_set, metric, auc), row("clean_reference", forget_set, metric, 0.48)]
        rows.append(row("permuted_labels", forget_set, metric, 0.5, low=0.4, high=0.6))
    for method, value in (("dihyfo2", disagreement), ("clean_reference", 0.1)):
        rows.append(row(method, forget_set, "disagreement", value))
        rows += [
            row(method, forget_set, "loss_spread", value * factor, **{"class": c}) for c, factor in ((2, 2), (3, 4))
        ]
    for shots in (1, 20):
        for steps in STEPS:
            name = f"relearning_k{shots}_s{steps}"
            values = {"dihyfo2": (relearned, 0.0, 1.0), "clean_reference": (0.2, 0.1, 0.3)}
            for method, of_method in values.items():
                for statistic, value in zip(("mean", "q05", "q95"), of_method, strict=True):
                    rows.append(row(method, forget_set, name, value, statistic=statistic))
    return rows


@pytest.fixture
def frame() -> pd.DataFrame:
    return frame_of([*rows_of((2,), 0.59, 0.12, 0.25), *rows_of((2, 3), 0.97, 0.01, 0.35)])


def test_lines_by_hand(frame: pd.DataFrame) -> None:
    lines = distribution.distribution(frame)
    assert len(lines) == 2 * (8 + 2 + 2)
    like, unlike = (group.set_index("measure") for _, group in lines.groupby("forget_set", sort=False))
    numbers = ["ours", "clean", "low", "high"]
    assert set(like["verdict"]) == {"inside"}
    assert like.loc["C2ST outputs, forest", numbers].tolist() == [0.59, 0.48, 0.4, 0.6]
    assert unlike.loc["C2ST raw weights, logistic", "verdict"] == "above"
    np.testing.assert_allclose(unlike.loc["Disagreement", numbers].tolist(), [0.01, 0.1, 0.08, 0.125])
    np.testing.assert_allclose(unlike.loc["Spread of log losses, mean", numbers[:2]].tolist(), [0.03, 0.3])
    np.testing.assert_allclose(unlike.loc["Relearning, 1 image a class", numbers].tolist(), [0.35, 0.2, 0.1, 0.3])
    assert unlike.loc[["Disagreement", "Relearning, 20 images a class"], "verdict"].tolist() == ["below", "above"]


def test_a_curve_that_leaves_the_range_at_one_point_says_so(frame: pd.DataFrame) -> None:
    early = (frame["metric"] == "relearning_k20_s5") & (frame["method"] == "dihyfo2") & (frame["statistic"] == "mean")
    lines = distribution.distribution(frame.assign(value=frame["value"].mask(early, 0.9))).set_index("measure")
    assert lines.loc["Relearning, 20 images a class", "verdict"].tolist() == ["above at 1 of 2", "above"]


def with_best(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with models of the best prompt: AUC 0.97, disagreement 0.01, relearning 0.35."""
    best = frame_of(
        [
            row | {"method": "dihyfo2_best"}
            for forget_set in ((2,), (2, 3))
            for row in rows_of(forget_set, 0.97, 0.01, 0.35)
            if row["method"] == "dihyfo2"
        ]
    )
    return pd.concat([frame, best], ignore_index=True)


def test_each_mode_is_held_against_the_same_clean_runs(frame: pd.DataFrame) -> None:
    lines = distribution.distribution(with_best(frame))
    order = lines[["forget_set", "mode"]].drop_duplicates().to_numpy().tolist()
    assert order == [[forget, mode] for forget in ((2,), (2, 3)) for mode in ("drawn prompts", "best prompt")]
    drawn, best = (lines[lines["mode"] == mode].drop(columns="mode") for mode in ("drawn prompts", "best prompt"))
    alone = distribution.distribution(frame).drop(columns="mode")
    pd.testing.assert_frame_equal(drawn.reset_index(drop=True), alone)
    assert best["verdict"].isin(["above", "below"]).all()
    np.testing.assert_array_equal(best[["clean", "low", "high"]], drawn[["clean", "low", "high"]])
    assert "| {2, 3} | best prompt" in distribution.markdown(lines).replace("  ", "")


def test_figures_show_both_modes(frame: pd.DataFrame) -> None:
    both = with_best(frame)
    panel = distribution_figures.two_sample_aucs(distribution.distribution(both)).axes[0]
    clean, drawn, best = panel.lines[:3]
    assert [set(line.get_xdata()) for line in (clean, drawn, best)] == [{0.48}, {0.59}, {0.97}]
    named = {line.get_label(): line.get_color() for line in panel.lines}
    assert named["drawn prompts against clean runs"] == OURS
    assert named["best prompt against clean runs"] == BEST
    curves = distribution_figures.relearning_curves(both)
    for panel, mean in zip(curves.axes, (0.25, 0.25, 0.35, 0.35), strict=True):
        drawn_of = {line.get_color(): line.get_ydata() for line in panel.lines}
        assert [set(drawn_of[colour]) for colour in (OURS, BEST, CLEAN)] == [{mean}, {0.35}, {0.2}]
    for figure in (curves, distribution_figures.two_sample_aucs(distribution.distribution(both))):
        (legend,) = figure.legends
        assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_without_a_clean_reference_there_is_nothing(frame: pd.DataFrame) -> None:
    rest = frame[frame["method"] == "dihyfo2"]
    assert distribution.distribution(rest).empty
    assert html.distribution_tables(rest) == []


def test_points_of_relearning_are_in_order(frame: pd.DataFrame) -> None:
    points = distribution.relearning(frame)
    assert points[["shots", "steps"]].to_numpy().tolist() == 2 * [[1, 5], [1, 20], [20, 5], [20, 20]]
    assert points["ours_mean"].tolist() == 4 * [0.25] + 4 * [0.35]
    assert set(points["clean_q95"]) == {0.3}


def test_the_figure_of_relearning_shows_means_and_band(frame: pd.DataFrame) -> None:
    figure = distribution_figures.relearning_curves(frame)
    assert len(figure.axes) == 2 * 2
    for panel, mean in zip(figure.axes, (0.25, 0.25, 0.35, 0.35), strict=True):
        drawn = {line.get_color(): line for line in panel.lines}
        np.testing.assert_allclose(drawn[OURS].get_xydata(), [[5, mean], [20, mean]])
        np.testing.assert_allclose(drawn[CLEAN].get_ydata(), 0.2)
        band = panel.collections[0].get_paths()[0].vertices
        assert (band[:, 1].min(), band[:, 1].max()) == (0.1, 0.3)
    assert [panel.get_ylabel() for panel in figure.axes[::2]] == ["forget {2}", "forget {2, 3}"]


def test_the_figure_of_tests_shows_ours_control_and_interval(frame: pd.DataFrame) -> None:
    figure = distribution_figures.two_sample_aucs(distribution.distribution(frame))
    for panel, auc in zip(figure.axes, (0.59, 0.97), strict=True):
        clean, ours = panel.lines[:2]
        assert set(ours.get_xdata()) == {auc}
        assert set(clean.get_xdata()) == {0.48}
        assert len(ours.get_xdata()) == len(distribution.TESTS)
        segments = np.array(panel.collections[0].get_segments())
        np.testing.assert_allclose(segments[:, :, 0], [[0.4, 0.6]] * 8)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "outputs, forest"


def test_text_and_terminal_name_the_clean_reference_and_fit(frame: pd.DataFrame) -> None:
    lines = distribution.distribution(frame)
    text = distribution.markdown(lines)
    assert "clean runs by the zoo's own recipe" in text
    assert "| {2, 3} | C2ST outputs, forest" in text.replace("  ", "")
    paper = io.StringIO()
    Console(file=paper, width=80).print(console.distribution(lines))
    printed = paper.getvalue().splitlines()
    assert sum("forest" in line or "logistic" in line for line in printed) == 2 * 8
    assert sum("above" in line for line in printed) == 8 + 2


def test_the_page_has_a_table_for_each_forget_set(frame: pd.DataFrame) -> None:
    first, second = html.distribution_tables(frame)
    assert "Forget {2}, beside the clean reference" in first
    assert first.count('class="badge good"') == 12
    assert second.count('class="badge good"') == 0
    assert second.count('class="badge"') == 12
