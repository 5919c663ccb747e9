"""Figures of a zoo: bars of the height they must have, draws where they must be, and the same bytes every time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

from hyperforget_jax.report import figures, zoo_figures
from hyperforget_jax.report.style import FAINT, OURS, RC
from hyperforget_jax.zoo import coverage

Numbers = np.ndarray[Any, Any]
EDGES = (0.1, 0.5, 2.0)
COUNTS = {0: np.array([70, 9, 0, 0]), 5: np.array([1_900_000, 1200, 1, 0]), 7: np.zeros(4, np.int64)}
BOUNDS = np.array([0.0, 1.0, 2.0, 3.0])
SHARES = {
    "none": np.array([0.9, 0.0, 0.1]),
    "combinations": np.array([0.6, 0.0, 0.4]),
    "losses": np.array([0.5, 0.0, 0.5]),
}


def losses() -> Figure:
    return zoo_figures.losses(COUNTS, EDGES, (0,))


def resampling() -> Figure:
    return zoo_figures.resampling(BOUNDS, SHARES)


def bars(panel: Axes) -> list[Rectangle]:
    return [bar for bar in panel.patches if isinstance(bar, Rectangle)]


def inside(figure: Figure) -> bool:
    """Whether nothing is drawn beyond the page."""
    canvas = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return bool(canvas.x0 >= 0 and canvas.y0 >= 0 and canvas.x1 <= width and canvas.y1 <= height)


@pytest.mark.parametrize("build", [losses, resampling])
def test_both_files_are_written_and_byte_identical_twice(build: Callable[[], Figure], tmp_path: Path) -> None:
    settings = {name: matplotlib.rcParams[name] for name in RC}
    figures.save(build(), tmp_path, "first")
    figures.save(build(), tmp_path, "anew")
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()
    assert {name: matplotlib.rcParams[name] for name in RC} == settings


def test_every_class_has_a_panel_with_a_bar_for_each_loss_level() -> None:
    panels = losses().axes
    assert [panel.get_title(loc="left") for panel in panels] == ["class 0 (pivot)", "class 5", "class 7"]
    for panel, counts in zip(panels, COUNTS.values(), strict=True):
        assert [bar.get_height() for bar in bars(panel)] == counts.tolist()
        assert panel.get_yscale() == "log"
    assert {to_hex(bar.get_facecolor()).upper() for bar in bars(panels[0])} == {FAINT}
    assert {to_hex(bar.get_facecolor()).upper() for bar in bars(panels[1])} == {OURS}


def test_every_bar_has_its_number_and_an_empty_level_a_zero() -> None:
    texts = [[text.get_text() for text in panel.texts] for panel in losses().axes]
    assert texts == [["70", "9", "0", "0"], ["1.9M", "1.2k", "1", "0"], ["0"] * 4]


def test_the_bounds_of_the_levels_stand_between_the_bars() -> None:
    panel = losses().axes[2]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.1", "0.5", "2"]
    centres = np.array([bar.get_x() + bar.get_width() / 2 for bar in bars(panel)])
    np.testing.assert_allclose(panel.get_xticks(), (centres[:-1] + centres[1:]) / 2)


def test_all_panels_share_one_scale_on_which_every_bar_is_seen() -> None:
    panels = losses().axes
    low, high = panels[0].get_ylim()
    assert 0 < low < 1
    assert high > 1_900_000
    assert {panel.get_ylim() for panel in panels} == {(low, high)}


def test_many_levels_keep_every_bar_and_only_some_of_the_words() -> None:
    edges = tuple(np.linspace(0.25, 8.0, 32).tolist())
    (panel,) = zoo_figures.losses({3: np.arange(33)}, edges, ()).axes
    assert [bar.get_height() for bar in bars(panel)] == list(range(33))
    assert [text.get_text() for text in panel.get_xticklabels()] == [f"{edge:g}" for edge in edges[::4]]
    assert not panel.texts


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 10])
def test_any_number_of_classes_fits_the_page(classes: int) -> None:
    counts = {label: np.array([10**label, 5, 0, 1]) for label in range(classes)}
    figure = zoo_figures.losses(counts, EDGES, ())
    assert len(figure.axes) == classes
    assert inside(figure)
    labelled = [any(label.get_visible() for label in panel.get_xticklabels()) for panel in figure.axes]
    assert labelled == [place + 2 >= classes for place in range(classes)]  # the lowest panel of each column


def test_a_zoo_without_checkpoints_has_its_figure() -> None:
    figure = zoo_figures.losses({label: np.zeros(4, np.int64) for label in range(4)}, EDGES, (0, 1))
    assert all(bar.get_height() == 0 for panel in figure.axes for bar in bars(panel))
    assert inside(figure)


def test_resampling_shows_the_shares_in_percent_at_their_losses() -> None:
    figure = resampling()
    (panel,) = figure.axes
    curves = [curve for curve in panel.patches if isinstance(curve, StepPatch)]
    for curve, share in zip(curves, SHARES.values(), strict=True):
        values, edges, _ = curve.get_data()
        np.testing.assert_allclose(values, 100 * share)
        np.testing.assert_array_equal(edges, BOUNDS)
    assert panel.get_yscale() == "log"
    low, high = panel.get_ylim()
    assert low < 10.0
    assert high >= 100.0
    assert inside(figure)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "as stored",
        "combinations drawn equally often",
        "loss levels drawn equally often",
    ]


def test_curves_differ_by_more_than_their_colour() -> None:
    curves = [curve for curve in resampling().axes[0].patches if isinstance(curve, StepPatch)]
    assert len({(curve.get_fill(), curve.get_linestyle()) for curve in curves}) == 3


def test_equal_losses_have_a_figure_too() -> None:
    share = np.array([0.0, 0.0, 1.0])
    figure = zoo_figures.resampling(np.full(4, 2.0), dict.fromkeys(SHARES, share))
    assert inside(figure)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.2k"),
        (5030, "5.0k"),
        (9949, "9.9k"),
        (9950, "10k"),
        (48_321, "48k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_000_000, "1M"),
        (1_943_210, "1.9M"),
        (3_700_000_000, "3.7G"),
    ],
)
def test_short_counts_by_hand(count: float, text: str) -> None:
    assert zoo_figures.short(count) == text
    assert len(text) <= 4


def test_bars_have_full_names_while_all_are_shown_and_short_ones_beyond() -> None:
    assert zoo_figures.bar_names((2, 3)) == [coverage.name(code, (2, 3)) for code in range(4)]
    assert zoo_figures.bar_names(range(5))[31] == "0 high, 1 high, 2 high, 3 high, 4 high"
    names = zoo_figures.bar_names((0, 2, 4, 6, 7, 9))
    assert len(set(names)) == 64
    assert [names[code] for code in (0, 1, 0b100110, 63)] == [
        *("all low", "0 high", "2, 4, 9 high", "0, 2, 4, 6, 7, 9 high")
    ]


@pytest.mark.parametrize("classes", [1, 5, 6, 10])
def test_the_bars_of_any_number_of_combinations_fit_the_page(classes: int) -> None:
    names = zoo_figures.bar_names(range(classes))
    assert inside(figures.coverage({name: 100_000 + count for count, name in enumerate(names)}))
