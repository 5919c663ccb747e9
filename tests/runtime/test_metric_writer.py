"""Curves: a row per step, cut where a training goes on, and TensorBoard's files for those who want them."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jax
import pytest

from configs import digits4_dihyfo2
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, metric_writer
from hyperforget_jax.runtime.metric_writer import MetricWriter


def draw(folder: Path, steps: range, tensorboard: bool = False) -> None:
    """A training that goes on after the step before its first."""
    with MetricWriter(folder, "loss", tensorboard) as ours:
        ours.truncate_after(steps[0] - 1, 1)
        for step in steps:
            ours.write(step, {"train": 1.0 / step, "validation": 2.0 / step})


def test_a_row_per_step_tells_its_values(tmp_path: Path) -> None:
    draw(tmp_path, range(1, 4))
    rows = [{"step": step, "train": 1 / step, "validation": 2 / step} for step in (1, 2, 3)]
    assert artifacts.read_rows(tmp_path / "loss.jsonl") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["loss.jsonl"]


def test_what_came_after_the_step_that_a_training_goes_on_from_is_forgotten(tmp_path: Path) -> None:
    draw(tmp_path, range(1, 7))
    draw(tmp_path, range(5, 9))
    assert [row["step"] for row in artifacts.read_rows(tmp_path / "loss.jsonl")] == list(range(1, 9))


def test_a_row_that_a_killed_training_left_unfinished_is_forgotten(tmp_path: Path) -> None:
    draw(tmp_path, range(1, 4))
    path = tmp_path / "loss.jsonl"
    path.write_text(path.read_text() + json.dumps({"step": 4})[:-3])
    draw(tmp_path, range(4, 6))
    assert [row["step"] for row in artifacts.read_rows(path)] == [1, 2, 3, 4, 5]


def test_a_curve_that_has_lost_rows_is_refused_and_one_that_is_gone_starts_anew(tmp_path: Path) -> None:
    draw(tmp_path, range(1, 7))
    path = tmp_path / "loss.jsonl"
    for kept in (4, 0):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
        with pytest.raises(
            HyperForgetError, match=rf"^{path} lacks the record of step {kept + 1}: restore it, or delete it"
        ):
            draw(tmp_path, range(7, 9))
    path.unlink()
    draw(tmp_path, range(7, 9))
    draw(tmp_path, range(9, 10))
    assert [row["step"] for row in artifacts.read_rows(path)] == [7, 8, 9]


def test_a_curve_of_two_writers_has_one_row_a_step(tmp_path: Path) -> None:
    """The fault: two processes in one workdir left 26 rows instead of 15."""
    draw(tmp_path, range(1, 4))
    path = tmp_path / "loss.jsonl"
    path.write_text(path.read_text() * 2)
    draw(tmp_path, range(4, 5))
    assert [row["step"] for row in artifacts.read_rows(path)] == [1, 2, 3, 4]


def test_a_curve_that_is_begun_is_there_before_its_first_row(tmp_path: Path) -> None:
    with MetricWriter(tmp_path, "loss", False) as ours:
        ours.truncate_after(0, 1)
    assert artifacts.read_rows(tmp_path / "loss.jsonl") == []


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    draw(tmp_path, range(1, 4), tensorboard=True)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_is_refused_before_any_work_where_its_writer_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboardX" else found(name))
    line = "training.tensorboard needs tensorboardX: pip install 'hyperforget-jax[tensorboard]', or leave it out"
    with pytest.raises(HyperForgetError, match=f"^{re.escape(line)}$"):
        metric_writer.validate_tensorboard(True)
    metric_writer.validate_tensorboard(False)
    arguments = ["--training.tensorboard", "--workdir", str(tmp_path / "run")]
    assert run_job("hyperforget quickstart", digits4_dihyfo2.get_config(), pytest.fail, arguments) == 2
    assert capsys.readouterr().err == f"error: {line}\n"
    assert list(tmp_path.iterdir()) == []


def events(path: Path) -> list[Any]:
    """What TensorBoard reads: TFRecords, each of 8 bytes of length, 4 of checksum, the event, 4 of checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    content, found = path.read_bytes(), []
    while content:
        end = 12 + int.from_bytes(content[:8], "little")
        found.append(event_pb2.Event.FromString(content[12:end]))
        content = content[end + 4 :]
    return found


def test_tensorboard_sees_every_value_and_where_a_training_went_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    metric_writer.validate_tensorboard(True)
    draw(tmp_path, range(1, 4), tensorboard=True)
    draw(tmp_path, range(3, 6), tensorboard=True)
    first, second = sorted((tmp_path / "tensorboard" / "loss").iterdir(), key=lambda path: path.suffix)
    told = [
        [(event.step, value.tag, value.simple_value) for event in events(path) for value in event.summary.value]
        for path in (first, second)
    ]
    expected = [
        [
            (step, tag, pytest.approx(size / step, rel=1e-6))
            for step in steps
            for tag, size in (("train", 1), ("validation", 2))
        ]
        for steps in ((1, 2, 3), (3, 4, 5))
    ]
    assert told == expected
    # SessionLog.START makes TensorBoard forget this step and those after it in older files
    starts = [event.step for event in events(second) if event.session_log.status == 1]
    assert starts == [3]
    assert [row["step"] for row in artifacts.read_rows(tmp_path / "loss.jsonl")] == [1, 2, 3, 4, 5]
