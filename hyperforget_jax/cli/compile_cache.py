"""Programs that one command compiles and the next reads back: JAX's persistent compilation cache, on by default for the command.

They lie in `hyperforget_jax/programs` of the user's cache folder, in a folder for each CPU and version of JAX: code for one CPU may use
instructions that another lacks. `HYPERFORGET_COMPILE_CACHE=DIR` names another place, `HYPERFORGET_COMPILE_CACHE=off` keeps nothing, and
who sets JAX's own `JAX_COMPILATION_CACHE_DIR` is left alone. Constants of programs can come from training images: a purge empties the
cache.
"""

import hashlib
import importlib.metadata
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from hyperforget_jax.runtime.paths import expand

VARIABLE = "HYPERFORGET_COMPILE_CACHE"
OFF = "off"
JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
MAX_BYTES = 2**30
"""Size above which the programs that were longest unused are removed."""
UNUSED_DAYS = 90.0
"""After so long the programs of another CPU or version are removed."""
SETTINGS = {
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(MAX_BYTES),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # hundreds of small programs take as long as the few large ones
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
CPUINFO = Path("/proc/cpuinfo")
CPU_FIELDS = ("vendor_id", "model name", "flags", "CPU implementer", "CPU part", "Features")
PREFIX, PROGRAM, ACCESS, LOCK = "programs-", "-cache", "-atime", ".lockfile"
"""Names: our folders; in them JAX's files of a program, of its last use, and the lock."""
PROBE_BYTES = 2**20
TIMEOUT_S = 5.0


def enable() -> None:
    """Sets JAX, which is imported later, up to keep its programs; a folder that cannot be written is one line and no error."""
    place = folder(os.environ)
    if place is None or os.environ.get(JAX_VARIABLE):
        return
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)  # who may write here can make us run their code
        _prepare(place)
    except OSError as error:
        reason = error.strerror or "another program holds its lock"
        message = f"compiled programs cannot be kept in {place} ({reason})"
        print(f"warning: {message}: set {VARIABLE} to another folder, or to {OFF}", file=sys.stderr)
        return
    os.environ.update(SETTINGS, **{JAX_VARIABLE: str(place)})
    # A disk that fills up later: JAX warns for each program and goes on without.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")


def folder(environment: Mapping[str, str]) -> Path | None:
    """Where programs are kept under these environment variables; None: nowhere."""
    if theirs := environment.get(JAX_VARIABLE):
        return Path(theirs)
    return None if environment.get(VARIABLE) == OFF else _root(environment) / machine_folder()


def clear() -> None:
    """Removes every program that commands have kept here, of all CPUs and versions; not what is where JAX's own variable says."""
    for place in _root(os.environ).glob(f"{PREFIX}*"):
        _remove(place)


def size(place: Path) -> tuple[int, int]:
    """Number of programs in a folder, and their bytes."""
    sizes = [path.stat().st_size for path in place.glob(f"*{PROGRAM}")]
    return len(sizes), sum(sizes)


def machine_folder() -> str:
    """This machine's folder: a digest of the CPU and its instructions, of the cores a program is divided among, and of versions."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
    cpu = {line for line in lines if line.startswith(CPU_FIELDS)}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [importlib.metadata.version(name) for name in ("jax", "jaxlib")]
    parts = [platform.system(), platform.machine(), platform.processor(), *sorted(cpu), str(cores), *versions]
    return PREFIX + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _root(environment: Mapping[str, str]) -> Path:
    chosen = environment.get(VARIABLE)
    if chosen and chosen != OFF:
        return expand(chosen, VARIABLE).resolve()
    return Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hyperforget_jax" / "programs"


def _prepare(place: Path) -> None:
    """Tries the lock and the disk; removes programs that were never written to the end, and folders that were long unused.

    Raises:
      OSError: the folder cannot be written or locked, or the disk is full.
    """
    import filelock  # slow for `hyperforget --help`

    with filelock.FileLock(place / LOCK, timeout=TIMEOUT_S):
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(PROBE_BYTES))
        for program in place.glob(f"*{PROGRAM}"):
            if not _last_use(program).exists():  # JAX writes it second: a process was killed between the two
                program.unlink()
        os.utime(place)
    for other in place.parent.glob(f"{PREFIX}*"):
        if time.time() - other.stat().st_mtime > UNUSED_DAYS * 86_400:
            _remove(other)


def _last_use(program: Path) -> Path:
    return program.with_name(program.name.removesuffix(PROGRAM) + ACCESS)


def _remove(place: Path) -> None:
    """Removes JAX's files from one of our folders, and the folder if nothing else is in it."""
    for path in _files(place):
        path.unlink(missing_ok=True)
    if not any(place.iterdir()):
        place.rmdir()


def _files(place: Path) -> Iterator[Path]:
    for pattern in (f"*{PROGRAM}", f"*{ACCESS}", LOCK):
        yield from place.glob(pattern)
