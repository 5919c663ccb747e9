"""Hypernetworks that the package brings: small runs without their zoos, packed by `hyperforget pack`."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import hyperforget_jax
from hyperforget_jax.runtime import artifacts

FOLDER = "shipped"


def names() -> list[str]:
    """Names of all, sorted."""
    return sorted(path.parent.name for path in _folder().glob("*/config.json"))


def folder_of(path: Path) -> Path:
    """Where a hypernetwork is read from: the path itself, or if nothing stands there and it is the name of a shipped one, that one's."""
    return _folder() / path if not path.exists() and str(path) in names() else path


def unpacked(path: Path, say: Callable[[str], None]) -> Path:
    """The workdir that a path means: the name of a shipped hypernetwork means a copy in runs/NAME, made when it is first asked for.

    Args:
      path: as it was given.
      say: takes a line about a copy that is made.
    """
    source = folder_of(path)
    if source == path:
        return path
    target = Path("runs", path.name)
    if not target.exists():
        with artifacts.writing_errors(target):
            target.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{path.name}.") as temporary:
                shutil.copytree(source, Path(temporary, path.name)).rename(target)
        say(f"{path}: the hypernetwork that the package brings, copied to {target}")
    return target


def _folder() -> Path:
    return Path(hyperforget_jax.__file__).parent / FOLDER
