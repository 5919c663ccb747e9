"""`hyperforget purge` purges a finished run, says what it kept, and refuses in one line."""

import json
from pathlib import Path

import pytest

from hyperforget_jax.cli import evaluate, purge, run, unlearn
from hyperforget_jax.pipeline import purge as pipeline
from tests.compile_cache import compile_cache
from tests.small_run import tiny

pytestmark = pytest.mark.slow  # the purge itself is in CI: tests/pipeline/test_purge.py


@pytest.fixture(scope="module")
def purgeable(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Path:
    """A tiny run that can be purged."""
    folder = tmp_path_factory.mktemp("purgeable")
    changes = "--zoo.runs 96 --zoo.purgeable --task.forget-sets 3 --evaluation.distribution-models 0"
    with compile_cache(compiled):
        assert run.main(["--config", "smoke_dihyfo2", *changes.split(), "--workdir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that a command has kept in a folder of this test."""
    monkeypatch.setenv("HYPERFORGET_COMPILE_CACHE", str(tmp_path / "programs"))
    place = tmp_path / "programs" / "programs-1"
    place.mkdir(parents=True)
    (place / "jit_f-cache").write_bytes(b"code")
    return place / "jit_f-cache"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--forget 1,2", "the forget set {1, 2} holds the pivot 1"),
        ("--forget 7", "names class 7, the dataset has {0, 1, 2, 3}"),
        ("", "Missing from the arguments: --forget"),
        ("--forget 2 3", "3 is no option"),
        ("--forget 2 --zoo.folder elsewhere", "is not the run's own"),
        ("--forget 2 --zoo.runs 95", "was made by another config (zoo.runs: 96 there, 95 here)"),
    ],
)
def test_what_cannot_be_purged_is_refused_in_one_line(
    arguments: str, message: str, purgeable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(purgeable.parent.rglob("*"))
    assert purge.main([str(purgeable), *arguments.split()]) == 2
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert out == ""
    assert sorted(purgeable.parent.rglob("*")) == before


@pytest.mark.slow
def test_a_run_that_is_none_or_was_not_made_for_it_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purge.main([str(tmp_path), "--forget", "2"]) == 2
    assert f"{tmp_path} is no run" in capsys.readouterr().err
    assert purge.main([str(finished), "--forget", "2"]) == 2
    assert "was made with zoo.purgeable False" in capsys.readouterr().err


@pytest.mark.slow
def test_a_purge_says_what_it_kept_and_the_same_command_finishes_a_stopped_one(
    purgeable: Path, compiled: Path, program: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Path) -> None:
        raise KeyboardInterrupt

    with compile_cache(compiled):
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "_swap", stop)
            assert purge.main([str(purgeable), "--forget", "2"]) == 130
        capsys.readouterr()
        assert program.exists()
        assert purge.main([str(purgeable), "--forget", "2", "--json"]) == 0
        assert not program.exists()
        out, error = capsys.readouterr()
        assert "an earlier purge was complete, and what it had not removed yet is removed now" in error
        certificate = json.loads(out)
        assert certificate == json.loads((purgeable / "purge.json").read_text(encoding="utf-8"))
        assert purge.main([str(purgeable), "--forget", "2"]) == 2
        assert "class 2 is purged already" in capsys.readouterr().err
        assert unlearn.main([str(purgeable), "--forget", "2", "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
        assert (summary["prompt"]["2"], summary["validation"]["all"]["forget_accuracy"]) == (None, None)
        assert evaluate.main([str(purgeable), "--task.forget-sets", "2", "3", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert {tuple(row["forget_set"]) for row in rows} == {(), (2,), (2, 3)}
        assert {row["class"] for row in rows if row["metric"] == "alignment_r2"} == {3}
        assert {tuple(row["forget_set"]) for row in rows if row["metric"] == "mia"} == {(2, 3)}
        assert purge.main([str(purgeable), "--forget", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("purged {2, 3}: ") for line in lines)
    assert any(line.startswith("class 3 before: of ") for line in lines)
    assert lines[-1] == f"certificate: {purgeable / 'purge.json'}"
    # what has been purged is another run: its first config does not go on in its place
    assert run.main(["--config", "smoke_dihyfo2", "--zoo.runs", "96", "--workdir", tiny(purgeable).workdir]) == 2
    assert "was made by another config" in capsys.readouterr().err
