"""The heat map of forget sets, from hand-made values."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperforget_jax.report import figures, forget_set_heatmap
from hyperforget_jax.report.forget_set_heatmap import Accuracies

FOUND = {
    (3, 4): Accuracies(0.5, 0.90, 0.93, 0.0),
    (4,): Accuracies(0.5, 0.98, 0.97, 0.0012),
    (3,): Accuracies(0.5, 0.95, 0.96, 0.0),
}


WORST = (3, 4)


def subsets() -> Figure:
    return forget_set_heatmap.heatmap(FOUND)


@pytest.mark.parametrize("build", [subsets])
def test_the_same_figure_twice_is_the_same_bytes(build: Callable[[], Figure], tmp_path: Path) -> None:
    for name in ("first", "anew"):
        figures.save(build(), tmp_path, name)
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()


def texts(panel: Axes) -> list[str]:
    return [text.get_text() for text in panel.texts]


def test_forget_sets_are_ordered_by_size_and_show_their_members() -> None:
    left, right = subsets().axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["{3}", "{4}", "{3, 4}"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["3", "4"]
    np.testing.assert_array_equal(np.asarray(left.collections[0].get_array()), [[1, 0], [0, 1], [1, 1]])
    assert texts(right) == [
        *("0.9500", "0.9600", "0.0100", "0.0000"),
        *("0.9800", "0.9700", "-0.0100", "0.0012"),
        *("0.9000", "0.9300", "0.0300", "0.0000"),
    ]
    assert [label.get_text() for label in right.get_xticklabels()] == list(forget_set_heatmap.COLUMNS)


def frames(panel: Axes) -> list[Rectangle]:
    return [patch for patch in panel.patches if isinstance(patch, Rectangle) and not patch.get_fill()]


@pytest.mark.parametrize(("worst", "place"), [((3,), 0), ((4,), 1), ((3, 4), 2)])
def test_the_worst_forget_set_is_framed_and_named(worst: tuple[int, ...], place: int) -> None:
    found = FOUND | {worst: replace(FOUND[worst], reference=1.02)}
    assert forget_set_heatmap.worst(found) == worst
    _, right = forget_set_heatmap.heatmap(found).axes
    (frame,) = frames(right)
    assert place < frame.get_y() < place + 0.5 < frame.get_y() + frame.get_height() < place + 1
    assert right.get_title(loc="left").startswith(f"worst gap: {found[worst].gap:.4f} for {{{worst[0]}")


def test_shades_grow_with_the_distance_from_the_retrained_models() -> None:
    """Accuracies are shaded on one scale, gap and forget accuracy up to five points; better than retrained is as good as equal."""
    _, right = subsets().axes
    shade = np.asarray(right.collections[0].get_array())
    np.testing.assert_allclose(shade[:, 0], [0.5, 0.2, 1.0])  # of the 0.1 that the lowest lacks
    np.testing.assert_allclose(shade[:, 1], [0.4, 0.3, 0.7])
    np.testing.assert_allclose(shade[:, 2], [0.2, 0.0, 0.6], atol=1e-12)
    np.testing.assert_allclose(shade[:, 3], [0.0, 0.024, 0.0])


def test_a_perfect_hypernetwork_has_no_shade_at_all() -> None:
    _, right = forget_set_heatmap.heatmap({(2,): Accuracies(0.5, 1.0, 1.0, 0.0)}).axes
    np.testing.assert_array_equal(np.asarray(right.collections[0].get_array()), np.zeros((1, 4)))


def test_a_gap_is_what_the_selected_lack() -> None:
    assert Accuracies(0.5, 0.90, 0.93, 0.0).gap == pytest.approx(0.03)
    assert replace(FOUND[4,], selected=0.99).gap == pytest.approx(-0.02)
