"""From a command line to a run: whatever cannot run is refused in one line before any work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from configs import digits4_dihyfo2
from hyperforget_jax.cli import main
from hyperforget_jax.cli.job import run_experiment, run_job
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import resources, workdir
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import machine

DEFAULT = digits4_dihyfo2.get_config()
Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Runs a command line that must be refused, and returns the one line that it prints."""

    def run(*arguments: str) -> str:
        def job(run: Run) -> None:
            pytest.fail("work has begun")

        status = run_job("hyperforget quickstart", replace(DEFAULT, workdir=str(tmp_path / "run")), job, arguments)
        out, error = capsys.readouterr()
        assert status == 2
        assert out == ""
        assert error.startswith("error: ")
        assert error.endswith("\n")
        (line,) = error.splitlines()
        return line

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task.forget-sets", "7"], ["class 7", "{0, 1, 2, 3}"]),
        (["--task.pivots", "9"], ["pivots", "class 9"]),
        (["--task.forget-sets", ""], ["forget set is empty"]),
        (["--task.forget-sets"], ["task.forget_sets is empty"]),
        (["--task.forget-sets", "0,1,2,3"], ["{0, 1, 2, 3}", "every class"]),
        (["--task.forget-sets", "2", "0,2"], ["{0, 2}", "pivot 0", "never forgotten"]),
        (["--task.forget-sets", "2,2"], ["{2, 2}", "twice"]),
        (["--task.forget-sets", "two"], ["--task.forget-sets", "two"]),
        (["--data.name", "minst"], ["'minst'", "did you mean mnist?"]),
        (["--data.name", "fashion"], ["'fashion'", "did you mean fashion_mnist?"]),
        (["--data.classes", "1", "11"], ["11", "0 to 9"]),
        (["--data.dir", "somewhere"], ["data.dir somewhere", "digits"]),
        (["--data.name", "mnist", "--data.dir", "no/such/folder"], ["no/such/folder"]),
        (["--data.validation-size", "1348"], ["1348", "1 to 1347"]),
        (["--zoo.rnus", "3"], ["--zoo.rnus", "did you mean --zoo.runs?"]),
        (["stray"], ["stray"]),
        (["--zoo.runs", "many"], ["--zoo.runs", "many"]),
        (["--zoo.runs", "1.5"], ["--zoo.runs", "1.5"]),
        (["--zoo.runs"], ["--zoo.runs"]),
        (["--zoo.learning-rate", "0.1"], ["--zoo.learning-rate"]),
        (["--codec.kind", "functoinal"], ["--codec.kind", "functoinal", "functional"]),
        (["--zoo.runs", "0"], ["zoo.runs is 0", "at least 1"]),
        (["--zoo.epochs", "nan"], ["zoo.epochs is nan", "finite"]),
        (["--zoo.pivot-accuracy", "1.5"], ["zoo.pivot_accuracy is 1.5", "0 to below 1"]),
        (["--hypernetwork.num_heads", "5"], ["hypernetwork.num_heads 5", "hidden_size 96", "divisor"]),
        (["--sampling.steps", "1001"], ["sampling.steps is 1001", "timesteps = 1000"]),
    ],
    ids=" ".join,
)
def test_what_cannot_run_is_refused_in_one_line(refused: Refused, arguments: list[str], words: list[str]) -> None:
    line = refused(*arguments)
    assert [word for word in words if word not in line] == []


def test_the_workdir_of_another_config_is_refused_and_the_difference_named(refused: Refused, tmp_path: Path) -> None:
    workdir.acquire_workdir(replace(DEFAULT, workdir=str(tmp_path / "run"), seed=4))
    kept = (tmp_path / "run" / "config.json").read_bytes()
    line = refused()
    assert "seed: 4 there, 0 here" in line
    assert "choose another workdir" in line
    assert "set overwrite" in line
    assert (tmp_path / "run" / "config.json").read_bytes() == kept


