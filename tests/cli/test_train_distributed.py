"""Training by one process that is killed again and again, and by two that train together."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax.cli import distributed
from hyperforget_jax.cli import train as train_command
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.config.overrides import parse_overrides
from hyperforget_jax.diffusion import train_step
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts, checkpoints, sharding
from hyperforget_jax.runtime.checkpoints import Checkpoints
from tests.diffusion import test_trainer as toy
from tests.small_run import on_paper

pytestmark = pytest.mark.usefixtures("same_in_every_process")

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300.0
"""Seconds after which a test gives up; nothing is expected to take so long."""
CONFIG = replace(toy.CONFIG, steps=40, log_every=1, checkpoint_every=1, shard_parameters=True)
"""A state is saved in every step, so that most kills come while one is being written."""
RARELY = 4
"""Steps between states of two processes, which take longer to agree on one."""
TOY = """
import sys
from pathlib import Path
from hyperforget_jax.cli import distributed
folder, every, kept, where = sys.argv[1:]
if where != "alone":
    distributed.initialize(where, 60)
from tests.cli import test_train_distributed
test_train_distributed.train(Path(folder), int(every), int(kept))
"""
"""A process that trains."""


def train(folder: Path, every: int, kept: int) -> Any:
    """The linear transformer in the toy task, with parameters that are divided among the devices.

    Args:
      folder: of the training.
      every: steps between states.
      kept: how many of the last states.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "SMALLEST_SHARDED", 1)
        patch.setattr(checkpoints, "KEPT", kept)
        return toy.train(folder, toy.linear(16), replace(CONFIG, checkpoint_every=every))


Start = Callable[..., "subprocess.Popen[str]"]


@contextlib.contextmanager
def starting() -> Iterator[Start]:
    """Starts Python in processes of their own, with so many devices; none outlives the block."""
    started: list[subprocess.Popen[str]] = []

    def run(devices: int, *arguments: str) -> "subprocess.Popen[str]":
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, **pipes))
        return started[-1]

    try:
        yield run
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def begin() -> Iterator[Start]:
    with starting() as run:
        yield run


def two(run: Start, *arguments: str) -> list["subprocess.Popen[str]"]:
    """A cluster of two processes with two devices each; their last argument says so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [run(2, *arguments, f"{address},2,{index}") for index in range(2)]


def end_well(processes: list["subprocess.Popen[str]"]) -> list[str]:
    """What they say."""
    told = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), told
    return told


def wait_for(process: "subprocess.Popen[str]", happened: Callable[[], bool]) -> None:
    """Returns once something has happened, or the process has ended."""
    begun = time.monotonic()
    while not happened() and process.poll() is None:
        assert time.monotonic() - begun < TIMEOUT_S
        time.sleep(0.005)


def saved(folder: Path) -> int:
    """Step of the last state, by the folders' names."""
    return max((int(path.name) for path in (folder / "states").glob("????????")), default=0)


