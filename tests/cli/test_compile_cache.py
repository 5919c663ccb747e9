"""The command keeps compiled programs: a second process compiles nothing and answers the same to the last bit; nothing stops work."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hyperforget_jax.cli import compile_cache, doctor, main, purge, report

ROOT = Path(__file__).parents[2]
DAY = 86_400


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Stands for that of the process, of someone who has chosen nothing."""
    variables = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": os.environ["PATH"]}
    monkeypatch.setattr(compile_cache.os, "environ", variables)
    return variables


def kept(place: Path, name: str = "jit_f-1", unfinished: bool = False) -> Path:
    """A program as JAX leaves it."""
    place.mkdir(parents=True, exist_ok=True)
    program = place / f"{name}-cache"
    program.write_bytes(bytes(1000))
    if not unfinished:
        (place / f"{name}-atime").write_bytes(bytes(8))
    return program


# The place.


def test_the_place_is_in_the_users_cache_unless_somebody_has_chosen(tmp_path: Path) -> None:
    name = compile_cache.machine_folder()
    assert compile_cache.folder({}) == Path.home() / ".cache/hyperforget_jax/programs" / name
    assert compile_cache.folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/hyperforget_jax/programs") / name
    chosen = {"XDG_CACHE_HOME": "/x", "HYPERFORGET_COMPILE_CACHE": str(tmp_path)}
    assert compile_cache.folder(chosen) == tmp_path / name
    assert compile_cache.folder({"HYPERFORGET_COMPILE_CACHE": "off"}) is None
    assert compile_cache.folder({**chosen, "JAX_COMPILATION_CACHE_DIR": "/jax"}) == Path("/jax")


