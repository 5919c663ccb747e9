"""`hyperforget evaluate` and `hyperforget report` give again what the run gave, and the latter draws it."""

import json
import shutil
from pathlib import Path

import pytest

from hyperforget_jax.cli import evaluate, report

pytestmark = pytest.mark.usefixtures("programs")


def test_a_run_is_measured_the_same_again_without_its_zoo(
    copied: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copied / "zoo")
    for name in ("results.jsonl", "results.md", "alignment"):
        path = copied / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert evaluate.main([str(copied), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    for name in ("results.jsonl", "results.md"):
        assert (copied / name).read_bytes() == (finished / name).read_bytes()
    assert (summary["run"], summary["results"]) == (str(copied), str(copied / "results.jsonl"))
    lines = (finished / "results.jsonl").read_text().splitlines()
    assert summary["rows"] == [json.loads(line) for line in lines]


def test_the_report_is_drawn_again(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {path.name for path in (copied / "figures").iterdir()}
    shutil.rmtree(copied / "figures")
    (copied / "report.html").unlink()
    assert report.main([str(copied)]) == 0
    assert capsys.readouterr().out.endswith(f"report:  {copied / 'report.html'}\n")
    assert {path.name for path in (copied / "figures").iterdir()} == pictures
    assert f"hyperforget report {copied}" in (copied / "report.html").read_text()


def test_a_report_needs_the_zoo_and_finds_it_elsewhere(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "zoo").rename(tmp_path / "zoo")
    (copied / "report.html").unlink()
    assert report.main([str(copied)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: no complete zoo at {copied / 'zoo'}")
    assert report.main([str(copied), "--json", "--zoo.folder", str(tmp_path / "zoo")]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(copied / "report.html")
    assert (copied / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("zoo/zoo.json", "{}", "zoo.json is damaged: delete it and run again"),
        ("zoo/block-00000/manifest.json", "{}", "manifest.json is damaged: delete "),
        ("training/learning_curve.jsonl", None, "learning_curve.jsonl is missing: restore it"),
        ("training/learning_curve.jsonl", "{\n", "line 1 of "),
        ("costs.jsonl", "{\n", "line 1 of "),
    ],
)
def test_what_is_damaged_in_a_finished_run_is_named_in_one_line(
    name: str, text: str | None, message: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / name
    shutil.rmtree(path.parent) if text is None else path.write_text(text)
    assert report.main([str(copied)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert str(path) in line


@pytest.mark.parametrize("verb", [evaluate, report])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing from the arguments: RUN"),
        (["none"], "none is no run"),
        (["RUN", "--jsno"], "--jsno is no option: did you mean --json?"),
        (["RUN", "--training.steps", "5"], "training.steps: 4 there, 5 here"),
        (["RUN", "--task.forget-sets", "1"], "holds the pivot 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    verb: object, arguments: list[str], message: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb.main([str(finished) if word == "RUN" else word for word in arguments]) == 2  # type: ignore[attr-defined]
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert out == ""