def read(folder: Path, step: int | None = None) -> Any:
    """The state of a step, or the last one: parameters, average, optimiser, step; None if there is none."""
    transformer = toy.linear(16)
    task = train_step.Task(transformer, toy.LAYOUT, toy.encode, toy.DIFFUSION, (1,))
    like = jax.eval_shape(partial(train_step.init, task=task, config=CONFIG), jax.random.key(0))
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    with Checkpoints(folder / "states") as states:
        found = states.latest() if step is None else step
        if found is None:
            return None
        placed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), like)
        return states.restore(found, placed)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training on eight devices that nothing stops, with the states of all its steps."""
    folder = tmp_path_factory.mktemp("straight")
    train(folder, 1, CONFIG.steps)
    return folder


def kill_and_go_on(
    folder: Path, kills: int, go: Callable[[], list["subprocess.Popen[str]"]], check: Callable[[], None]
) -> None:
    """Kills at random moments, each after a new state; then lets the training end."""
    random = np.random.default_rng(kills)
    for wanted in np.sort(random.integers(1, CONFIG.steps // 2, kills)).tolist():
        wanted = max(wanted, saved(folder) + 1)
        processes = go()
        wait_for(processes[0], lambda: saved(folder) >= wanted)  # noqa: B023
        time.sleep(random.uniform(0.0, 0.05))
        victims = [processes[place] for place in random.permutation(len(processes))]
        for process in victims:
            process.kill()
        codes = [process.wait() for process in victims]
        assert codes[0] == -signal.SIGKILL  # the other one may have died of that
        check()
    end_well(go())


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 10])
def test_a_training_that_is_killed_at_random_moments_ends_like_one_that_never_was(
    straight: Path, tmp_path: Path, begin: Start, kills: int
) -> None:
    """Bit for bit; and after every kill the last state is one of those of the training that nothing stopped."""

    def check() -> None:
        state = read(tmp_path)
        assert 0 < int(state.step) < CONFIG.steps
        toy.assert_same(state, read(straight, int(state.step)))

    kill_and_go_on(tmp_path, kills, lambda: [begin(8, "-c", TOY, str(tmp_path), "1", "1", "alone")], check)
    assert int(read(tmp_path).step) == CONFIG.steps
    toy.assert_same(read(tmp_path), read(straight))
    curves = [(folder / "learning_curve.jsonl").read_text() for folder in (tmp_path, straight)]
    assert curves[0] == curves[1]
    assert [path.name for path in (tmp_path / "states").iterdir()] == [f"{CONFIG.steps:08}"]


@pytest.mark.parametrize("left", ["_CHECKPOINT_METADATA", "default/manifest.ocdbt"])
def test_a_state_that_was_being_written_or_deleted_is_not_taken_for_the_last(
    straight: Path, tmp_path: Path, left: str
) -> None:
    """Whatever a kill leaves of the state before the last, or of the one after it."""
    whole, states = straight / "states" / "00000020", tmp_path / "states"
    for name in ("00000020", "00000019", "00000021.orbax-checkpoint-tmp"):
        shutil.copytree(whole, states / name)
    shutil.rmtree(states / "00000019" / "default" / "d")
    (states / "00000021.orbax-checkpoint-tmp" / left).unlink()
    toy.assert_same(read(tmp_path), read(straight, 20))
    train(tmp_path, 1, checkpoints.KEPT)
    toy.assert_same(read(tmp_path), read(straight))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training by two processes that nothing stops, with all its states."""
    folder = tmp_path_factory.mktemp("together")
    with starting() as run:
        end_well(two(run, "-c", TOY, str(folder), str(RARELY), str(CONFIG.steps)))
    return folder


def assert_same_curves(ours: Path, theirs: Path) -> None:
    """Within float tolerance."""
    curves = [artifacts.read_rows(folder / "learning_curve.jsonl") for folder in (ours, theirs)]
    for name in ("step", "train_loss", "validation_loss"):
        values = [[row[name] for row in curve] for curve in curves]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def test_two_processes_train_what_one_trains(straight: Path, together: Path) -> None:
    """Parameters, average, optimiser and step, and what they tell on the way."""
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), read(together), read(straight))
    assert int(read(together).step) == CONFIG.steps
    assert_same_curves(together, straight)


def test_a_state_of_two_processes_goes_on_in_one(together: Path, straight: Path, tmp_path: Path) -> None:
    """From four devices of two processes to eight of one."""
    shutil.copytree(together / "states" / "00000020", tmp_path / "states" / "00000020")
    found = train(tmp_path, RARELY, 1)
    assert [row["step"] for row in artifacts.read_rows(tmp_path / "learning_curve.jsonl")] == [*range(21, 41)]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found, read(straight).ema)


@pytest.mark.slow
def test_two_processes_that_are_killed_end_like_two_that_never_were(
    together: Path, tmp_path: Path, begin: Start
) -> None:
    def check() -> None:
        assert 0 < int(read(tmp_path).step) < CONFIG.steps

    kill_and_go_on(tmp_path, 4, lambda: two(begin, "-c", TOY, str(tmp_path), str(RARELY), "1"), check)
    toy.assert_same(read(tmp_path), read(together))


# The command.

