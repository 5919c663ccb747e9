"""What a run has left in its workdir, told by manifests and names: `overwrite` removes that and nothing else."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, locks

FILES = (
    *("costs.jsonl", "results.jsonl", "results.md", "report.html", "coverage.json", "coverage.md", "purge.json"),
    *("update.jsonl", "update.md"),
)
"""Files at the top of a workdir, but for its record."""
ARTIFACTS = (
    *("zoo", "hypernetwork", "reference", "clean_reference", "requests", "prompts", "alignment", "distribution"),
    *("update", "paper_protocol"),
)
"""Folders of a workdir that hold artifacts, or are one."""
CURVES = ("learning_curve.jsonl", "alignment_curve.jsonl")
SUFFIXES = (".npy", ".npz", ".safetensors", ".json", ".jsonl")
"""Of files in an artifact whose manifest is not finished or damaged."""
PARTIAL = ".partial"


def validate_place(folder: Path) -> None:
    """Refuses to remove anything from a place that is more than a workdir.

    Raises:
      HyperForgetError: the root, the home folder or one above it, a mount point.
    """
    home = Path.home().resolve()
    what = {
        "the root of the file system": folder == folder.parent,
        "the home folder": folder == home,
        "above the home folder": folder in home.parents,
        "a mount point": os.path.ismount(folder),
    }
    for name, true in what.items():
        if true:
            raise HyperForgetError(f"{folder} is {name}, where nothing is overwritten: choose another workdir")


def holds_artifacts(folder: Path) -> bool:
    """Whether a folder has an artifact of a run at its place."""
    parts = [part for name in ARTIFACTS for part in (folder / name, *(folder / name).glob("*/"))]
    return any((part / artifacts.MANIFEST).is_file() for part in parts)


def remove(folder: Path, record: str, kept: Sequence[str] = ()) -> list[str]:
    """Removes what a run has left in its workdir.

    Folders of other runs, links, and files that no manifest and no name tells to be a run's stay.

    Args:
      folder: the workdir.
      record: the name of a run's record, which stays: with it a folder is a run.
      kept: names of folders in it that stay too.

    Returns:
      Names of what else stays, a folder's with a slash at its end.
    """
    parts = [name for name in ARTIFACTS if name not in kept]
    for path in list(_made(folder, parts)):
        path.unlink(missing_ok=True)
    ours = [part for name in (*parts, "training", "figures") for part in _folders(folder / name)]
    for path in reversed(ours):
        with contextlib.suppress(OSError):  # something stays in it
            path.rmdir()
    left = (path for path in sorted(folder.iterdir()) if path.name not in (record, *kept))
    return [path.name + "/" * path.is_dir() for path in left if not path.name.startswith(locks.LOCK)]


def _made(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Files that a run has made: at the top of its workdir, in its training, its figures and its artifacts."""
    yield from _files(folder, *(name + ending for name in FILES for ending in ("", PARTIAL)))
    for training in _folders(folder / "training"):
        if training.name in ("training", "student"):
            yield from _files(training, *(name + ending for name in CURVES for ending in ("", PARTIAL)))
            for part in (*_folders(training / "states"), *_folders(training / "tensorboard")):
                yield from (path for path in part.iterdir() if not path.is_dir())
    for picture in (path for part in _folders(folder / "figures") for path in part.glob("*.svg")):
        if picture.with_suffix(".png").is_file():  # each is drawn twice
            yield from (picture, picture.with_suffix(".png"))
    for name in parts:
        for part in (*_folders(folder / name), *_folders(folder / (name + PARTIAL))):
            yield from _files(part, "zoo.json", "zoo.json" + PARTIAL)
            if part.name.endswith(PARTIAL) or (part / artifacts.MANIFEST).is_file():
                yield from _of_artifact(part)


def _of_artifact(folder: Path) -> Iterator[Path]:
    """Files of an artifact: those that its manifest lists; of an unfinished or damaged one, those of our types."""
    names: list[str] = []
    with contextlib.suppress(HyperForgetError):
        names = list(artifacts.manifest(folder)["files"])
    listed = [folder / name for name in names or [path.name for path in folder.iterdir() if path.suffix in SUFFIXES]]
    for path in (*listed, folder / artifacts.MANIFEST):
        if path.is_file() and path.resolve().is_relative_to(folder):
            yield path


def _files(folder: Path, *names: str) -> Iterator[Path]:
    yield from (folder / name for name in names if (folder / name).is_file())


def _folders(folder: Path) -> Iterator[Path]:
    """A folder and all below, but for links, other file systems and what is below a record of another run."""
    if not folder.is_dir() or folder.is_symlink() or os.path.ismount(folder) or _is_run(folder):
        return
    yield folder
    for path in folder.iterdir():
        yield from _folders(path)


def _is_run(folder: Path) -> bool:
    """Whether a folder is a run of its own: it has a record and, unlike a hypernetwork, no manifest."""
    return (folder / "config.json").exists() and not (folder / artifacts.MANIFEST).exists()
