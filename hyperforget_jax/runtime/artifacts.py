"""What is written to disk: JSON lines, and artifacts that are complete or absent.

An artifact is a folder of files with a `manifest.json` that tells how it was made (config, seed, versions, git revision) and what it
holds (bytes and SHA-256 of every file). It is written beside its place and renamed into it, so a folder of that name is whole.
"""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import safetensors.numpy

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import locks, records

MANIFEST = "manifest.json"
PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "scikit-learn")
REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, or choose another workdir, and run again",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another workdir, and run again",
    errno.EIO: "the disk fails: choose another workdir, or repair it, and run again",
    errno.ESTALE: "the network file system has lost it: mount it anew, or choose another workdir, and run again",
    errno.EACCES: "no permission to write there: choose another workdir",
    errno.EPERM: "no permission to write there: choose another workdir",
    errno.EROFS: "the file system is read-only: choose another workdir",
    errno.ENOTDIR: "a part of the path is a file: choose another workdir",
    errno.EEXIST: "a file stands where a folder is needed: choose another workdir",
}


@contextlib.contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Turns an operating system's refusal to write under `path` into one line with its remedy."""
    try:
        yield
    except OSError as error:
        short_write = error.errno is None and "requested and" in str(error)  # numpy on a full disk
        remedy = REMEDIES.get(errno.ENOSPC if short_write else error.errno or 0)
        if remedy is None:
            raise
        raise HyperForgetError(f"cannot write {error.filename or path}: {remedy}") from error


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with new_text(path) as file:
        file.write(text)


@contextlib.contextmanager
def new_text(path: Path) -> Iterator[TextIO]:
    """A file to fill; it takes its name only when the block ends well, flushed to disk. Another process that fills it is waited for."""
    partial = path.with_name(path.name + ".partial")
    with writing_errors(path), _alone(partial, partial, wait=True) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        partial.replace(path)


@contextlib.contextmanager
def _alone(path: Path, claim: Path, *, wait: bool) -> Iterator[TextIO]:
    """An empty file that this process alone writes; the lock is on the file itself and ends with the process.

    Args:
      path: the file. A process that renames it hands on the lock: the next one makes its own.
      claim: start of names of files that stand for the lock where the file system has none.
      wait: whether to wait for another process that writes it.

    Raises:
      HyperForgetError: another process writes it, and `wait` is False.
    """
    while True:
        with path.open("a", encoding="utf-8") as file, contextlib.ExitStack() as stack:
            try:  # the file is open for writing: NFS locks no other
                stack.enter_context(locks.exclusive(file.fileno(), claim, wait=wait))
            except BlockingIOError as error:
                raise HyperForgetError(
                    f"another process is writing {path.parent}: wait for it, or stop it, and run again"
                ) from error
            if locks.stands_at(path, file):
                file.truncate(0)
                yield file
                return


@contextlib.contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Lets no other process into the same block for a folder, also under another name that it gets meanwhile.

    Raises:
      HyperForgetError: another process is in it, or has just renamed the folder.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with locks.exclusive(handle, folder.with_name(f"{folder.name}.holder"), wait=False):
            if not os.path.samestat(folder.stat(), os.fstat(handle)):
                raise FileNotFoundError
            yield
    except (BlockingIOError, FileNotFoundError) as error:
        raise HyperForgetError(
            f"another process is at work on {folder}: wait for it, or stop it, and run again"
        ) from error
    finally:
        os.close(handle)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Writes arrays by their names as one `.safetensors` file, with the permissions of any other file."""
    path.write_bytes(safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in arrays.items()}))


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a `.safetensors` file by their names.

    Raises:
      HyperForgetError: no such file, or it is damaged.
    """
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise HyperForgetError(f"cannot read {path} ({error}): restore it, or make it again") from error


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON lines, one object a line; NaN is refused (`ValueError`), since JSON has none."""
    write_text(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Adds one JSON line to a running log, such as a learning curve."""
    line = json.dumps(row, allow_nan=False) + "\n"
    with writing_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(line)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All JSON lines of a file, in order; a last line that a killed run left unfinished is no row.

    Raises:
      HyperForgetError: there is no such file, or a line is damaged; names it.
    """
    remedy = "restore it, or delete it and make it again"
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise HyperForgetError(f"{path} is missing: {remedy}") from error
    rows = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise HyperForgetError(f"line {number} of {path} is damaged: {remedy}")
        rows.append(row)
    return rows


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settled(path: Path) -> dict[str, Any]:
    """What a manifest tells of a file that is written; it is on the disk itself when this returns."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": checksum(path)}


