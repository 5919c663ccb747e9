"""What this machine and installation lack, each finding with its remedy.

usage: hyperforget doctor [--workdir DIR] [--data.dir DIR] [--json]

  --workdir DIR     where runs shall be written (default: runs)
  --data.dir DIR    folder with the four IDX files of MNIST or Fashion-MNIST, to check them against the official checksums
  --json            print one JSON object: {"ok": BOOL, "findings": [{"check", "status", "message", "remedy"}]}

Looks at versions, devices, memory, disk, data and permissions; changes nothing. Exit status 2 if a finding is `fail`.

examples:
  hyperforget doctor
  hyperforget doctor --data.dir DIR --workdir /scratch/runs
  hyperforget doctor --json
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from hyperforget_jax.cli import compile_cache, huge_pages
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.config import ZooConfig
from hyperforget_jax.config.overrides import parse_options
from hyperforget_jax.data import idx
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime.paths import expand

DISTRIBUTION = "hyperforget-jax"
PACKAGES = (DISTRIBUTION, "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pandas")
DISK_GB = 2.0
"""Free space below which the zoo of a larger setting may not fit."""
NVIDIA = Path("/proc/driver/nvidia")
MEMINFO = Path("/proc/meminfo")
Outcome = tuple[Literal["ok", "warn", "fail"], str, str]
"""Status; what is there; what to do if that is not enough."""


@dataclass(frozen=True)
class DataOptions:
    """Where images are."""

    dir: str | None = None


@dataclass(frozen=True)
class Options:
    """Arguments of the verb."""

    workdir: str = "runs"
    data: DataOptions = field(default_factory=DataOptions)
    json: FlagCreatePairsOff[bool] = False


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, or 2 if a finding is `fail`."""
    options = parse_options(Options, arguments)
    outcomes = examine(options)
    failed = [check for check, (status, _, _) in outcomes.items() if status == "fail"]
    if options.json:
        names = ("status", "message", "remedy")
        findings = [{"check": check, **dict(zip(names, outcome, strict=True))} for check, outcome in outcomes.items()]
        print(json.dumps({"ok": not failed, "findings": findings}, indent=2))
    else:
        for check, (status, message, remedy) in outcomes.items():
            print(f"{status:<6}{check:<12}{message}{': ' * bool(remedy)}{remedy}")
    if failed:
        raise HyperForgetError(f"{len(failed)} of {len(outcomes)} checks failed, first {failed[0]}: follow its remedy")
    return 0


def examine(options: Options) -> dict[str, Outcome]:
    """What was found about everything that was looked at."""
    folder = existing(expand(options.workdir, "workdir").resolve())
    outcomes = {
        "versions": versions(),
        "devices": devices(),
        "settings": settings(),
        "gpu": gpu(),
        "memory": memory(),
        "huge pages": pages(),
        "programs": programs(),
        "workdir": writing(folder),
        "disk": disk(folder),
        "tfds": prepared_datasets(),
    }
    if options.data.dir is not None:
        outcomes["data.dir"] = idx_files(expand(options.data.dir, "data.dir"))
    return outcomes


def versions() -> Outcome:
    """Python and the libraries whose releases matter."""
    installed, missing = [f"python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            installed.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing == [DISTRIBUTION]:  # runs from a checkout that is not installed
        return "warn", ", ".join(installed), "the package itself is not installed: pip install -e ."
    if missing:
        return "fail", f"{', '.join(missing)} not installed", f"pip install {DISTRIBUTION}"
    return "ok", ", ".join(installed), ""


def devices() -> Outcome:
    """What JAX computes on."""
    import jax  # slow: after the options are known to be good

    try:
        names = ", ".join(str(device) for device in jax.devices())
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())
        return "fail", f"JAX finds none ({reason})", "set JAX_PLATFORMS=cpu, or repair the driver"
    return "ok", f"{names}; {os.cpu_count()} CPU cores", ""


def settings() -> Outcome:
    """Whether JAX computes as it usually does."""
    from hyperforget_jax.runtime import jax_settings

    try:
        jax_settings.validate_jax()
    except HyperForgetError as error:
        message, _, remedy = str(error).rpartition(": ")
        return "fail", message, remedy
    chosen = ", ".join(f"{name.upper()} is {value}" for name, value in jax_settings.deciding_settings().items())
    return "ok", f"{chosen}, which is part of what identifies a run" if chosen else "JAX's usual ones", ""


