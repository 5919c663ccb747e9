"""One process works in a folder, or several that share it; also where the file system has no flock."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, locks

ROOT = Path(__file__).parents[2]
HOLDER = """
import fcntl, sys
from pathlib import Path
from hyperforget_jax.runtime import locks
def refuse(*_):
    raise OSError(int(sys.argv[3]), "no locks here")
if sys.argv[3] != "0":
    fcntl.flock = refuse
with locks.hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(
    params=[0, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=["flock", "ENOSYS", "ENOLCK", "EOPNOTSUPP"]
)
def code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What flock answers, here and in other processes; 0: it works."""

    def refuse(*_: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refuse)
        monkeypatch.setattr(locks, "TRIES", 2)
    return int(request.param)


@pytest.fixture
def other(tmp_path: Path, code: int) -> Iterator[Any]:
    """Starts another process that holds the folder; returns once it does."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-c", HOLDER, str(tmp_path), mode, str(code)]
        started.append(subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_another_process_is_refused_in_one_line_that_names_it_until_it_ends(tmp_path: Path, other: Any) -> None:
    process = other("alone")
    for shared in (False, True):
        with pytest.raises(HyperForgetError) as refusal, locks.hold(tmp_path, shared=shared):
            pytest.fail("two at once")
        assert str(refusal.value).startswith(f"another process is at work on {tmp_path} (process {process.pid} on ")
        assert "wait for it, or stop it, and run again" in str(refusal.value)
        assert "\n" not in str(refusal.value)
    process.communicate("")  # it ends well
    assert list(tmp_path.iterdir()) == []
    with locks.hold(tmp_path):
        pass


def test_a_killed_process_holds_nothing_and_what_it_left_goes(tmp_path: Path, other: Any) -> None:
    process = other("alone")
    process.kill()
    process.wait()
    with locks.hold(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_those_that_share_exclude_one_that_does_not(tmp_path: Path, other: Any) -> None:
    process = other("shared")
    with locks.hold(tmp_path, shared=True):
        pass
    with pytest.raises(HyperForgetError, match=f"process {process.pid} on "), locks.hold(tmp_path):
        pytest.fail("two at once")
    process.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_a_scope_keeps_its_locks_and_can_change_them(tmp_path: Path, code: int) -> None:
    def is_held() -> bool:
        try:
            with locks.scope(), locks.hold(tmp_path, shared=True):
                return False
        except HyperForgetError:
            return True

    with locks.scope():
        with locks.hold(tmp_path):
            pass
        assert is_held()
        with locks.hold(tmp_path):  # again
            pass
        with locks.hold(tmp_path, shared=True):
            pass
        assert not is_held()
        with locks.hold(tmp_path):
            pass
        assert is_held()
    assert not is_held()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_needs_no_shared_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "open", refuse)
    with locks.hold(tmp_path, shared=True):
        pass
    with pytest.raises(OSError, match="Read-only"), locks.hold(tmp_path):
        pytest.fail("held")


def test_artifacts_and_texts_are_written_by_one_process_without_flock_too(tmp_path: Path, code: int) -> None:
    with artifacts.new_artifact(tmp_path / "zoo", {"seed": 3}) as folder:
        (folder / "weights.bin").write_bytes(b"1")
        with pytest.raises(HyperForgetError, match=r"another process is writing .*zoo\.partial: wait for it"):
            artifacts.new_artifact(tmp_path / "zoo", {"seed": 4}).__enter__()
    artifacts.write_text(tmp_path / "text", "text")
    with artifacts.only_process(tmp_path / "zoo"), pytest.raises(HyperForgetError, match="another process is at work"):
        artifacts.only_process(tmp_path / "zoo").__enter__()
    assert {path.name for path in tmp_path.iterdir()} == {"zoo", "text"}
    assert artifacts.verify(tmp_path / "zoo")["files"].keys() == {"weights.bin"}
