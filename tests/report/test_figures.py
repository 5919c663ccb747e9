"""Figures of the report: the data they must show, and the same bytes every time."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import figures, strip_plots
from hyperforget_jax.report.style import RC

TARGETS = {label: np.linspace(0.1, 2.0 + label, 5, dtype=np.float32) for label in (0, 3)}
LEARNED = {0: 0.05, 3: 0.08}


def alignment() -> Figure:
    noise = np.random.default_rng(0).normal(1.0, 0.1, (7, 1)).astype(np.float32)
    return figures.alignment(TARGETS, {label: target * noise for label, target in TARGETS.items()}, LEARNED)


def request(forget: np.ndarray) -> strip_plots.Request:
    retain = np.linspace(0.5, 1.0, 11)
    reference = np.linspace(0.98, 0.99, 4)
    return strip_plots.Request((2, 3), retain, forget, np.asarray((8, 9)), reference, np.zeros(4))


def accuracies() -> Figure:
    return strip_plots.accuracies([request(np.zeros(11)), request(np.asarray([0.0] * 10 + [0.3]))])


def learning_curves() -> Figure:
    rows = [{"step": step, "train_loss": 1.0 / step, "validation_loss": 2.0 / step} for step in (50, 100, 150)]
    return figures.learning_curves(rows)


def confusion() -> Figure:
    counts = np.asarray(((8, 2, 0), (0, 10, 0), (3, 1, 0)))
    return figures.confusion([figures.Matrices((7,), (0, 5, 7), counts, np.eye(3))])


def coverage() -> Figure:
    return figures.coverage({"2 low, 3 low": 3000, "2 high, 3 low": 12, "2 low, 3 high": 7, "2 high, 3 high": 0})


@pytest.mark.parametrize("build", [alignment, accuracies, learning_curves, confusion, coverage])
def test_both_files_are_written_and_byte_identical_twice(build: Callable[[], Figure], tmp_path: Path) -> None:
    settings = {name: matplotlib.rcParams[name] for name in RC}
    figure = build()
    figures.save(figure, tmp_path, "first")
    figures.save(figure, tmp_path, "again")
    figures.save(build(), tmp_path, "anew")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{ending}" for name in ("again", "anew", "first") for ending in ("png", "svg")
    ]
    for ending in ("png", "svg"):
        first = (tmp_path / f"first.{ending}").read_bytes()
        assert (tmp_path / f"anew.{ending}").read_bytes() == first
        assert (tmp_path / f"again.{ending}").read_bytes() == first
    assert {name: matplotlib.rcParams[name] for name in RC} == settings


def test_save_makes_its_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        figures.save(coverage(), tmp_path / "figures", name)
    assert len(list((tmp_path / "figures").iterdir())) == 4


def test_save_into_a_file_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HyperForgetError, match="choose another workdir"):
        figures.save(coverage(), tmp_path / "file", "figure")


def test_alignment_shows_identity_median_every_family_and_the_bound() -> None:
    figure = alignment()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["class 0", "class 3"]
    for axes, label in zip(figure.axes, TARGETS, strict=True):
        lines = {line.get_label(): np.asarray(line.get_xydata()) for line in axes.lines}
        reach = float(TARGETS[label].max())
        np.testing.assert_allclose(lines["observed = target"], ((0.0, 0.0), (reach, reach)))
        np.testing.assert_allclose(lines["learned class (bound)"][:, 1], LEARNED[label])
        noise = np.random.default_rng(0).normal(1.0, 0.1, (7, 1)).astype(np.float32)
        np.testing.assert_allclose(lines["median of the families"][:, 1], TARGETS[label] * np.median(noise), rtol=1e-6)
        assert sum(len(np.asarray(line.get_xydata())) == 5 for line in axes.lines) == 7 + 1


def test_alignment_counts_what_lies_above_the_panel() -> None:
    losses = np.tile(TARGETS[0], (40, 1))
    losses[0] = 50.0
    figure = figures.alignment({0: TARGETS[0]}, {0: losses}, LEARNED)
    assert [text.get_text() for text in figure.axes[0].texts] == ["5 of 200 above"]


def test_accuracies_show_every_model() -> None:
    figure = accuracies()
    retain, forget = figure.axes[2:4]
    for axes, values in ((retain, np.linspace(0.5, 1.0, 11)), (forget, np.asarray([0.0] * 10 + [0.3]))):
        generated, selected, reference = (
            np.asarray(each.get_offsets())[:, 0] for each in axes.collections if isinstance(each, PathCollection)
        )
        np.testing.assert_allclose(generated, values)
        np.testing.assert_allclose(selected, values[[8, 9]])
        assert len(reference) == 4
        low, high = axes.get_xlim()
        assert low <= values.min()
        assert values.max() <= high
    assert [text.get_text() for text in retain.get_yticklabels()] == ["all (11)", "selected (2)", "reference (4)"]


def test_accuracies_count_the_marks_that_lie_on_one_another() -> None:
    retain, forget = accuracies().axes[2:4]
    assert [text.get_text() for text in retain.texts] == ["1 at 1", "0 at 1", "0 at 1"]
    assert [text.get_text() for text in forget.texts] == ["10 at 0", "2 at 0", "4 at 0"]


def test_accuracies_label_both_ends_of_an_axis() -> None:
    for axes in accuracies().axes[-2:]:
        low, high = axes.get_xlim()
        ticks = axes.get_xticks()
        assert min(ticks) == pytest.approx(low, abs=1e-3)
        assert max(ticks) == pytest.approx(high)


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_accuracies_that_are_all_one_number_have_an_axis_around_it(accuracy: float) -> None:
    equal = strip_plots.Request((2,), *[np.full(4, accuracy)] * 2, np.asarray((0,)), *[np.full(3, accuracy)] * 2)
    for axes in strip_plots.accuracies([equal]).axes[:2]:
        low, high = axes.get_xlim()
        assert low <= accuracy <= high
        assert low < high


def test_the_log_scale_of_the_error_is_undone_by_its_inverse() -> None:
    left, right = accuracies().axes[:2]
    for axes in (left, right):
        accuracy = np.asarray((0.0, 0.2, 0.5, 0.9, 0.99, 0.999, 1.0))
        transform = axes.xaxis.get_transform()
        positions = transform.transform(accuracy)
        assert (np.diff(positions) > 0).all()
        np.testing.assert_allclose(transform.inverted().transform(positions), accuracy, atol=1e-9)


def test_learning_curves_are_logarithmic_and_complete() -> None:
    (axes,) = learning_curves().axes
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), (0.02, 0.01, 1 / 150))
    labels = [label.get_text() for label in axes.get_yticklabels() if label.get_text()]
    assert {"0.01", "0.02"} <= set(labels)
    assert not any("\\" in label for label in labels)  # plain numbers, no powers of ten


def test_confusion_is_in_percent_of_the_true_class_and_marks_what_is_forgotten() -> None:
    generated, retrained = confusion().axes
    texts = [text.get_text() for text in generated.texts]
    assert texts == ["80.0", "20.0", "0", "0", "100.0", "0", "75.0", "25.0", "0"]
    assert retrained.texts[0].get_text() == "100.0"
    assert [label.get_text() for label in generated.get_yticklabels()] == ["0", "5", "7"]
    assert [label.get_fontweight() for label in generated.get_yticklabels()] == ["normal", "normal", "bold"]


def test_confusion_titles_say_which_models() -> None:
    generated, retrained = confusion().axes
    assert generated.get_title(loc="left") == "forget {7}: selected models"
    assert retrained.get_title(loc="left") == "forget {7}: reference models"


def test_confusion_never_prints_zero_for_a_few_images() -> None:
    counts = np.asarray(((9999, 1), (0, 10000)))
    axes = figures.confusion([figures.Matrices((1,), (0, 1), counts, counts)]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["100.0", "<0.1", "0", "100.0"]


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_coverage_has_a_bar_per_combination_and_only_the_rarest_of_many() -> None:
    (axes,) = coverage().axes
    assert axes.get_yticklabels()[0].get_text() == "2 low, 3 low"
    assert widths(axes) == [3000, 12, 7, 0]
    (axes,) = figures.coverage({f"combination {count}": count for count in range(64)}).axes
    assert widths(axes) == list(range(32))
    assert "the 32 rarest of 64" in axes.get_xlabel()