def test_a_folder_that_is_no_run_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    line = refused("--workdir", str(tmp_path), "--overwrite")
    assert f"{tmp_path} is not empty and not a run" in line
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_workdir_that_cannot_be_made_is_refused(refused: Refused, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    line = refused("--workdir", str(tmp_path / path))
    assert "file" in line
    assert line.endswith("choose another workdir")


def test_a_disk_too_small_for_the_zoo_is_refused(refused: Refused) -> None:
    line = refused("--zoo.runs", str(2**31 - 1))
    assert "GB free" in line
    fitting = int(line.rpartition("lower zoo.runs to ")[2])
    assert 0 < fitting < 2**31 - 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--training.batch-size", "10000000"], ["training.batch_size is 10000000", "GiB of memory", "at most "]),
        (["--sampling.batch-size", "10000000"], ["sampling.batch_size is 10000000", "GiB of memory", "at most "]),
        (["--hypernetwork.hidden-size", "65536"], ["hypernetwork.hidden_size is 65536", "GiB of memory", "at most "]),
        (["--request.samples", "10000000"], ["request.samples is 10000000", "GiB of memory", "at most "]),
        (["--request.samples", "1000000"], ["evaluation.bootstrap is 1000", "GiB of memory", "at most "]),
    ],
    ids=" ".join,
)
def test_what_cannot_fit_is_refused_with_the_number_that_would(
    refused: Refused, arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8 * 2**30)
    line = refused(*arguments)
    assert [word for word in words if word not in line] == []


def test_the_number_that_is_told_to_fit_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8 * 2**30)
    sizes = (64, 3, 4)
    resources.validate_resources(DEFAULT, sizes)
    for need in resources.needs(DEFAULT, sizes):
        fits = need._replace(value=need.fitting(8 * 2**30))
        assert fits.total <= 8 * 2**30 < fits._replace(value=fits.value + 1).total


def test_the_memory_of_the_machine_is_that_of_its_control_group_if_this_is_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemFree: 1 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    for limit, expected in (("max", 1024_000), ("4096", 4096)):
        (tmp_path / "limit").write_text(f"{limit}\n")
        monkeypatch.setattr(machine, "CGROUP", tmp_path / "limit")
        assert machine.memory_bytes() == expected


def test_a_remedy_can_be_followed_in_the_same_workdir(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What is refused for its images or their number has not taken the workdir."""
    default, done = replace(DEFAULT, workdir=str(tmp_path / "run")), []
    assert run_job("hyperforget quickstart", default, done.append, ["--zoo.batch-size", "10000"]) == 2
    assert "zoo.batch_size is 10000, the training split has " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert run_job("hyperforget quickstart", default, done.append, ["--zoo.batch-size", "32"]) == 0
    assert [run.command for run in done] == ["hyperforget quickstart --zoo.batch-size 32"]


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def job(run: Run) -> None:
        raise KeyboardInterrupt

    assert run_job("hyperforget quickstart", replace(DEFAULT, workdir=str(tmp_path)), job, []) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "stopped: run the same command again to go on from here"


def test_a_refusal_during_the_work_is_one_line_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def job(run: Run) -> None:
        raise HyperForgetError("the loss is nan: lower it")

    assert run_job("hyperforget quickstart", replace(DEFAULT, workdir=str(tmp_path)), job, []) == 2
    assert capsys.readouterr().err == "error: the loss is nan: lower it\n"


def test_a_programming_error_is_not_hidden(tmp_path: Path) -> None:
    def job(run: Run) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_job("hyperforget quickstart", replace(DEFAULT, workdir=str(tmp_path)), job, [])


def test_overwrite_keeps_what_the_same_config_left(tmp_path: Path) -> None:
    """So that the same command line can be run again after a stop."""
    config = replace(DEFAULT, workdir=str(tmp_path), overwrite=True)
    workdir.acquire_workdir(config)
    (tmp_path / "work").touch()
    workdir.acquire_workdir(config)
    assert (tmp_path / "work").exists()


def test_an_experiment_sets_its_process_up_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(main, "set_up_process", lambda: steps.append("set up"))
    arguments = ["--workdir", str(tmp_path / "run"), "--seed", "3"]
    for default, options in ((DEFAULT, []), (None, ["--config", "digits4_dihyfo2"])):
        assert run_experiment("name", default, lambda run: steps.append(run.command), [*options, *arguments]) == 0
        line = " ".join([*options, *arguments])
        assert steps[-2:] == ["set up", f"python -m experiments.name {line}"]
