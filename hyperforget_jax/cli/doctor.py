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

import importlib.metadata
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import FlagCreatePairsOff

from hyperforget_jax.cli import configs, huge_pages
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.config import ZooConfig
from hyperforget_jax.config.overrides import parse_options
from hyperforget_jax.data import idx
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts

DISTRIBUTION = "hyperforget-jax"
PACKAGES = (
    DISTRIBUTION,
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "pandas",
    "safetensors",
)
DISK_GB = 2.0
"""Free space below which the zoo of a larger setting may not fit."""
NVIDIA = Path("/proc/driver/nvidia")
MEMINFO = Path("/proc/meminfo")


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


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what is there, and what to do if that is not enough."""

    check: str
    status: Literal["ok", "warn", "fail"]
    message: str
    remedy: str = ""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, or 2 if a finding is `fail`."""
    options = parse_options(Options, arguments)
    findings = list(examine(options))
    failed = [finding for finding in findings if finding.status == "fail"]
    if options.json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            remedy = f": {finding.remedy}" if finding.remedy else ""
            print(f"{finding.status:<6}{finding.check:<12}{finding.message}{remedy}")
    if failed:
        raise HyperForgetError(
            f"{len(failed)} of {len(findings)} checks failed, first {failed[0].check}: follow its remedy"
        )
    return 0


def examine(options: Options) -> Iterator[Finding]:
    """Every finding, in the order in which they are printed."""
    workdir = Path(options.workdir).expanduser().resolve()
    yield packages()
    yield shipped_configs()
    yield from devices()
    yield memory()
    yield pages()
    yield writing(workdir)
    yield disk(workdir)
    if options.data.dir is not None:
        yield idx_files(Path(options.data.dir).expanduser())
    yield prepared_datasets()


def packages() -> Finding:
    """Versions of Python and of the libraries whose releases matter."""
    versions, missing = [f"python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing == [DISTRIBUTION]:  # runs from a checkout that is not installed
        remedy = "the package itself is not installed: pip install -e ."
        return Finding("versions", "warn", ", ".join(versions), remedy)
    if missing:
        message = f"{', '.join(missing)} not installed"
        return Finding("versions", "fail", message, f"pip install {DISTRIBUTION}")
    return Finding("versions", "ok", ", ".join(versions))


def shipped_configs() -> Finding:
    """The configs that `--config` can name."""
    names = configs.config_names()
    if not names:
        return Finding(
            "configs",
            "fail",
            f"none in {configs.configs_folder()}",
            f"pip install --force-reinstall {DISTRIBUTION}",
        )
    return Finding("configs", "ok", f"{len(names)} in {configs.configs_folder()}")


def devices() -> Iterator[Finding]:
    """What JAX computes on, and whether a GPU lies idle."""
    import jax  # slow: after the options are known to be good

    try:
        backend, names = jax.default_backend(), [str(device) for device in jax.devices()]
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        yield Finding(
            "devices", "fail", f"JAX finds none ({reason})", "set JAX_PLATFORMS=cpu, or repair the driver"
        )
        return
    yield Finding("devices", "ok", f"{backend}: {', '.join(names)}; {os.cpu_count()} CPU cores")
    if backend == "cpu" and (NVIDIA.exists() or shutil.which("nvidia-smi")):
        chosen = os.environ.get("JAX_PLATFORMS")
        remedy = (
            f"unset JAX_PLATFORMS, which is {chosen}" if chosen else f"pip install '{DISTRIBUTION}[cuda]'"
        )
        yield Finding("gpu", "warn", "an NVIDIA GPU is here, but JAX uses the CPU", remedy)


def memory() -> Finding:
    """Memory that is free for a zoo."""
    if not MEMINFO.exists():
        return Finding("memory", "ok", "unknown on this system")
    needed = ZooConfig().memory_gib
    fields = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
    free, total = (int(fields[name].split()[0]) / 2**20 for name in ("MemAvailable", "MemTotal"))
    message = f"{free:.1f} of {total:.1f} GiB available"
    if free < needed:
        remedy = f"end other programs, or set zoo.memory_gib below {free:.1f} (default {needed:g})"
        return Finding("memory", "warn", message, remedy)
    return Finding("memory", "ok", message)


def pages() -> Finding:
    """Whether the kernel gives huge pages, with which a training step on a CPU is about a fifth faster."""
    if not huge_pages.KERNEL.exists():
        return Finding("huge pages", "ok", "not used on this system")
    if "[never]" in huge_pages.KERNEL.read_text():
        remedy = f"as root: echo madvise > {huge_pages.KERNEL}"
        return Finding(
            "huge pages", "warn", "switched off: a training step on a CPU is about a fifth slower", remedy
        )
    return Finding("huge pages", "ok", "available")


def writing(workdir: Path) -> Finding:
    """Whether files can be made in the workdir, or in the folder in which it will be made."""
    folder = existing(workdir)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("workdir", "ok", f"{workdir} can be written")
    except OSError as error:
        return Finding(
            "workdir", "fail", f"cannot write in {folder} ({error.strerror})", "choose another --workdir"
        )


def disk(workdir: Path) -> Finding:
    """Free space where the workdir is."""
    folder = existing(workdir)
    free = shutil.disk_usage(folder).free / 1e9
    if free < DISK_GB:
        return Finding(
            "disk", "warn", f"{free:.1f} GB free in {folder}", "free some space, or choose another --workdir"
        )
    return Finding("disk", "ok", f"{free:.1f} GB free in {folder}")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def idx_files(folder: Path) -> Finding:
    """The four IDX files, by their checksums."""
    try:
        paths = idx.locate(folder).values()
        checksums = {path.name: artifacts.checksum(path) for path in paths}
    except HyperForgetError as error:
        return Finding("data.dir", "fail", *str(error).split(": ", 1))
    except OSError as error:
        return Finding(
            "data.dir",
            "fail",
            f"{error.filename} cannot be read ({error.strerror})",
            "make it readable for you",
        )
    for name, official in idx.CHECKSUMS.items():
        if checksums.items() <= official.items():
            return Finding("data.dir", "ok", f"{folder}: {name}, all four checksums are the official ones")
    known = {checksum for official in idx.CHECKSUMS.values() for checksum in official.values()}
    wrong = [name for name, checksum in checksums.items() if checksum not in known]
    if not wrong:
        return Finding(
            "data.dir", "fail", f"{folder} mixes files of MNIST and Fashion-MNIST", "keep them in two folders"
        )
    return Finding("data.dir", "fail", f"{folder}: {', '.join(wrong)} not the official file", idx.REMEDY)


def prepared_datasets() -> Finding:
    """Datasets that tensorflow-datasets has prepared, in a format that is read without TensorFlow."""
    folder = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    formats = {}
    for path in sorted(folder.glob("**/dataset_info.json")):
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            formats[info["name"]] = info.get("fileFormat", "tfrecord")
        except (OSError, ValueError, KeyError):
            formats[str(path.relative_to(folder).parent)] = "damaged"
    unusable = [name for name, kind in formats.items() if kind != "array_record"]
    if unusable:
        message = f"{folder}: {', '.join(unusable)} not in the format array_record"
        return Finding(
            "tfds", "warn", message, "delete it and prepare it again, or set TFDS_DATA_DIR to another folder"
        )
    return Finding("tfds", "ok", f"{folder}: {', '.join(formats) or 'nothing'} prepared")
