"""Every dataset that a `DataConfig` can name: where it comes from, what is known of it before it is read, and what identifies it."""

import difflib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import arrays, digits, idx, tfds
from hyperforget_jax.data.source import Info, Source
from hyperforget_jax.errors import HyperForgetError

NAMES = ("digits", "mnist", "fashion_mnist", "arrays", "tfds:NAME")


class Origin(NamedTuple):
    """Where a dataset comes from.

    Attributes:
      describe: what is known of it before its images are read.
      read: reads all of it.
      identify: what decides its content, wherever it is stored, in fields of `DataConfig`.
    """

    describe: Callable[[], Info]
    read: Callable[[], Source]
    identify: Callable[[], dict[str, object]] = dict


def origin(config: DataConfig) -> Origin:
    """Finds where a dataset comes from; a new dataset is one more branch.

    Raises:
      HyperForgetError: unknown name, no file where one is needed, a folder or file that the dataset does not use.
    """
    kind, _, name = config.name.partition(":")
    if config.name == "digits":
        _unused(config, dir="digits are embedded", file="digits are embedded")
        return Origin(lambda: digits.INFO, digits.read)
    if config.name in idx.CHECKSUMS:
        _unused(config, file=f"{config.name} is read from data.dir")
        if config.dir is None:
            return Origin(lambda: idx.INFO, partial(tfds.read, config.name, tfds.REMEDY + tfds.IDX_REMEDY))
        folder = Path(config.dir).expanduser()
        # the same in every folder; tensorflow-datasets has another order, and so other splits
        return Origin(
            lambda: idx.INFO,
            partial(idx.read, config.name, folder),
            lambda: {"dir": "IDX files"},
        )
    if config.name == "arrays":
        _unused(config, dir="arrays are read from data.file")
        if config.file is None:
            raise HyperForgetError("data.file is not set: arrays need a .npz or .safetensors file")
        path = Path(config.file).expanduser()
        return Origin(
            partial(arrays.describe, path),
            partial(arrays.read, path),
            lambda: {"file": f"SHA-256 {arrays.checksum(path)}"},
        )
    if kind == "tfds" and name:
        _unused(config, dir="TFDS_DATA_DIR names the folder", file="TFDS_DATA_DIR names the folder")
        return Origin(
            lambda: tfds.describe(name)[0],
            partial(tfds.read, name),
            lambda: {"name": f"tfds:{tfds.describe(name)[1]}"},
        )
    close = difflib.get_close_matches(config.name, NAMES, n=1)
    suggestion = f"did you mean {close[0]}? " if close else ""
    raise HyperForgetError(f"data.name {config.name!r} is unknown: {suggestion}Known are {', '.join(NAMES)}")


def _unused(config: DataConfig, **reasons: str) -> None:
    for field, reason in reasons.items():
        if value := getattr(config, field):
            raise HyperForgetError(
                f"data.{field} {value} has no use: {reason}; leave it out, or choose another data.name"
            )


def describe(config: DataConfig) -> Info:
    """What is known of a dataset before its images are read.

    Raises:
      HyperForgetError: see `origin`; or a folder or file is missing, or its headers or labels cannot be used.
    """
    return origin(config).describe()


def read(config: DataConfig) -> Source:
    """Reads a whole dataset, unsplit and with original labels.

    Raises:
      HyperForgetError: it is absent or damaged.
    """
    return origin(config).read()


def resolve(config: DataConfig) -> DataConfig:
    """The same config with its classes named: all labels of the dataset if it names none."""
    return config if config.classes else replace(config, classes=describe(config).labels)


def identity(config: DataConfig) -> dict[str, object]:
    """What decides the three splits, wherever the data are stored: one file or one version is the same everywhere.

    Returns:
      JSON-ready values of the fields of `DataConfig` that matter to the dataset.
    """
    fields: dict[str, object] = {
        "name": config.name,
        "dir": None,
        "classes": list(resolve(config).classes),
        "validation_size": config.validation_size,
    }
    standardised = {"standardise": True} if config.standardise else {}
    return fields | origin(config).identify() | standardised


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
        idx.locate(Path(config.dir).expanduser())
    for label, count in Counter(config.classes).items():
        if label not in info.labels:
            raise HyperForgetError(
                f"data.classes {config.classes} holds {label}: the labels of {config.name} are {_listed(info.labels)}; "
                "no class at all takes all of them"
            )
        if count > 1:
            raise HyperForgetError(
                f"data.classes {config.classes} holds {label} {count} times: name each class once"
            )
    if len(config.classes) == 1:
        raise HyperForgetError(f"data.classes {config.classes} is too short: name at least two classes")
    if not 1 <= config.validation_size < info.num_train:
        raise HyperForgetError(
            f"data.validation_size {config.validation_size} is out of range: {config.name} allows 1 to {info.num_train - 1} images"
        )
    return info


def _listed(labels: tuple[int, ...]) -> str:
    if labels == tuple(range(labels[0], labels[-1] + 1)):
        return f"{labels[0]} to {labels[-1]}"
    return ", ".join(map(str, labels[:20])) + (", …" if len(labels) > 20 else "")
