"""The folder of a run: it belongs to one config, and what is done in it is not done again."""

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from hyperforget_jax import data
from hyperforget_jax.config import Config, flatten, unflatten
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import overwrite
from hyperforget_jax.runtime import artifacts, jax_settings, locks, records
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.weights.layout import num_weights

CONFIG = "config.json"
CERTIFICATE = "purge.json"
"""What a purge writes last: with it a purged system is complete."""
FORMAT = 2
STRUCTURE = {"format": int, "identity": dict, "config": dict}
"""Keys of a run's record, and the types of their values."""
FORMAT_1 = ("seed", "data.name", "zoo.runs")
"""Fields by which a record of format 1 is known: it was the identity alone."""
OF_THIS_CALL = ("workdir", "overwrite")
"""Fields that are not recorded."""
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WHERE_NOT_WHAT = (
    *(*OF_THIS_CALL, "task.forget_sets", "zoo.folder", "request.rounds", "training.tensorboard"),
    *("zoo.memory_gib", "loader.memory_gib", "loader.threads", "loader.prefetch"),
)
"""Fields that say where and how, or what a report covers: they may differ between runs in one workdir."""


def identity(config: Config) -> dict[str, object]:
    """The flat config without the fields that do not decide any content, and the settings of JAX that do."""
    flat = {name: value for name, value in flatten(config).items() if name not in WHERE_NOT_WHAT}
    others = {name: value for name, value in flat.items() if not name.startswith("data.")}
    if not config.task.scrubbed:
        del others["task.scrubbed"]  # runs of before scrubs have no such field
    of_data = {f"data.{name}": value for name, value in data.identity(config.data, config.task.purged).items()}
    return others | of_data | jax_settings.deciding_settings()


def zoo_identity(config: Config) -> dict[str, object]:
    """The part of the identity that decides a zoo: seed, data, pivots, classifier and protocol."""
    # the held-out part is not counted where clean runs are, so its size decides how many are added
    others = () if config.zoo.min_clean_runs else ("zoo.validation_share",)
    return {
        name: value
        for name, value in identity(config).items()
        if name in ("seed", "task.pivots", "task.purged", *jax_settings.DECIDING)
        or (name.startswith(("data.", "classifier.", "zoo.")) and name not in others)
    }


def zoo_path(config: Config) -> Path:
    """The zoo's path."""
    return expand(config.zoo.folder, "zoo.folder").resolve() if config.zoo.folder else workdir_path(config) / "zoo"


def workdir_path(config: Config) -> Path:
    """The workdir's path: links followed, `~` expanded."""
    return expand(config.workdir, "workdir").resolve()


def acquire_workdir(config: Config, *, shared: bool = False, say: Callable[[str], None] = lambda line: None) -> None:
    """Takes the workdir for a config, or goes on in one that the same config has taken; forget sets may differ.

    No other process works there until the end of the `locks.scope` around it; in a cluster, process 0 holds it for all.

    Args:
      config: the workdir's.
      shared: whether other processes may work there too, as parts of one zoo do.
      say: takes a line about what `overwrite` has left.

    Raises:
      HyperForgetError: another config's workdir (names the fields that differ), one of an older format, a folder that is no run,
        another process at work there, no permission to write, too little space for what the run will store.
    """
    folder = workdir_path(config)
    if is_purged(folder):
        raise HyperForgetError(
            f"{folder} has been purged, and what saw the classes is not all removed yet: call `hyperforget purge` again, to its end"
        )
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "no permission", str(folder))
        if jax.process_index() > 0:
            _claim(folder, config, say)
            return
        theirs = _recorded(folder) if config.overwrite else None
        removes = theirs is not None and bool(_refusal(folder, theirs, config))
        with locks.hold(folder, shared=shared and not removes):
            _claim(folder, config, say)
        if shared and removes:
            hold_run(folder, shared=True)


def hold_run(folder: Path, *, shared: bool = False) -> None:
    """Keeps other processes from working in a finished run until the end of the `locks.scope` around this call.

    Args:
      folder: its workdir.
      shared: whether others may ask things of it too.

    Raises:
      HyperForgetError: another process is at work on it, no permission to write.
    """
    with artifacts.writing_errors(folder), locks.hold(folder, shared=shared):
        pass


