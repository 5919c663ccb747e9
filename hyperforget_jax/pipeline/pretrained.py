"""A trained hypernetwork in one folder that answers requests by itself: no zoo and no other config is needed.

config.json                  format, the whole config, what the classes are
model.safetensors            averaged parameters of the transformer
codec.safetensors            tokens to weights
conditioning.safetensors     standardisation of the condition
prompt_book.safetensors      of every forget set the candidate prompts, what they scored on validation, and the one that is used
zoo_statistics.safetensors   of the zoo's training part, from which prompts are built: losses, accuracies, exposures, progress and run
manifest.json                versions, bytes and SHA-256 of every file
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from hyperforget_jax.config import Config, flatten, unflatten
from hyperforget_jax.diffusion import serialization
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import prompt_book
from hyperforget_jax.unlearn.prompt_book import PromptBook
from hyperforget_jax.zoo import statistics
from hyperforget_jax.zoo.statistics import ZooStatistics

FORMAT = 4
CONFIG = "config.json"
OLD_PARAMETERS = "params.npz"
"""The parameters of format 1, which had no config of its own."""


@dataclass(frozen=True)
class DataInfo:
    """What a hypernetwork's classifiers take and answer.

    Attributes:
      name: of the dataset, as in results.
      classes: labels, in the order of the classifier's outputs.
      class_names: names of these labels; None: they have none.
      input_shape: of one example.
    """

    name: str
    classes: tuple[int, ...]
    class_names: tuple[str, ...] | None
    input_shape: tuple[int, ...]


@dataclass(frozen=True)
class Pretrained:
    """Everything that a request needs.

    Attributes:
      hypernetwork: the trained transformer with its codec and its conditioning.
      config: the setting it was trained with.
      data: inputs and outputs of its classifiers.
      sizes: width of every layer of a classifier.
      statistics: of the checkpoints of the zoo's training part.
      book: prompts of the forget sets that were judged when training ended.
    """

    hypernetwork: Hypernetwork
    config: Config
    data: DataInfo
    sizes: tuple[int, ...]
    statistics: ZooStatistics
    book: PromptBook


def save(folder: Path, model: Pretrained, dtype: DTypeLike = np.float32) -> None:
    """Writes all files but the manifest into a folder, usually that of `artifacts.new_artifact`.

    Args:
      folder: to write into.
      model: the hypernetwork.
      dtype: of its parameters on disk.
    """
    about = {"format": FORMAT, "config": flatten(model.config), "data": asdict(model.data), "sizes": model.sizes}
    artifacts.write_text(folder / CONFIG, json.dumps(about, indent=2) + "\n")
    serialization.save(model.hypernetwork, folder, dtype)
    statistics.save(model.statistics, folder)
    prompt_book.save(model.book, folder)


def load(folder: Path) -> Pretrained:
    """Reads a folder after every file has been held against its checksum.

    Raises:
      HyperForgetError: no such folder, an older format, a file missing or damaged; names the file and the remedy.
    """
    if (folder / OLD_PARAMETERS).exists():
        raise HyperForgetError(
            f"{folder} has format 1, this version reads {FORMAT}: make it again with `hyperforget run --config NAME` in a new workdir"
        )
    if not artifacts.is_complete(folder):
        raise HyperForgetError(
            f"{folder} holds no trained hypernetwork: train one with `hyperforget run --config NAME`"
        )
    artifacts.verify(folder)
    about: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise HyperForgetError(
            f"{folder} has format {about['format']}, this version reads {FORMAT}: "
            "install the version that made it, or make it again with `hyperforget run --config NAME`"
        )
    config, data = unflatten(about["config"]), about["data"]
    names = data["class_names"]
    info = DataInfo(
        data["name"], tuple(data["classes"]), None if names is None else tuple(names), tuple(data["input_shape"])
    )
    hypernetwork = serialization.load(folder, config.hypernetwork, config.diffusion)
    return Pretrained(
        hypernetwork, config, info, tuple(about["sizes"]), statistics.load(folder), prompt_book.load(folder)
    )
