"""The crash search finds a file written in place, a leftover and a traceback, and passes what is written aside and renamed."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash_points import Program
from tests.crash_search import MODES, Result, search

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("gcc") is None or sys.platform != "linux", reason="the shim needs gcc and LD_PRELOAD"
    ),
]
FIRST, SECOND = b"first half, ", b"second half"
WORK = Path("work")


def careful(arguments: Sequence[str]) -> int:
    """Two files, each written beside its place and renamed; one that is there is complete. A failing disk is one line."""
    try:
        WORK.mkdir(exist_ok=True)
        for name in arguments:
            if not (WORK / name).exists():
                _write(WORK / f"{name}.partial")
                (WORK / f"{name}.partial").replace(WORK / name)
    except OSError as error:
        print(f"error: {error.strerror}: free some space", file=sys.stderr)
        return 2
    return 0


def in_place(arguments: Sequence[str]) -> int:
    """Each file is written where it will be, and one that is there is taken for complete."""
    WORK.mkdir(exist_ok=True)
    for name in arguments:
        if not (WORK / name).exists():
            _write(WORK / name)
    return 0


def untidy(arguments: Sequence[str]) -> int:
    """What a stopped process left beside the place is never removed: the next one takes another name."""
    WORK.mkdir(exist_ok=True)
    for name in arguments:
        if not (WORK / name).exists():
            number = len(list(WORK.glob(f"{name}.*")))
            _write(WORK / f"{name}.{number}.partial")
            (WORK / f"{name}.{number}.partial").replace(WORK / name)
    return 0


def _write(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for half in (FIRST, SECOND):
            left = half
            while left:
                left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def searched(folder: Path, program: str, modes: Sequence[str]) -> Result:
    of_files = Program(
        ("a", "b"), lambda state, store: state, lambda path: path.endswith(".partial"), lambda path: path, refusal=2
    )
    return search(folder, of_files, f"tests.test_crash_search:{program}", modes, 1, 0, 1.0, 0.0, lambda line: None)


def test_files_that_are_written_aside_pass_every_kill_and_every_error(tmp_path: Path) -> None:
    found = searched(tmp_path, "careful", MODES)
    assert found.faults == []
    # mkdir; two files of create, two writes, fsync and rename: what a kill leaves after each is another state, but after an fsync
    assert found.searched["kill"] == found.found["kill"] == 10
    assert found.searched["enospc"] == found.searched["eio"] >= 11


@pytest.mark.parametrize(
    ("program", "mode", "kind"),
    [("in_place", "kill", "differing bytes"), ("untidy", "kill", "leftover"), ("in_place", "eio", "traceback")],
)
def test_a_careless_program_is_caught(tmp_path: Path, program: str, mode: str, kind: str) -> None:
    faults = searched(tmp_path, program, [mode]).faults
    assert kind in {fault.kind for fault in faults}