def _claim(folder: Path, config: Config, say: Callable[[str], None]) -> None:
    """Writes down in a workdir whose it is, after what another config has left is removed, if that is asked for."""
    theirs = _recorded(folder)
    # another part of the same zoo may be writing its config at this moment
    ours = (f"{CONFIG}.partial", locks.LOCK)
    if theirs is None and any(not path.name.startswith(ours) for path in folder.iterdir()):
        raise HyperForgetError(f"{folder} is not empty and not a run: choose another workdir")
    if theirs is not None and (refusal := _refusal(folder, theirs, config)):
        if not config.overwrite:
            raise HyperForgetError(
                f"{refusal}: choose another workdir, or set overwrite to delete what that run has made"
            )
        overwrite.validate_place(folder)
        kept = ["zoo"] if _same_zoo(theirs, config) and (folder / "zoo").is_dir() else []
        left = overwrite.remove(folder, CONFIG, kept)
        if kept:
            say(f"overwrite: {folder / 'zoo'} is kept, which the changed fields do not decide")
        if left:
            say(f"overwrite: left as no run's work: {', '.join(left)} in {folder}")
        theirs = None
    zoo = zoo_path(config)
    disk = next(above for above in (zoo, *zoo.parents) if above.exists())
    needed, free = _zoo_bytes(config), shutil.disk_usage(disk).free
    if needed > free and not theirs and not zoo.exists():
        raise HyperForgetError(
            f"{disk} has {free / 1e9:.1f} GB free, this zoo may need {needed / 1e9:.1f} GB: "
            f"free some space, choose another workdir or zoo.folder, or lower zoo.runs to {int(config.zoo.runs * free / needed)}"
        )
    record(folder, config)


def _same_zoo(record: dict[str, Any], config: Config) -> bool:
    """Whether a run's record tells of the zoo that a config asks for."""
    theirs = record.get("identity", {})
    return all(theirs.get(name) == value for name, value in artifacts.as_json(zoo_identity(config)).items())


def record(folder: Path, config: Config) -> None:
    """Writes down what a folder is the run of."""
    flat = {name: value for name, value in flatten(config).items() if name not in OF_THIS_CALL}
    told = {"format": FORMAT, "identity": identity(config), "config": flat}
    artifacts.write_text(folder / CONFIG, json.dumps(records.sealed(told), indent=2))


def beside(folder: Path) -> Path:
    """Where the purged system of a run is built."""
    return folder.with_name(f"{folder.name}.purge")


def is_purged(folder: Path) -> bool:
    """Whether a purged system is complete and stands beside a run that it takes the place of."""
    return (beside(folder) / CERTIFICATE).is_file()


def current(folder: Path) -> Path:
    """The run that answers for a folder: its purged system from the moment that this is complete, also before it has its place."""
    return beside(folder) if is_purged(folder) else folder


def read_config(folder: Path) -> Config:
    """The config of the run in a folder, which need not be where the run was made.

    Raises:
      HyperForgetError: no run, one of an older format, or a damaged record.
    """
    record = _recorded(folder)
    if record is None:
        raise HyperForgetError(f"{folder} is no run: name the workdir of one, made by `hyperforget run`")
    if refusal := _old_format(folder, record):
        raise HyperForgetError(refusal)
    return unflatten({**record["config"], "workdir": str(folder), "overwrite": False})


def validate_origin(config: Config) -> None:
    """Refuses a config that is not that of the run in its workdir.

    Raises:
      HyperForgetError: names the fields that differ.
    """
    folder = workdir_path(config)
    record = _recorded(folder)
    if record is not None and (refusal := _refusal(folder, record, config)):
        raise HyperForgetError(f"{refusal}: leave them as they were")


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What a run has recorded in a folder; None if no run of this project has.

    Raises:
      HyperForgetError: a run has, and the record is damaged.
    """
    path = folder / CONFIG
    if artifacts.is_complete(folder):
        return None  # a hypernetwork, which has a config too
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    remedy = "restore it from a copy, or choose another workdir"
    found = [key for key in (*STRUCTURE, records.SEAL, *FORMAT_1) if f'"{key}":' in text]
    if found == [*FORMAT_1]:
        return records.read(path, remedy)
    if len(found) < 2 and not overwrite.holds_artifacts(folder):
        return None  # somebody else's
    return records.read(path, remedy, STRUCTURE)


def _refusal(folder: Path, record: dict[str, Any], config: Config) -> str:
    """Why the run in a folder is not that of a config; "" if it is."""
    if old := _old_format(folder, record):
        return old
    differing = differences(record["identity"], artifacts.as_json(identity(config)))
    return f"{folder} was made by another config ({differing})" if differing else ""


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Names and values in which two identities differ, as a person reads them; "" if they do not."""
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name}: {theirs.get(name)} there, {ours.get(name)} here" for name in names)


def _old_format(folder: Path, record: dict[str, Any]) -> str:
    if record.get("format") == FORMAT:
        return ""
    return (
        f"{folder} is a run of format {record.get('format', 1)}, this version reads {FORMAT}: "
        "make it again with `hyperforget run --config NAME` in another workdir"
    )


def _zoo_bytes(config: Config) -> int:
    """Bytes of the zoo on disk, at most (the snapshots that chance selects vary by less than the pivots turn away)."""
    info = data.describe(config.data)
    sizes = (info.input_size, *config.classifier.hidden, len(config.data.classes or info.labels))
    share = 1.0 if config.zoo.loss_shift_threshold is not None else sum(config.zoo.selection_probability) / 2
    checkpoint = num_weights(sizes) * WEIGHT_BYTES[config.zoo.dtype] + (3 * sizes[-1] + 3) * 4
    return round(config.zoo.runs * config.zoo.snapshots * share * checkpoint)
