"""The folder of a run: it belongs to one config, and what is done in it is not done again."""

import errno
import json
import os
import shutil
from pathlib import Path

from hyperforget_jax import data
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights.layout import num_weights

CONFIG = "config.json"
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WHERE_NOT_WHAT = (
    "workdir",
    "overwrite",
    "zoo.folder",
    "zoo.memory_gib",
    "loader.memory_gib",
    "request.rounds",
    "training.tensorboard",
    "loader.threads",
    "loader.prefetch",
)
"""Fields that say where and how, not what: they may differ between runs in one workdir."""


def identity(config: Config) -> dict[str, object]:
    """The flat config without the fields that do not decide any content."""
    flat = {name: value for name, value in flatten(config).items() if name not in WHERE_NOT_WHAT}
    others = {name: value for name, value in flat.items() if not name.startswith("data.")}
    return others | {f"data.{name}": value for name, value in data.identity(config.data).items()}


def zoo_identity(config: Config) -> dict[str, object]:
    """The part of the identity that decides a zoo: seed, data, pivots, classifier and protocol."""
    others = ("zoo.validation_share",)
    return {
        name: value
        for name, value in identity(config).items()
        if name in ("seed", "task.pivots")
        or (name.startswith(("data.", "classifier.", "zoo.")) and name not in others)
    }


def zoo_path(config: Config) -> Path:
    """The zoo's path."""
    return (
        Path(config.zoo.folder).expanduser().resolve() if config.zoo.folder else workdir_path(config) / "zoo"
    )


def workdir_path(config: Config) -> Path:
    """The workdir's path: links followed, `~` expanded."""
    return Path(config.workdir).expanduser().resolve()


def acquire_workdir(config: Config) -> None:
    """Takes the workdir for a config, or goes on in one that the same config has taken.

    Raises:
      HyperForgetError: another config's workdir (names the fields that differ), a folder that is no run,
        no permission to write, too little space for what the run will store.
    """
    folder = workdir_path(config)
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission", str(folder))
        theirs = _recorded(folder)
        # another part of the same zoo may be writing its config at this moment
        if theirs is None and any(path.name != f"{CONFIG}.partial" for path in folder.iterdir()):
            raise HyperForgetError(f"{folder} is not empty and not a run: choose another workdir")
        differing = _differing(theirs, identity(config)) if theirs else ""
        if differing and not config.overwrite:
            raise HyperForgetError(
                f"{folder} was made by another config ({differing}): choose another workdir, "
                "or set overwrite to delete what is there"
            )
        if differing:
            shutil.rmtree(folder)
            folder.mkdir()
            theirs = None
        zoo = zoo_path(config)
        disk = next(above for above in (zoo, *zoo.parents) if above.exists())
        needed, free = _zoo_bytes(config), shutil.disk_usage(disk).free
        if needed > free and not theirs and not zoo.exists():
            raise HyperForgetError(
                f"{disk} has {free / 1e9:.1f} GB free, this zoo may need {needed / 1e9:.1f} GB: "
                "free some space, choose another workdir or zoo.folder, or lower zoo.runs"
            )
        artifacts.write_text(folder / CONFIG, json.dumps(identity(config), indent=2))


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
    """Bytes of the zoo on disk, at most (the snapshots that chance selects vary by less than the pivots turn away)."""
    info = data.describe(config.data)
    sizes = (info.input_size, *config.classifier.hidden, len(config.data.classes or info.labels))
    share = 1.0 if config.zoo.loss_shift_threshold is not None else sum(config.zoo.selection_probability) / 2
    checkpoint = num_weights(sizes) * WEIGHT_BYTES[config.zoo.dtype] + (2 * sizes[-1] + 2) * 4
    return round(config.zoo.runs * config.zoo.snapshots * share * checkpoint)
