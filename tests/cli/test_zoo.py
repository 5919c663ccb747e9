"""Making a zoo from the command line: whole or in parts, by two processes, and by one that is killed again and again."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.cli import configs
from hyperforget_jax.cli import zoo as make_zoo
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.pipeline.run import Run, validate_run_config
from hyperforget_jax.zoo import storage
from tests.small_zoo import contents

pytestmark = pytest.mark.usefixtures("same_in_every_process")

ROOT = Path(__file__).parents[2]
BLOCKS = 24
ZOO = [
    *("--zoo.runs", str(2 * BLOCKS), "--zoo.runs-per-block", "2", "--zoo.snapshots", "4"),
    *("--zoo.epochs", "20", "--zoo.batch-size", "64", "--zoo.learning-rate", "1e-2", "2e-2"),
    *("--zoo.undersample-probability", "0", "--zoo.deletion-probability", "0"),
    *("--zoo.min-per-combination", "9", "--zoo.max-added-blocks", "3", "--zoo.min-clean-runs", "0"),
]
"""A tiny zoo of digits, in which some combinations of high and low losses need more blocks."""


def arguments(folder: Path, *others: str) -> list[str]:
    return ["--config", "digits4_dihyfo2", "--workdir", str(folder / "run"), *ZOO, *others]


@pytest.fixture(scope="module")
def one_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo that one process makes in one go."""
    folder = tmp_path_factory.mktemp("one_job")
    assert make_zoo.main(arguments(folder)) == 0
    return folder / "run" / "zoo"


def test_a_zoo_is_made_and_complete(one_job: Path) -> None:
    summary = storage.read_summary(one_job)
    assert summary is not None
    assert summary["added_blocks"] > 0
    assert len(storage.read(one_job, summary["made_from"])) == summary["checkpoints"] > 0
    assert [path.name for path in one_job.iterdir() if "partial" in path.name] == []


