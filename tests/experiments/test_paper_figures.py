"""Figures of the paper, from hand-made values."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import paper_figures
from experiments.paper_figures import Agreement
from hyperforget_jax.report import figures

COUNTS = np.array([[8, 1], [0, 6]])


MATRICES = [
    Agreement((5,), (0, 5), COUNTS, np.array([[9, 1], [0, 0]])),
    Agreement((0,), (0, 5), np.array([[0, 0], [2000, 2000]]), np.zeros((2, 2), np.int64)),
]


SWEEPS = {
    "left, class 2": (np.array([0.0, 1.0, 2.0]), np.array([[0.5, 1.0, 1.5], [0.7, 1.2, 1.9]]), 0.25),
    "right, class 2": (np.array([0.0, 1.0]), np.array([[0.1, 0.9]]), 0.125),
}


def sides() -> Figure:
    return paper_figures.side_by_side(SWEEPS)


def agreement() -> Figure:
    return paper_figures.agreement_matrices(MATRICES)


@pytest.mark.parametrize("build", [sides, agreement])
def test_the_same_figure_twice_is_the_same_bytes(build: Callable[[], Figure], tmp_path: Path) -> None:
    for name in ("first", "anew"):
        figures.save(build(), tmp_path, name)
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()


def test_two_sweeps_stand_side_by_side() -> None:
    figure = sides()
    assert [panel.get_title(loc="left") for panel in figure.axes] == list(SWEEPS)
    for panel, (targets, observed, learned) in zip(figure.axes, SWEEPS.values(), strict=True):
        found = {line.get_label(): np.asarray(line.get_xydata()) for line in panel.lines}
        np.testing.assert_allclose(found["median of the families"], np.stack([targets, np.median(observed, 0)], 1))
        np.testing.assert_allclose(found["learned class (bound)"][:, 1], learned)
        drawn = [np.asarray(line.get_ydata()) for line in panel.lines if line.get_marker() == "."]
        np.testing.assert_allclose(drawn, observed)
        assert panel.get_xlabel() == "target loss (nats)"
    assert [panel.get_ylabel() for panel in figure.axes] == ["observed loss (nats)", ""]


def texts(panel: Axes) -> list[str]:
    return [text.get_text() for text in panel.texts]


def test_agreement_shows_every_count_and_the_share_that_is_equal() -> None:
    figure = agreement()
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "forget {5}, test set: 93.3% equal",
        "forget {5}, $D_r$: 90.0% equal",
        "forget {0}, test set: 50.0% equal",
        "forget {0}, $D_r$: 0.0% equal",
    ]
    assert [texts(panel) for panel in figure.axes] == [
        *(["8", "1", "0", "6"], ["9", "1", "0", "0"], ["0", "0", "2000", "2000"], ["0", "0", "0", "0"])
    ]
    first = figure.axes[0]
    places = [
        (int(text.get_position()[1]), int(text.get_position()[0])) for text in first.texts
    ]  # cells' centres, rounded down
    assert places == list(np.ndindex(2, 2))  # row: the retrained model's answer
    assert [label.get_text() for label in first.get_yticklabels()] == ["0", "5"]
    assert first.get_ylabel() == "retrained model’s answer"
    assert [panel.get_xlabel() for panel in figure.axes] == ["", "", *["unlearned model’s answer"] * 2]
    shades = np.asarray(first.collections[0].get_array())
    np.testing.assert_allclose(shades, np.log1p(COUNTS))
