"""Artifacts are complete or absent, harm is found and named, and JSON lines come back as they were written."""

import errno
import hashlib
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts

ROOT = Path(__file__).parents[2]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), max_size=5)


def refuse_with(code: int) -> Any:
    """A stand-in for os.fsync on a disk that answers with an error."""

    def fsync(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    return fsync


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A whole artifact of two files, one in a subfolder."""
    with artifacts.new_artifact(tmp_path / "zoo", {"seed": 3}) as folder:
        (folder / "weights.bin").write_bytes(bytes(range(64)))
        (folder / "part").mkdir()
        (folder / "part" / "losses.txt").write_text("0.5\n")
    return tmp_path / "zoo"


def test_an_artifact_lists_every_file_with_size_and_checksum(artifact: Path) -> None:
    assert artifacts.is_complete(artifact)
    manifest = artifacts.verify(artifact)
    assert manifest["made_from"] == {"seed": 3}
    assert manifest["files"] == {
        "weights.bin": {"bytes": 64, "sha256": hashlib.sha256(bytes(range(64))).hexdigest()},
        "part/losses.txt": {"bytes": 4, "sha256": hashlib.sha256(b"0.5\n").hexdigest()},
    }
    assert set(manifest["versions"]) == set(artifacts.PACKAGES)


def test_nothing_stands_there_while_it_is_filled_or_after_an_exception(tmp_path: Path) -> None:
    def fill() -> None:
        with artifacts.new_artifact(tmp_path / "zoo", {}) as folder:
            (folder / "half.bin").write_bytes(b"1")
            assert not (tmp_path / "zoo").exists()
            raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        fill()
    assert not (tmp_path / "zoo").exists()
    assert not artifacts.is_complete(tmp_path / "zoo")


def test_leftovers_of_a_stopped_run_are_replaced(tmp_path: Path) -> None:
    for contents in (["stale.bin", "half.bin"], ["half.bin"]):
        try:
            with artifacts.new_artifact(tmp_path / "zoo", {}) as folder:
                assert [path.name for path in folder.iterdir()] == [artifacts.MANIFEST]
                for name in contents:
                    (folder / name).write_bytes(b"1")
                if "stale.bin" in contents:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert set(artifacts.verify(tmp_path / "zoo")["files"]) == {"half.bin"}
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_a_second_artifact_takes_the_place_of_the_first_only_when_whole(artifact: Path) -> None:
    def fill(stop: bool) -> None:
        with artifacts.new_artifact(artifact, {"seed": 4}) as folder:
            (folder / "new.bin").write_bytes(b"2")
            if stop:
                raise KeyError("stopped")

    with pytest.raises(KeyError):
        fill(stop=True)
    assert artifacts.verify(artifact)["made_from"] == {"seed": 3}
    fill(stop=False)
    assert set(artifacts.verify(artifact)["files"]) == {"new.bin"}


def test_an_artifact_that_somebody_is_writing_is_refused_and_left_alone(tmp_path: Path) -> None:
    with artifacts.new_artifact(tmp_path / "zoo", {"seed": 3}) as folder:
        (folder / "weights.bin").write_bytes(b"1")
        with pytest.raises(HyperForgetError, match=r"another process is writing .*zoo\.partial: wait for it"):
            artifacts.new_artifact(tmp_path / "zoo", {"seed": 4}).__enter__()
        with artifacts.new_artifact(tmp_path / "other", {}):
            pass
    assert artifacts.verify(tmp_path / "zoo")["made_from"] == {"seed": 3}
    assert (tmp_path / "zoo" / "weights.bin").read_bytes() == b"1"


WRITER = """
import sys, time
from pathlib import Path
from hyperforget_jax.runtime import artifacts
with artifacts.{new}(Path(sys.argv[1]){rest}):
    print("writing", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writing() -> Iterator[Callable[[str, Path, str], subprocess.Popen[str]]]:
    """Starts another process that writes and never ends; returns once it does so."""
    started: list[subprocess.Popen[str]] = []

    def start(new: str, path: Path, rest: str = "") -> subprocess.Popen[str]:
        line = [sys.executable, "-c", WRITER.format(new=new, rest=rest), str(path)]
        started.append(subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "writing\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_lock_of_a_killed_process_ends_with_it(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    process = writing("new_artifact", tmp_path / "zoo", ", {}")
    with pytest.raises(HyperForgetError, match="another process is writing"):
        artifacts.new_artifact(tmp_path / "zoo", {}).__enter__()
    process.kill()
    process.wait()
    assert not artifacts.is_complete(tmp_path / "zoo")
    with artifacts.new_artifact(tmp_path / "zoo", {}) as folder:
        (folder / "weights.bin").write_bytes(b"1")
    assert set(artifacts.verify(tmp_path / "zoo")["files"]) == {"weights.bin"}
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


def test_one_process_alone_works_on_a_folder_also_when_it_is_renamed(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    (tmp_path / "run").mkdir()
    process = writing("only_process", tmp_path / "run")
    for name in ("run", "other"):
        with pytest.raises(HyperForgetError, match=f"another process is at work on .*{name}: wait for it"):
            artifacts.only_process(tmp_path / name).__enter__()
        if name == "run":
            (tmp_path / "run").rename(tmp_path / "other")
    process.kill()
    process.wait()
    with artifacts.only_process(tmp_path / "other"):
        pass


def test_a_file_that_somebody_is_writing_is_waited_for(
    tmp_path: Path, writing: Callable[..., subprocess.Popen[str]]
) -> None:
    path = tmp_path / "zoo.json"
    process = writing("new_text", path)
    waiting = threading.Thread(target=artifacts.write_text, args=(path, "second"))
    waiting.start()
    waiting.join(0.2)
    assert not path.exists()
    process.kill()
    waiting.join()
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_many_write_at_once_is_always_one_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    texts = [str(number) * 5000 for number in range(8)]
    artifacts.write_text(path, texts[0])

    def write_and_read(text: str) -> None:
        for _ in range(10):
            artifacts.write_text(path, text)
            assert path.read_text() in texts

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write_and_read, texts))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "another workdir"),
        (errno.EIO, "the disk fails"),
        (errno.ESTALE, "mount it anew"),
    ],
)
def test_a_refusing_disk_is_told_in_one_line(tmp_path: Path, code: int, remedy: str) -> None:
    def fill() -> None:
        with artifacts.new_artifact(tmp_path / "zoo", {}) as folder:
            raise OSError(code, os.strerror(code), str(folder / "big.bin"))

    with pytest.raises(HyperForgetError, match=remedy) as caught:
        fill()
    assert "big.bin" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "zoo").exists()


