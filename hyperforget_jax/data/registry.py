"""Every dataset that a `DataConfig` can name: where it comes from, what is known of it before it is read, and what identifies it."""

import difflib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import arrays, digits, idx, tfds
from hyperforget_jax.data.source import Info, Source
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime.paths import expand

NAMES = ("digits", "mnist", "fashion_mnist", "arrays", "tfds:NAME")
PLACES = {
    "digits": (None, "digits are embedded"),
    "mnist": ("dir", "mnist is read from data.dir"),
    "fashion_mnist": ("dir", "fashion_mnist is read from data.dir"),
    "arrays": ("file", "arrays are read from data.file"),
    "tfds": (None, "TFDS_DATA_DIR names the folder of tensorflow-datasets"),
}
"""The field of `DataConfig` that says where a dataset is stored, and why no other does."""


class Origin(NamedTuple):
    """How a dataset is described before its images are read, and how all of it is read."""

    describe: Callable[[], Info]
    read: Callable[[], Source]


def origin(config: DataConfig) -> Origin:
    """Finds where a dataset comes from; a new dataset is one more branch.

    Raises:
      HyperForgetError: unknown name, no file where one is needed, a folder or file that the dataset does not use.
    """
    kind, _, name = config.name.partition(":")
    if kind not in PLACES or bool(name) != (kind == "tfds"):
        close = difflib.get_close_matches(config.name, NAMES, n=1)
        suggestion = f"did you mean {close[0]}? " if close else ""
        raise HyperForgetError(f"data.name {config.name!r} is unknown: {suggestion}Known are {', '.join(NAMES)}")
    place, reason = PLACES[kind]
    for field in {"dir", "file"} - {place}:
        if value := getattr(config, field):
            raise HyperForgetError(
                f"data.{field} {value} has no use: {reason}; leave it out, or choose another data.name"
            )
    if kind == "digits":
        return Origin(lambda: digits.INFO, digits.read)
    if kind == "tfds":
        return Origin(partial(tfds.describe, name), partial(tfds.read, name))
    if kind == "arrays":
        if config.file is None:
            raise HyperForgetError("data.file is not set: arrays need a .npz or .safetensors file")
        path = expand(config.file, "data.file")
        return Origin(partial(arrays.describe, path), partial(arrays.read, path))
    if config.dir is None:
        return Origin(lambda: idx.INFO, partial(tfds.read, kind, tfds.REMEDY + tfds.IDX_REMEDY))
    return Origin(lambda: idx.INFO, partial(idx.read, kind, expand(config.dir, "data.dir")))


def describe(config: DataConfig) -> Info:
    """What is known of a dataset before its images are read.

    Raises:
      HyperForgetError: see `origin`; or a folder or file is missing, or its headers or labels cannot be used.
    """
    return origin(config).describe()


def resolve(config: DataConfig) -> DataConfig:
    """The same config as it can be recorded: all labels named if it names none, and absolute paths."""
    given = (("data.dir", config.dir), ("data.file", config.file))
    dir, file = (place and str(expand(place, name).absolute()) for name, place in given)
    return replace(config, classes=config.classes or describe(config).labels, dir=dir, file=file)


def identity(config: DataConfig, purged: tuple[int, ...] = ()) -> dict[str, object]:
    """What decides the splits, wherever the data are stored: one file or one version is the same everywhere.

    Args:
      config: the dataset.
      purged: labels whose images do not count: only those of the others identify your own arrays.

    Returns:
      JSON-ready values of the fields of `DataConfig` that matter to the dataset.
    """
    info = describe(config)
    version = {} if info.version is None else {"version": info.version}
    if purged and config.file is not None:
        version = {"version": arrays.version_without(expand(config.file, "data.file"), purged)}
    standardised = {"standardise": True} if config.standardise else {}
    distillation = {"distillation_size": config.distillation_size} if config.distillation_size else {}
    return {
        "name": config.name,
        # IDX files are the same in every folder; tensorflow-datasets has another order, and so other splits
        "dir": config.dir and "IDX files",
        "classes": list(config.classes or info.labels),
        "validation_size": config.validation_size,
        **version,
        **standardised,
        **distillation,
    }


def validate_data(config: DataConfig) -> Info:
    """Refuses what `load` could not do, before any work; reads no image.

    Args:
      config: dataset, classes and split.

    Returns:
      What is known of the dataset.

    Raises:
      HyperForgetError: see `describe`; or an unknown class, a class twice, fewer than two classes, a validation size out of range.
    """
    info = describe(config)
    if config.dir is not None:
        idx.locate(expand(config.dir, "data.dir"))
    for label, count in Counter(config.classes).items():
        if label not in info.labels:
            raise HyperForgetError(
                f"data.classes {config.classes} holds {label}: the labels of {config.name} are {_listed(info.labels)}; "
                "no class at all takes all of them"
            )
        if count > 1:
            raise HyperForgetError(f"data.classes {config.classes} holds {label} {count} times: name each class once")
    if len(config.classes) == 1:
        raise HyperForgetError(f"data.classes {config.classes} is too short: name at least two classes")
    if not 1 <= config.validation_size < info.num_train:
        raise HyperForgetError(
            f"data.validation_size {config.validation_size} is out of range: {config.name} allows 1 to {info.num_train - 1} images"
        )
    if not 0 <= config.distillation_size < info.num_train - config.validation_size:
        raise HyperForgetError(
            f"data.distillation_size {config.distillation_size} is out of range: {config.name} with data.validation_size "
            f"{config.validation_size} allows 0 to {info.num_train - config.validation_size - 1} images"
        )
    return info


def _listed(labels: tuple[int, ...]) -> str:
    if labels == tuple(range(labels[0], labels[-1] + 1)):
        return f"{labels[0]} to {labels[-1]}"
    return ", ".join(map(str, labels[:20])) + (", …" if len(labels) > 20 else "")
