"""The command finds its verb, explains itself without importing JAX, and refuses in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

import hyperforget_jax
from hyperforget_jax.cli import main as command

ROOT = Path(__file__).parents[2]


def test_help_names_every_verb_and_gives_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert [verb for verb in command.VERBS if f"\n  {verb} " not in out] == []
    assert "examples:\n  hyperforget quickstart\n" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("verb", command.VERBS)
def test_the_help_of_a_verb_has_its_usage_and_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"usage: hyperforget {verb}" in out
    assert f"examples:\n  hyperforget {verb}" in out
    assert ("--training.learning-rate" in out) == (verb in command.CONFIGURED)


def test_the_help_shows_the_defaults_of_the_config_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["run", "--config", "smoke_dihyfo1", "--help"]) == 0
    assert "runs/smoke_dihyfo1" in capsys.readouterr().out


def test_no_help_imports_jax() -> None:
    """It answers at once: importing JAX takes seconds."""
    code = (
        "import sys; from hyperforget_jax.cli import main; "
        "[main.main(words) for words in (['--help'], ['--version'], *([verb, '--help'] for verb in main.VERBS))]; "
        "print('jax' in sys.modules or 'rich' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.splitlines()[-1] == "False"


def test_a_request_for_models_waits_for_no_library_that_it_does_not_use() -> None:
    code = (
        "import sys, hyperforget_jax.cli.unlearn; "
        "print({'sklearn', 'scipy.stats', 'matplotlib', 'orbax', 'grain'} & {*sys.modules}, 'jax' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout == "set() True\n"


def test_a_reader_that_goes_early_gets_no_traceback() -> None:
    command = f"{sys.executable} -m hyperforget_jax run --help | head -1"
    answer = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.stdout.startswith("The whole path of a config")
    assert answer.stderr == ""


def test_the_package_runs_as_the_command() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "hyperforget_jax", "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (answer.returncode, answer.stdout) == (0, f"{hyperforget_jax.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no verb is given: choose quickstart, run"),
        (["trian"], "'trian' is no verb: did you mean train?"),
        (["--config"], "'--config' is no verb: "),
        (["run", "--config", "nope", "--help"], "--config is nope: "),
    ],
)
def test_what_is_no_verb_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