def test_a_zoo_that_is_there_is_not_made_again(one_job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in one_job.glob("block-*/*")}
    assert make_zoo.main(arguments(one_job.parent.parent)) == 0
    assert f"zoo: reused from {one_job}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in one_job.glob("block-*/*")} == stamps


def test_parts_make_the_zoo_of_one_job(one_job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part, told in ((2, "part 2 of 3 is done"), (3, "part 3 of 3 is done"), (1, "zoo: reused from ")):
        assert make_zoo.main(arguments(tmp_path, "--shard", f"{part}/3")) == 0
        out = capsys.readouterr().out
        assert told in out
        assert ("run once without --shard" in out) == (part != 1)
    assert contents(tmp_path / "run" / "zoo") == contents(one_job)


def test_a_zoo_can_stand_elsewhere_and_be_shared(one_job: Path, tmp_path: Path) -> None:
    shared = ["--zoo.folder", str(one_job), "--training.steps", "7", "--task.forget-sets", "3"]
    assert make_zoo.main(arguments(tmp_path, *shared)) == 0
    assert not (tmp_path / "run" / "zoo").exists()


def test_another_configs_zoo_is_refused_and_the_difference_named(
    one_job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(one_job)
    other = ["--zoo.folder", str(one_job), "--seed", "3", "--task.pivots", "1"]
    assert make_zoo.main(arguments(tmp_path, *other)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "seed: 0 there, 3 here" in line
    assert "task.pivots: [0, 1] there, [1] here" in line
    assert contents(one_job) == before


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], ["--config is None", "choose ", "mnist4_zoo", "digits4_dihyfo2"]),
        (["--config", "nope"], ["--config is nope", "choose ", "mnist4_zoo"]),
        (["--config", "__init__"], ["--config is __init__"]),
        (["--config"], ["--config"]),
        *(
            (["--config", "digits4_dihyfo2", "--shard", shard], [f"--shard is {shard}", "I/N", "such as 2/4"])
            for shard in ("0/2", "3/2", "2", "a/b", "1/", "1/2/3")
        ),
        (["--config", "digits4_dihyfo2", "--shard"], ["--shard is : give I/N"]),
        (["--config", "digits4_dihyfo2", "--cluster"], ["--cluster is : give ADDRESS,N,I"]),
        *(
            (["--config", "digits4_dihyfo2", "--cluster", cluster], [f"--cluster is {cluster}", "ADDRESS,N,I"])
            for cluster in ("host:1", "host:1,2", "host:1,2,2", "host:1,two,0", "host:1,2,-1", "host:1,2,0,1")
        ),
        (["--config", "digits4_dihyfo2", "--zoo.rnus", "3"], ["--zoo.rnus", "did you mean --zoo.runs?"]),
        (["--config", "digits4_dihyfo2", "--zoo.memory-gib", "1e-4"], ["a block needs", "zoo.memory_gib is 0.0001"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    wrong: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = [] if wrong == ["--config"] else ["--workdir", str(tmp_path / "run")]
    assert make_zoo.main([*folder, *wrong]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert [word for word in words if word not in line] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", configs.config_names())
def test_every_config_is_found_and_can_run(name: str) -> None:
    validate_run_config(configs.load_config(name))


@pytest.mark.parametrize("place", [0, 2])
def test_the_command_is_told_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    runs: list[Run] = []
    monkeypatch.setattr(make_zoo, "make", lambda run, shard, cluster: runs.append(run))
    given = ["--seed", "3", "--workdir", str(tmp_path / "run")]
    assert make_zoo.main([*given[:place], "--config", "digits4_dihyfo2", "--shard", "1/2", *given[place:]]) == 0
    line = f"--config digits4_dihyfo2 --shard 1/2 --seed 3 --workdir {tmp_path / 'run'}"
    assert runs[0].command == f"hyperforget zoo {line}"
    assert runs[0].config.seed == 3
    assert workdir.read_config(tmp_path / "run") == runs[0].config


# Processes.

Start = Callable[..., "subprocess.Popen[str]"]
TIMEOUT_S = 300.0
"""Seconds after which a test gives up; nothing is expected to take so long."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `make_zoo` in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def run(*others: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "hyperforget_jax", "zoo", *arguments(tmp_path, *others)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(line, cwd=ROOT, **pipes))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ends_well(process: "subprocess.Popen[str]") -> None:
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out


def wait_for(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    """Returns once something has happened, or the process has ended."""
    begun = time.monotonic()
    while not happened() and process.poll() is None:
        assert time.monotonic() - begun < TIMEOUT_S
        time.sleep(0.005)


def blocks(folder: Path) -> list[int]:
    """Numbers of the blocks that are on disk."""
    return sorted(int(path.name[6:]) for path in folder.glob("block-?????"))


@pytest.mark.slow
def test_two_processes_make_the_zoo_of_one_and_do_not_wait_for_each_other(
    one_job: Path, tmp_path: Path, start: Start
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    first, second = (start("--cluster", f"{address},2,{index}") for index in range(2))
    zoo, of_the_second = tmp_path / "run" / "zoo", set(range(1, BLOCKS, 2))
    wait_for(first, lambda: 0 in blocks(zoo))
    first.send_signal(signal.SIGSTOP)
    wait_for(second, lambda: of_the_second <= set(blocks(zoo)))
    assert of_the_second <= set(blocks(zoo))
    assert second.poll() is None  # it waits at the end
    first.send_signal(signal.SIGCONT)
    for process in (first, second):
        ends_well(process)
    assert contents(zoo) == contents(one_job)
    assert list(tmp_path.rglob("*.partial")) == []


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, 10])
def test_a_zoo_whose_making_is_killed_at_random_moments_is_the_same_byte_for_byte(
    one_job: Path, tmp_path: Path, start: Start, kills: int
) -> None:
    random, killed, zoo, total = np.random.default_rng(0), 0, tmp_path / "run" / "zoo", len(blocks(one_job))
    for wanted in sorted(random.integers(1, total, kills).tolist()):
        wanted = min(total, max(wanted, len(blocks(zoo)) + 1))
        process = start()
        wait_for(process, lambda: len(blocks(zoo)) >= wanted)  # noqa: B023
        time.sleep(random.uniform(0.0, 0.1))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed == kills
    ends_well(start())
    assert contents(zoo) == contents(one_job)
    assert list(tmp_path.rglob("*.partial")) == []