SMOKE = ["--config", "smoke_dihyfo2", "--training.batch-size", "22", "--training.steps", "6"]
"""Two devices divide a batch of 22, in one process or in two: programs for few compile faster."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of one process that makes zoo and hypernetwork."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert train_command.main([*SMOKE, "--workdir", str(folder)]) == 0
    return folder


def arrays(folder: Path) -> dict[str, Any]:
    """Of a hypernetwork."""
    files = sorted((folder / "hypernetwork").glob("*.safetensors"))
    assert {path.stem for path in files} == {"codec", "conditioning", "model", "prompt_book", "zoo_statistics"}
    return {f"{path.stem}/{name}": array for path in files for name, array in artifacts.read_arrays(path).items()}


def test_the_command_leaves_a_hypernetwork_and_does_nothing_again(
    one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts.verify(one / "hypernetwork")
    assert {path.name for path in one.iterdir()} == {*("config.json", "costs.jsonl", "hypernetwork", "training", "zoo")}
    assert [row["step"] for row in artifacts.read_rows(one / "training" / "alignment_curve.jsonl")] == [2, 4, 6]
    assert train_command.main([*SMOKE, "--workdir", str(one)]) == 0
    assert f"hypernetwork: reused from {one / 'hypernetwork'}" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_make_the_hypernetwork_of_one(one: Path, tmp_path: Path, begin: Start) -> None:
    folder = tmp_path / "run"
    line = [*SMOKE, "--workdir", str(folder), "--zoo.folder", str(one / "zoo"), "--cluster"]
    end_well(two(begin, "-m", "hyperforget_jax", "train", *line))
    artifacts.verify(folder / "hypernetwork")
    ours, theirs = arrays(folder), arrays(one)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert_same_curves(folder / "training", one / "training")
    assert [row["stage"] for row in artifacts.read_rows(folder / "costs.jsonl")] == ["hypernetwork", "prompts"]
    assert list(tmp_path.rglob("*.partial")) == []
    for out in end_well(two(begin, "-m", "hyperforget_jax", "train", *line)):
        assert f"hypernetwork: reused from {folder / 'hypernetwork'}" in out


@pytest.mark.slow
def test_a_cluster_whose_workdir_is_refused_ends_as_a_whole(one: Path, tmp_path: Path, begin: Start) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    line = [*SMOKE, "--workdir", str(tmp_path), "--zoo.folder", str(one / "zoo"), "--cluster"]
    processes = two(begin, "-m", "hyperforget_jax", "train", *line)
    told = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert [f"error: {tmp_path} is not empty and not a run" in out for out in told] == [True, False]


def a_run(folder: Path, *arguments: str) -> Run:
    line = [*SMOKE[2:], "--workdir", str(folder), *arguments]
    config = parse_overrides(load_config("smoke_dihyfo2"), line)
    return on_paper(config)


def test_a_cluster_needs_a_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(HyperForgetError, match=f"^no complete zoo at {tmp_path / 'zoo'}: make it first with "):
        train_command.validate(a_run(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_needs_a_batch_that_its_processes_can_share(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    run = a_run(tmp_path, "--zoo.folder", str(one / "zoo"))
    with pytest.raises(HyperForgetError, match=r"^a batch of 22 cannot be shared by 3 processes: choose "):
        train_command.validate(run)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], ["--config is None", "smoke_dihyfo2"]),
        (["--config", "nope"], ["--config is nope"]),
        (["--config", "smoke_dihyfo2", "--cluster", "host:1,2,2"], ["--cluster is host:1,2,2", "ADDRESS,N,I"]),
        (["--config", "smoke_dihyfo2", "--training.stpes", "3"], ["did you mean --training.steps?"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    wrong: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_command.main([*wrong, "--workdir", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert [word for word in words if word not in line] == []
    assert list(tmp_path.iterdir()) == []


def in_order(
    monkeypatch: pytest.MonkeyPatch, index: int, heard: int, status: int, begins: bool
) -> tuple[list[str], Callable[[], int]]:
    """What process `index` does, in order, if it hears so and its command begins the job or not."""
    done: list[str] = []

    def broadcast_status(said: int) -> int:
        done.append(f"tell {said}")
        return heard

    def run(job: distributed.Job) -> int:
        done.append("claim")
        if begins:
            job(None)  # type: ignore[arg-type]
        return status

    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(distributed, "broadcast_status", broadcast_status)
    return done, lambda: distributed.run_in_order(run, lambda _: done.append("job"))


@pytest.mark.parametrize(
    ("index", "heard", "status", "begins", "order", "ends"),
    [
        (0, 0, 0, True, ["claim", "tell 0", "job"], 0),
        (0, 0, 2, True, ["claim", "tell 0", "job"], 2),
        (0, 0, 2, False, ["claim", "tell 2"], 2),
        (1, 0, 0, True, ["tell 0", "claim", "job"], 0),
        (1, 0, 2, False, ["tell 0", "claim"], 2),
        (1, 2, 0, True, ["tell 0"], 2),
    ],
)
def test_the_others_take_the_workdir_after_process_0_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, index: int, heard: int, status: int, begins: bool, order: Any, ends: int
) -> None:
    done, go = in_order(monkeypatch, index, heard, status, begins)
    assert go() == ends
    assert done == order


def test_a_programming_error_in_process_0_does_not_leave_the_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(distributed, "broadcast_status", lambda status: told.append(status) or status)

    def fail(job: distributed.Job) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        distributed.run_in_order(fail, lambda _: None)
    assert told == [1]
