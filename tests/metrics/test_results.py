"""Results in long form."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import COLUMNS, Context, Ideal, Row, frame_of, rows_of, write_results
from hyperforget_jax.metrics.statistics import bootstrap
from hyperforget_jax.runtime import artifacts

CONTEXT = Context("mnist4", "784-2-4", "dihyfo2", (2, 3), "all", "test", "strict")


def rows(values: list[float], class_: int | None = None, ideal: Ideal = "reference") -> list[Row]:
    """Rows of a made-up metric."""
    return rows_of(
        np.array(values), CONTEXT, metric="forget_accuracy", class_=class_, ideal=ideal, resamples=50, seed=0
    )


def test_a_row_survives_json() -> None:
    row = rows([0.5], class_=3, ideal=0.0)[0]
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    expected = {
        "dataset": "mnist4",
        "classifier": "784-2-4",
        "method": "dihyfo2",
        "forget_set": [2, 3],
        "metric": "forget_accuracy",
        "class": 3,
        "selection": "all",
        "statistic": "value",
        "split": "test",
        "protocol": "strict",
        "n": 1,
        "value": 0.5,
        "low": None,
        "high": None,
        "ideal": 0.0,
    }
    assert row == expected
    assert list(row) == list(expected) == list(COLUMNS)


def test_many_values_become_four_statistics() -> None:
    values = [0.0, 0.25, 1.0]
    mean, median, q05, q95 = rows(values)
    assert [row["statistic"] for row in (mean, median, q05, q95)] == ["mean", "median", "q05", "q95"]
    assert (median["value"], q05["value"]) == (0.25, pytest.approx(0.025))
    assert (mean["value"], q95["value"]) == (pytest.approx(1.25 / 3), pytest.approx(0.925))
    assert (mean["low"], mean["high"]) == bootstrap(np.array(values), "mean", 50, 0)
    assert (median["low"], median["high"]) == bootstrap(np.array(values), "median", 50, 0)
    assert (q05["low"], q05["high"], q95["low"], q95["high"]) == (None,) * 4
    assert {row["n"] for row in (mean, median, q05, q95)} == {3}


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("others", [[], [0.5, 0.6]])
def test_values_that_are_not_finite_are_refused(broken: float, others: list[float]) -> None:
    with pytest.raises(HyperForgetError, match=r"forget_accuracy of dihyfo2 for forget set \[2, 3\] .* 1 of"):
        rows([broken, *others])


def test_no_value_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="0 values"):
        rows([])


def test_a_frame_survives_its_file_to_the_last_digit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(7).tolist()
    made = [*rows(values, class_=3), *rows(values, ideal=None), *rows([1 / 3], ideal=0.0)]
    write_results(tmp_path / "results.jsonl", frame_of(made))
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == made
    assert [list(json.loads(line)) for line in lines] == [list(COLUMNS)] * len(made)
    assert lines == [json.dumps(row) for row in made]
    frame = frame_of(artifacts.read_rows(tmp_path / "results.jsonl"))
    assert frame["forget_set"].tolist() == [(2, 3)] * len(made)
    assert frame["class"].isna().tolist() == [row["class"] is None for row in made]
    assert frame["value"].tolist() == [row["value"] for row in made]


def test_no_rows_are_an_empty_frame(tmp_path: Path) -> None:
    write_results(tmp_path / "results.jsonl", frame_of([]))
    frame = frame_of(artifacts.read_rows(tmp_path / "results.jsonl"))
    assert frame.empty
    assert list(frame) == list(COLUMNS)