def test_another_cpu_another_number_of_cores_and_another_version_have_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = tmp_path / "cpuinfo"
    monkeypatch.setattr(compile_cache, "CPUINFO", cpu)
    monkeypatch.setattr(compile_cache.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    lines = "model name : A\nflags : avx2 {}\ncpu MHz : {}\n"
    cpu.write_text(lines.format("avx512f", 1000))
    one = compile_cache.machine_folder()
    cpu.write_text(lines.format("avx512f", 2000) * 2)  # another clock, and a line for every core
    assert compile_cache.machine_folder() == one
    cpu.write_text(lines.format("", 1000))
    others = {compile_cache.machine_folder()}
    cpu.write_text(lines.format("avx512f", 1000))
    monkeypatch.setattr(compile_cache.os, "sched_getaffinity", lambda _: {0}, raising=False)
    others.add(compile_cache.machine_folder())
    monkeypatch.setattr(compile_cache.importlib.metadata, "version", lambda _: "0.0.1")
    others.add(compile_cache.machine_folder())
    assert len(others - {one}) == 3


# Set-up.


def test_it_is_set_up_by_variables_for_the_user_alone(environment: dict[str, str]) -> None:
    place = compile_cache.folder(environment)
    assert place is not None
    compile_cache.enable()
    assert environment["JAX_COMPILATION_CACHE_DIR"] == str(place)
    assert environment["JAX_COMPILATION_CACHE_MAX_SIZE"] == str(2**30)
    assert place.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("choice", [{"HYPERFORGET_COMPILE_CACHE": "off"}, {"JAX_COMPILATION_CACHE_DIR": "/theirs"}])
def test_who_has_chosen_keeps_the_choice(choice: dict[str, str], environment: dict[str, str], tmp_path: Path) -> None:
    environment |= choice
    before = dict(environment)
    compile_cache.enable()
    assert environment == before
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    environment: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    compile_cache.enable()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: compiled programs cannot be kept in {tmp_path / 'cache'}")
    assert line.endswith("(Not a directory): set HYPERFORGET_COMPILE_CACHE to another folder, or to off")
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def test_a_full_disk_is_one_line(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    compile_cache.enable()
    (line,) = capsys.readouterr().err.splitlines()
    assert "(No space left on device)" in line
    assert "JAX_COMPILATION_CACHE_DIR" not in environment


def test_a_program_that_was_not_written_to_the_end_goes_and_others_stay(environment: dict[str, str]) -> None:
    place = compile_cache.folder(environment)
    assert place is not None
    whole, part = kept(place), kept(place, "jit_f-2", unfinished=True)
    compile_cache.enable()
    assert whole.exists()
    assert not part.exists()


def test_folders_long_unused_go_but_nothing_that_is_not_ours(environment: dict[str, str], tmp_path: Path) -> None:
    place = compile_cache.folder(environment)
    assert place is not None
    old, mixed, recent, foreign = (place.parent / name for name in ("programs-1", "programs-2", "programs-3", "mine"))
    for each in (old, mixed, recent, foreign):
        kept(each)
    (mixed / "letter.txt").write_text("keep")
    for each, days in ((old, 91), (mixed, 91), (recent, 89), (foreign, 91)):
        os.utime(each, (each.stat().st_mtime - days * DAY,) * 2)
    compile_cache.enable()
    assert not old.exists()
    assert [path.name for path in mixed.iterdir()] == ["letter.txt"]
    assert compile_cache.size(recent) == compile_cache.size(foreign) == (1, 1000)


def test_clearing_removes_the_programs_of_every_cpu_and_version(environment: dict[str, str]) -> None:
    place = compile_cache.folder(environment)
    assert place is not None
    compile_cache.enable()
    kept(place)
    kept(place.parent / "programs-1")
    environment["HYPERFORGET_COMPILE_CACHE"] = "off"  # what an earlier command kept goes too
    compile_cache.clear()
    assert list(place.parent.iterdir()) == []


def test_verbs_that_compute_keep_programs_except_a_purge(monkeypatch: pytest.MonkeyPatch) -> None:
    called = list[str]()
    monkeypatch.setattr(main, "set_up_process", lambda: called.append("set up"))
    monkeypatch.setattr(compile_cache, "enable", lambda: called.append("kept"))
    for module in (doctor, purge, report):
        monkeypatch.setattr(module, "main", lambda _: 0)
    for verb, expected in (("report", ["set up", "kept"]), ("purge", ["set up"]), ("doctor", ["set up"])):
        called.clear()
        monkeypatch.setattr(sys, "argv", ["hyperforget", verb])
        assert main.main() == 0
        assert called == expected


# In processes.

PROGRAM = """\
from hyperforget_jax.cli import compile_cache
compile_cache.enable()
import jax, jax.numpy as jnp
seen = []
jax.monitoring.register_event_listener(lambda event, **_: seen.append(event))
step = jax.jit(lambda x, key: jax.lax.scan(lambda x, k: (jnp.tanh(x @ x.T) + jax.random.normal(k, x.shape), x.sum()), x, key))
bits = b"".join(part.tobytes() for part in jax.device_get(step(jnp.full((16, 16), 0.1), jax.random.split(jax.random.key(0), 9))))
print(bits.hex(), *(seen.count(f"/jax/compilation_cache/cache_{what}") for what in ("hits", "misses")))
"""


class Answer(NamedTuple):
    """What a process computed, in hexadecimal, and how many programs it read and compiled."""

    bits: str
    hits: int
    misses: int


def compute(choice: str) -> Answer:
    """Runs PROGRAM in a process of its own."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=variables | {"HYPERFORGET_COMPILE_CACHE": choice},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "cache" not in ended.stderr
    bits, hits, misses = ended.stdout.split()
    return Answer(bits, int(hits), int(misses))


def test_a_second_process_compiles_nothing_and_every_bit_is_the_same(tmp_path: Path) -> None:
    without, cold, warm = (compute(choice) for choice in ("off", str(tmp_path), str(tmp_path)))
    assert len(without.bits) == 2 * 4 * (16 * 16 + 9)
    assert without.bits == cold.bits == warm.bits
    assert (without.hits, without.misses) == (0, 0)
    assert (cold.hits, warm.misses) == (0, 0)
    assert cold.misses == warm.hits == compile_cache.size(tmp_path / compile_cache.machine_folder())[0] > 0
    for program in tmp_path.glob("*/*-cache"):
        program.write_bytes(b"damaged")
    damaged = compute(str(tmp_path))
    assert damaged.bits == cold.bits
    assert damaged.hits == 0