def gpu() -> Outcome:
    """Whether a GPU lies idle."""
    import jax

    if not NVIDIA.exists() and not shutil.which("nvidia-smi"):
        return "ok", "no NVIDIA driver", ""
    with contextlib.suppress(RuntimeError, AssertionError):
        if jax.default_backend() != "cpu":
            return "ok", "in use", ""
    platforms = os.environ.get("JAX_PLATFORMS")
    remedy = f"unset JAX_PLATFORMS, which is {platforms}" if platforms else f"pip install '{DISTRIBUTION}[cuda]'"
    return "warn", "an NVIDIA GPU is here, but JAX uses the CPU", remedy


def memory() -> Outcome:
    """Memory that is free for a zoo."""
    if not MEMINFO.exists():
        return "ok", "unknown on this system", ""
    needed = ZooConfig().memory_gib
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    free, total = (int(fields[name].split()[0]) / 2**20 for name in ("MemAvailable", "MemTotal"))
    message = f"{free:.1f} of {total:.1f} GiB available"
    if free < needed:
        return ("warn", message, f"end other programs, or set zoo.memory_gib below {free:.1f} (default {needed:g})")
    return "ok", message, ""


def pages() -> Outcome:
    """Whether the kernel gives huge pages, with which a training step on a CPU is about a fifth faster."""
    if not huge_pages.KERNEL.exists():
        return "ok", "not used on this system", ""
    if "[never]" in huge_pages.KERNEL.read_text():
        message = "switched off: a training step on a CPU is about a fifth slower"
        return "warn", message, f"as root: echo madvise > {huge_pages.KERNEL}"
    return "ok", "available", ""


def programs() -> Outcome:
    """Where compiled programs are kept, and how large they are."""
    place = compile_cache.folder(os.environ)
    if place is None:
        return "ok", f"compiled anew by every command: {compile_cache.VARIABLE} is {compile_cache.OFF}", ""
    status, message, _ = writing(existing(place))
    if status != "ok":
        remedy = f"set {compile_cache.VARIABLE} to another folder, or to {compile_cache.OFF}"
        return "warn", f"every command compiles anew: {message}", remedy
    count, size = compile_cache.size(place)
    whose = f", which {compile_cache.JAX_VARIABLE} names" if os.environ.get(compile_cache.JAX_VARIABLE) else ""
    return "ok", f"compiled once: {count} of {size / 1e6:.1f} MB in {place}{whose}", ""


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def writing(folder: Path) -> Outcome:
    """Whether files can be made in the workdir, or in the folder in which it will be made."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return "ok", f"{folder} can be written", ""
    except OSError as error:
        return "fail", f"cannot write in {folder} ({error.strerror})", "choose another --workdir"


def disk(folder: Path) -> Outcome:
    """Free space where the workdir is."""
    free = shutil.disk_usage(folder).free / 1e9
    message = f"{free:.1f} GB free in {folder}"
    return ("warn", message, "free some space") if free < DISK_GB else ("ok", message, "")


def idx_files(folder: Path) -> Outcome:
    """The four IDX files, by their checksums."""
    try:
        paths = idx.locate(folder)
        checksums = {name: hashlib.sha256(idx.unpack(path)).hexdigest() for name, path in paths.items()}
    except HyperForgetError as error:
        message, _, remedy = str(error).partition(": ")
        return "fail", message, remedy
    for name, official in idx.CHECKSUMS.items():
        if checksums.items() <= official.items():
            return "ok", f"{folder}: {name}, all four checksums are the official ones", ""
    every = {checksum for official in idx.CHECKSUMS.values() for checksum in official.values()}
    wrong = [paths[name].name for name, checksum in checksums.items() if checksum not in every]
    if wrong:
        return "fail", f"{folder}: {', '.join(wrong)} not the official file", idx.REMEDY
    return "fail", f"{folder} mixes files of MNIST and Fashion-MNIST", "keep them in two folders"


def prepared_datasets() -> Outcome:
    """Datasets that tensorflow-datasets has prepared, in a format that is read without TensorFlow."""
    folder, formats = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser(), {}
    for path in sorted((*folder.glob("*/*/dataset_info.json"), *folder.glob("*/*/*/dataset_info.json"))):
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            formats[info["name"]] = info.get("fileFormat", "tfrecord")
        except (OSError, ValueError, KeyError):
            formats[str(path.relative_to(folder).parent)] = "damaged"
    unusable = [name for name, kind in formats.items() if kind != "array_record"]
    if unusable:
        message = f"{folder}: {', '.join(unusable)} not in the format array_record"
        return "warn", message, "delete it and prepare it again, or set TFDS_DATA_DIR to another folder"
    return "ok", f"{folder}: {', '.join(formats) or 'nothing'} prepared", ""
