"""The student's table: one that has learned nothing equals the hypernetwork in as few steps, and every contender has its rows."""

from pathlib import Path
from typing import Any

import pytest

from experiments import student as experiment
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Student
from hyperforget_jax.pipeline import training
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, taught, tiny, trained

pytestmark = pytest.mark.usefixtures("programs")


@pytest.mark.slow
def test_a_student_that_learned_nothing_has_the_rows_of_the_hypernetwork_in_as_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unmoved(run: object, zoo: object, teacher: Hypernetwork, seed: int) -> Student:
        return Student(teacher.params, 2)

    monkeypatch.setattr(training, "train_student", unmoved)
    run = on_paper(taught(tmp_path / "run"))
    trained(run)
    assert experiment.main([str(run.folder)]) == 0
    assert "student.md" in capsys.readouterr().out
    rows = artifacts.read_rows(run.folder / "student.jsonl")
    sets, classes = len(run.config.task.forget_sets), len(run.forgettable)
    assert len(rows) == 3 * (sets + classes)

    def of(name: str) -> list[dict[str, Any]]:
        return [row | {"models": ""} for row in rows if row["models"] == name]

    assert of("student, 2 steps") == of("hypernetwork, 2 steps")
    assert of("student, 2 steps") != of(f"hypernetwork, {run.config.sampling.steps} steps")
    page = (run.folder / "student.md").read_text(encoding="utf-8")
    assert page.count("\n| student, 2 steps |") == sets + classes
    assert (run.folder / "figures" / "student.png").stat().st_size > 10_000


def test_a_run_without_a_student_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = on_paper(tiny(tmp_path / "run"))
    trained(run)
    assert experiment.main([str(run.folder)]) == 2
    assert "has no student: make the run with distillation.steps above 0" in capsys.readouterr().err
