"""Saved states come back as they were, meshes divide the batch, and progress tells rate and time left."""

import errno
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import progress, sharding
from hyperforget_jax.runtime.checkpoints import Checkpoints


class State(NamedTuple):
    params: dict[str, jax.Array]
    step: jax.Array


def state(step: int) -> State:
    return State({"w": jnp.arange(6.0).reshape(2, 3) + step, "b": jnp.full(3, 0.1)}, jnp.int32(step))


def like() -> State:
    return jax.tree.map(jnp.zeros_like, state(0))


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as states:
        states.save(7, state(7))
        found = states.restore(7, like())
    assert isinstance(found, State)
    for ours, saved in zip(jax.tree.leaves(found), jax.tree.leaves(state(7)), strict=True):
        assert ours.dtype == saved.dtype
        assert np.array_equal(ours, saved)


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "new") as states:
        assert states.latest() is None


def test_only_the_last_state_is_kept_and_found_again(tmp_path: Path) -> None:
    with Checkpoints(tmp_path) as states:
        for step in (4, 20, 100):
            states.save(step, state(step))
    assert [path.name for path in tmp_path.iterdir()] == ["00000100"]
    with Checkpoints(tmp_path) as again:
        assert again.latest() == 100
        assert int(again.restore(100, like()).step) == 100


@pytest.mark.parametrize("kept", ["all", "half", "nothing"])
def test_what_a_process_left_that_was_stopped_while_it_removed_a_state_is_removed(tmp_path: Path, kept: str) -> None:
    with Checkpoints(tmp_path / "states") as states:
        states.save(4, state(4))
        shutil.copytree(tmp_path / "states" / "00000004", tmp_path / "older")
        states.save(20, state(20))
    if kept == "half":
        shutil.rmtree(tmp_path / "older" / "default" / "ocdbt.process_0")
        (tmp_path / "older" / "_CHECKPOINT_METADATA").unlink()
    elif kept == "nothing":
        shutil.rmtree(tmp_path / "older")
        (tmp_path / "older").mkdir()
    shutil.move(tmp_path / "older", tmp_path / "states" / "00000004")
    with Checkpoints(tmp_path / "states") as again:
        again.remove_older()
        assert again.latest() == 20
        assert int(again.restore(20, like()).step) == 20
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["00000020"]


def test_a_disk_that_fails_while_an_older_state_is_removed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Checkpoints(tmp_path) as states:
        states.save(20, state(20))
    (tmp_path / "00000004" / "default").mkdir(parents=True)

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rmdir", fails)
    with Checkpoints(tmp_path) as again, pytest.raises(HyperForgetError, match="the disk fails"):
        again.remove_older()


def test_a_state_comes_back_to_the_devices_it_is_wanted_on(tmp_path: Path) -> None:
    everywhere = sharding.replicated(sharding.make(8))
    with Checkpoints(tmp_path) as states:
        states.save(1, state(1))
        found = states.restore(1, jax.device_put(like(), everywhere))
    assert found.params["w"].sharding == everywhere


@pytest.mark.parametrize(("batch", "devices"), [(1, 1), (7, 7), (8, 8), (11, 1), (12, 6), (15, 5), (256, 8)])
def test_a_mesh_has_as_many_devices_as_divide_the_batch(batch: int, devices: int) -> None:
    assert jax.device_count() == 8
    found = sharding.make(batch)
    assert found.shape == {sharding.DATA: devices}
    assert found.axis_types == (jax.sharding.AxisType.Auto,)


def test_a_batch_is_split_over_the_devices_and_parameters_are_not() -> None:
    rows = jnp.arange(12.0)
    devices = sharding.make(12)
    split = jax.device_put(rows, sharding.batched(devices)).addressable_shards
    assert [shard.data.tolist() for shard in split] == [[2.0 * i, 2.0 * i + 1] for i in range(6)]
    whole = jax.device_put(rows, sharding.replicated(devices)).addressable_shards
    assert all(np.array_equal(shard.data, rows) for shard in whole)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that it is; tests set it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def console(**settings: Any) -> tuple[Console, io.StringIO]:
    paper = io.StringIO()
    return Console(file=paper, width=120, **settings), paper


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(clock: list[float]) -> None:
    log, paper = console(force_terminal=False)
    with progress.track(log, "zoo", 8, "runs") as advance:
        for seconds, count in ((4.0, 2), (12.0, 2), (15.0, 1), (20.0, 3)):
            clock[0] = 100.0 + seconds
            advance(count)
    assert paper.getvalue().splitlines() == [
        "zoo: 4/8 runs · 0.3333 runs/s · 12 s left",
        "zoo: 8/8 runs · 0.4 runs/s · 0 s left",
    ]


def test_work_that_takes_no_time_is_told_too(clock: list[float]) -> None:
    log, paper = console(force_terminal=False)
    with progress.track(log, "evaluation", 1, "requests") as advance:
        advance(1)
    (line,) = paper.getvalue().splitlines()
    assert line.startswith("evaluation: 1/1 requests · ")
    assert line.endswith(" requests/s · 0 s left")


def test_a_terminal_gets_a_bar() -> None:
    terminal, paper = console(force_terminal=True)
    with progress.track(terminal, "zoo", 4, "runs") as advance:
        advance(4)
    assert "4/4" in paper.getvalue()
    assert "runs/s" in paper.getvalue()


def test_an_exception_passes_through() -> None:
    log, _ = console(force_terminal=False)
    with pytest.raises(KeyboardInterrupt), progress.track(log, "zoo", 2, "runs"):
        raise KeyboardInterrupt


def test_a_state_of_another_training_is_refused(tmp_path: Path) -> None:
    with Checkpoints(tmp_path, {"seed": 5, "sizes": (3, 4)}) as states:
        states.save(7, state(7))
        states.restore(7, like())
    with (
        Checkpoints(tmp_path, {"seed": 0, "sizes": (3, 4)}) as ours,
        pytest.raises(
            HyperForgetError, match=r"step 7 in .* is of another training \(seed: 5 there, 0 here\): delete "
        ),
    ):
        ours.restore(7, like())


def damage(folder: Path, random: np.random.Generator) -> None:
    """One flipped bit, or a file that is cut off or gone, among the data of a state."""
    files = sorted(path for path in (folder / "00000007").rglob("*") if path.is_file() and path.stat().st_size)
    path = files[random.integers(len(files))]
    content = bytearray(path.read_bytes())
    match random.integers(3):
        case 0:
            content[random.integers(len(content))] ^= 1 << int(random.integers(8))
            path.write_bytes(content)
        case 1:
            path.write_bytes(content[: len(content) // 2])
        case 2:
            path.unlink()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # threads of the library below
def test_whatever_byte_of_a_state_is_damaged_what_comes_back_is_the_state_or_one_line(tmp_path: Path) -> None:
    """The fault: in 14 tries one flipped bit gave other parameters three times."""
    whole, messages = tmp_path / "whole", []
    with Checkpoints(whole) as states:
        states.save(7, state(7))
    for seed in range(25):
        shutil.copytree(whole, tmp_path / str(seed))
        damage(tmp_path / str(seed), np.random.default_rng(seed))
        with Checkpoints(tmp_path / str(seed)) as states:
            if states.latest() is None:
                continue
            try:
                found = states.restore(7, like())
            except HyperForgetError as error:
                messages.append(str(error))
                continue
        jax.tree.map(np.testing.assert_array_equal, found, state(7))
    assert messages  # how many depends on the names that the library gives its files
    assert [
        text for text in messages if not text.endswith(" and run again: the training starts anew") or "\n" in text
    ] == []