def test_a_place_below_a_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here\n")

    def fill() -> None:
        with artifacts.new_artifact(tmp_path / "file" / "zoo", {}):
            pytest.fail("the block must not start")

    with pytest.raises(HyperForgetError, match="choose another workdir"):
        fill()


def test_other_errors_of_the_system_pass_through(tmp_path: Path) -> None:
    def fill() -> None:
        with artifacts.new_artifact(tmp_path / "zoo", {}):
            raise FileNotFoundError(errno.ENOENT, "no such input", "images.gz")

    with pytest.raises(FileNotFoundError):
        fill()


def test_verify_names_a_missing_file(artifact: Path) -> None:
    (artifact / "part" / "losses.txt").unlink()
    with pytest.raises(HyperForgetError, match=r"losses\.txt is missing: delete .*zoo and run again"):
        artifacts.verify(artifact)


def test_verify_names_a_truncated_file(artifact: Path) -> None:
    (artifact / "weights.bin").write_bytes(bytes(range(63)))
    with pytest.raises(HyperForgetError, match=r"weights\.bin has 63 bytes, its manifest says 64"):
        artifacts.verify(artifact)


@pytest.mark.parametrize("position", [0, 31, 63])
def test_verify_names_a_file_with_one_flipped_bit(artifact: Path, position: int) -> None:
    content = bytearray(range(64))
    content[position] ^= 1
    (artifact / "weights.bin").write_bytes(content)
    with pytest.raises(HyperForgetError, match=r"weights\.bin does not match the checksum"):
        artifacts.verify(artifact)


def test_write_text_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    artifacts.write_text(path, "first, the longer text\n")
    artifacts.write_text(path, "second × –\n")
    assert path.read_text(encoding="utf-8") == "second × –\n"
    assert list(tmp_path.iterdir()) == [path]


def test_write_text_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.txt"
    artifacts.write_text(path, "old\n")
    monkeypatch.setattr(os, "fsync", refuse_with(errno.ENOSPC))
    with pytest.raises(HyperForgetError, match="the disk is full"):
        artifacts.write_text(path, "new\n")
    assert path.read_text(encoding="utf-8") == "old\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_rows_refuse_what_json_has_not(tmp_path: Path, value: float) -> None:
    path = tmp_path / "rows.jsonl"
    artifacts.write_rows(path, [{"value": 1.0}])
    with pytest.raises(ValueError, match="JSON compliant"):
        artifacts.write_rows(path, [{"value": 2.0}, {"value": value}])
    with pytest.raises(ValueError, match="JSON compliant"):
        artifacts.append_row(path, {"value": value})
    assert artifacts.read_rows(path) == [{"value": 1.0}]


@given(rows=ROWS)
@settings(max_examples=60, deadline=None)
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    artifacts.write_rows(path, rows)
    assert artifacts.read_rows(path) == rows
    artifacts.append_row(path, {"last": len(rows)})
    assert artifacts.read_rows(path) == [*rows, {"last": len(rows)}]


def test_one_row_is_one_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    artifacts.write_rows(path, [{"text": "two\nlines"}, {"text": "\u2028"}])
    lines = path.read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["text"] for line in lines[:-1]] == ["two\nlines", "\u2028"]
    assert lines[-1] == ""
