"""The folder of a run: it belongs to one config, and what is done in it is not done again."""

import errno
import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

from hyperforget_jax import records
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError

CONFIG = "config.json"
WHERE_NOT_WHAT = ("workdir", "overwrite")
"""Fields that say where and how, not what: they may differ between runs in one workdir."""


def identity(config: Config) -> dict[str, object]:
    """The flat config without the fields that do not decide any content."""
    return {name: value for name, value in flatten(config).items() if name not in WHERE_NOT_WHAT}


def place(config: Config) -> Path:
    """The workdir's path: links followed, `~` expanded."""
    return Path(config.workdir).expanduser().resolve()


def claim(config: Config) -> None:
    """Takes the workdir for a config, or goes on in one that the same config has taken.

    Raises:
      HyperForgetError: another config's workdir (names the fields that differ), a folder that is no run,
        no permission to write, too little space for what the run will store.
    """
    folder = place(config)
    with records.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission", str(folder))
        theirs = _recorded(folder)
        if theirs is None and any(folder.iterdir()):
            raise HyperForgetError(f"{folder} is not empty and not a run: choose another --workdir")
        differing = _differing(theirs, identity(config)) if theirs else ""
        if differing and not config.overwrite:
            raise HyperForgetError(
                f"{folder} was made by another config ({differing}): choose another --workdir, "
                "or delete what is there with --overwrite"
            )
        if differing:
            shutil.rmtree(folder)
            folder.mkdir()
        needed, free = _zoo_bytes(config), shutil.disk_usage(folder).free
        if needed > free and not theirs:
            raise HyperForgetError(
                f"{folder} has {free / 1e9:.1f} GB free, this zoo may need {needed / 1e9:.1f} GB: "
                "free some space, choose another --workdir, or lower zoo.runs"
            )
        records.write_text(folder / CONFIG, json.dumps(identity(config), indent=2))


def _recorded(folder: Path) -> dict[str, object] | None:
    """The config that has taken a folder; None if no run of this project has."""
    try:
        theirs = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return theirs if isinstance(theirs, dict) and {"seed", "data.name", "zoo.runs"} <= theirs.keys() else None


def _differing(theirs: dict[str, object], ours: dict[str, object]) -> str:
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name}: {theirs.get(name)} there, {ours.get(name)} here" for name in names)


def _zoo_bytes(config: Config) -> int:
    """Upper bound of the zoo on disk; inputs of at most 784 pixels."""
    sizes = [784, *config.classifier.hidden, len(config.data.classes)]
    weights = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    return config.zoo.runs * config.zoo.snapshots * (weights + 2 * sizes[-1] + 2) * 4
