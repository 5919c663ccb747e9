"""`hyperforget reproduce` runs the checkout's module, or says how to get one."""

from pathlib import Path

import pytest

from experiments import reproduce as experiment
from hyperforget_jax.cli import reproduce


def test_the_experiment_gets_the_arguments_and_gives_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(experiment, "main", lambda arguments: calls.append(arguments) or 130)
    assert reproduce.main(["table1", "--runs", "here"]) == 130
    assert calls == [["table1", "--runs", "here"]]


def test_a_wrong_name_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce.main(["tabel1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: tabel1 is no table or figure: did you mean table1?"


def test_the_checkout_is_the_packages_or_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce.checkout() == Path(__file__).parents[2]
    monkeypatch.setattr(reproduce.hyperforget_jax, "__file__", str(tmp_path / "site" / "p" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    assert reproduce.main(["table1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path} is no checkout")
    assert f"git clone {reproduce.REPOSITORY}" in line
    for folder in ("experiments", "hyperforget_jax"):
        (tmp_path / folder).mkdir()
    (tmp_path / "experiments" / "reproduce.py").touch()
    assert reproduce.checkout() == tmp_path