def provenance() -> dict[str, Any]:
    """Versions of the packages in use and the git revision of the working tree (None outside git)."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        revision = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        ).stdout.strip()
    except FileNotFoundError:  # git is not installed
        revision = ""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"versions": versions, "git": revision or None}


@contextlib.contextmanager
def new_artifact(folder: Path, made_from: Mapping[str, Any], inputs: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A folder to fill; it takes its name only when the block ends well, with its manifest inside.

    Args:
      folder: the artifact's place. What a stopped run left beside it is deleted first.
      made_from: JSON-ready values that decide the content: config, seed, inputs.
      inputs: other artifacts that it was made from, by `fingerprint`.

    Yields:
      The folder to write into.

    Raises:
      HyperForgetError: disk full, no permission, or another process is writing it; nothing then stands at `folder`.
    """
    partial = folder.with_name(folder.name + ".partial")
    with writing_errors(folder):
        partial.mkdir(parents=True, exist_ok=True)
        with _alone(partial / MANIFEST, partial, wait=False) as manifest:
            for leftover in set(partial.iterdir()) - {partial / MANIFEST}:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            yield partial
            files = {
                str(path.relative_to(partial)): _settled(path)
                for path in sorted(partial.rglob("*"))
                if path.is_file() and path != partial / MANIFEST
            }
            metadata = {"made_from": dict(made_from), "inputs": dict(inputs or {}), "files": files, **provenance()}
            json.dump(records.sealed(metadata), manifest, indent=2, allow_nan=False)
            manifest.flush()
            os.fsync(manifest.fileno())
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a manifest tells them: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return plain


def is_complete(folder: Path) -> bool:
    """Whether an artifact of that name exists; `verify` says whether it is unharmed."""
    return (folder / MANIFEST).is_file()


def manifest(folder: Path) -> dict[str, Any]:
    """How an artifact was made and what it holds.

    Raises:
      HyperForgetError: there is no manifest, or it is damaged.
    """
    path, remedy = folder / MANIFEST, f"delete {folder} and run again to rebuild it"
    try:
        metadata = records.read(path, remedy)
    except FileNotFoundError as error:
        raise HyperForgetError(f"{path} is missing: {remedy}") from error
    if not _is_manifest(metadata):
        raise HyperForgetError(f"{path} is damaged: {remedy}")
    return metadata


def fingerprint(folder: Path) -> str:
    """SHA-256 of the names and contents of an artifact's files, as its manifest tells them."""
    return hashlib.sha256(json.dumps(manifest(folder)["files"], sort_keys=True).encode()).hexdigest()


def _is_manifest(metadata: dict[str, Any]) -> bool:
    """Whether a record has the structure of a manifest, with names of files inside the artifact."""
    files = metadata.get("files")
    return (
        isinstance(metadata.get("made_from"), dict)
        and isinstance(files, dict)
        and all(
            isinstance(told, dict)
            and isinstance(told.get("bytes"), int)
            and isinstance(told.get("sha256"), str)
            and not Path(name).is_absolute()
            and ".." not in Path(name).parts
            for name, told in files.items()
        )
    )


def verify(folder: Path) -> dict[str, Any]:
    """Reads an artifact's manifest and holds every file against it.

    Returns:
      The manifest.

    Raises:
      HyperForgetError: a file is missing, truncated or changed; the line names it.
    """
    remedy = f"delete {folder} and run again to rebuild it"
    metadata = manifest(folder)
    for name, expected in metadata["files"].items():
        path = folder / name
        if not path.is_file():
            raise HyperForgetError(f"{path} is missing: {remedy}")
        if path.stat().st_size != expected["bytes"]:
            raise HyperForgetError(
                f"{path} has {path.stat().st_size} bytes, its manifest says {expected['bytes']}: {remedy}"
            )
        if checksum(path) != expected["sha256"]:
            raise HyperForgetError(f"{path} does not match the checksum in its manifest: {remedy}")
    return metadata
