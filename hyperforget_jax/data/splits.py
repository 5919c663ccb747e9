"""Three splits of the chosen classes: train, validation (held out of the training images) and test.

The held-out images are drawn from ALL training images, by one fixed permutation, before the classes are chosen. So MNIST-4 is a subset
of MNIST split by split, and no seed changes what a model may have seen.
"""

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import digits, idx, tfds
from hyperforget_jax.data.registry import Labelled, Source, hold_out
from hyperforget_jax.errors import HyperForgetError

TRAINING_SIZES = {"digits": 1348, "mnist": 60_000, "fashion_mnist": 60_000}
"""Training images of each known dataset, before any is held out."""
NUM_LABELS = 10
"""Every known dataset has the labels 0 to 9."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes.

    Attributes:
      images: [n, d], float32 in [0, 1], row by row.
      labels: [n], int32: the POSITION of the label in `Dataset.classes`, which is the classifier's output.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The chosen classes of one dataset.

    Attributes:
      name: digits, mnist or fashion_mnist.
      classes: original labels, in the order of the classifier's outputs.
      image_shape: height and width in pixels.
      train: what models learn from.
      validation: held out of the training images, for the zoo's class losses, prompts and selection.
      test: for reported numbers only.
    """

    name: str
    classes: tuple[int, ...]
    image_shape: tuple[int, int]
    train: Split
    validation: Split
    test: Split

    @property
    def num_classes(self) -> int:
        """Outputs K of a classifier."""
        return len(self.classes)

    @property
    def input_size(self) -> int:
        """Inputs d of a classifier: pixels of an image."""
        return self.image_shape[0] * self.image_shape[1]

    def positions(self, labels: Iterable[int]) -> tuple[int, ...]:
        """Finds the classifier's outputs that belong to original labels.

        Args:
          labels: original labels, such as a forget set.

        Returns:
          The position of each in `classes`.

        Raises:
          HyperForgetError: a label does not take part.
        """
        labels = tuple(labels)
        strangers = [label for label in labels if label not in self.classes]
        if strangers:
            raise HyperForgetError(
                f"class {strangers[0]} does not take part: data.classes is {self.classes}, choose among them or add it"
            )
        return tuple(self.classes.index(label) for label in labels)


def validate_data(config: DataConfig) -> None:
    """Refuses what `load` could not do, before any work; reads no image.

    Args:
      config: dataset, classes and split.

    Raises:
      HyperForgetError: unknown dataset or class, a class twice, fewer than two classes, a validation size
        out of range, a folder or one of its files missing, a folder for a dataset that needs none.
    """
    if config.name not in TRAINING_SIZES:
        close = difflib.get_close_matches(config.name, TRAINING_SIZES, n=1)
        suggestion = f"did you mean {close[0]}? " if close else ""
        raise HyperForgetError(
            f"data.name {config.name!r} is unknown: {suggestion}Known are {', '.join(TRAINING_SIZES)}"
        )
    for label, count in Counter(config.classes).items():
        if label not in range(NUM_LABELS):
            raise HyperForgetError(
                f"data.classes {config.classes} holds {label}: the labels of {config.name} are 0 to {NUM_LABELS - 1}"
            )
        if count > 1:
            raise HyperForgetError(
                f"data.classes {config.classes} holds {label} {count} times: name each class once"
            )
    if len(config.classes) < 2:
        raise HyperForgetError(f"data.classes {config.classes} is too short: name at least two classes")
    most = TRAINING_SIZES[config.name] - 1
    if not 1 <= config.validation_size <= most:
        raise HyperForgetError(
            f"data.validation_size {config.validation_size} is out of range: {config.name} allows 1 to {most} images"
        )
    if config.dir is not None:
        if config.name == "digits":
            raise HyperForgetError(
                f"data.dir {config.dir} has no use: digits are embedded; leave it out, or choose another data.name"
            )
        idx.locate(Path(config.dir).expanduser())


def load(config: DataConfig) -> Dataset:
    """Reads a dataset, holds the validation images out, then chooses the classes.

    Args:
      config: dataset, classes and split.

    Returns:
      The three splits; the images of each keep the order of their source.

    Raises:
      HyperForgetError: see `validate_data`; or the source is absent or damaged, or a class is left without a training or validation
        image.
    """
    validate_data(config)
    source = read(config)
    kept, held = hold_out(len(source.train.labels), config.validation_size)
    training = Labelled(source.train.pixels[kept], source.train.labels[kept])
    validation = Labelled(source.train.pixels[held], source.train.labels[held])
    for part, labelled in (("training", training), ("validation", validation)):
        absent = set(config.classes) - set(labelled.labels.tolist())
        if absent:
            raise HyperForgetError(
                f"data.validation_size {config.validation_size} leaves no {part} image of class {min(absent)}: "
                f"choose a size further from the ends of 1 to {TRAINING_SIZES[config.name] - 1}"
            )
    _, height, width = source.test.pixels.shape
    return Dataset(
        name=config.name,
        classes=config.classes,
        image_shape=(height, width),
        train=choose(training, config.classes, source.white),
        validation=choose(validation, config.classes, source.white),
        test=choose(source.test, config.classes, source.white),
    )


def read(config: DataConfig) -> Source:
    """Reads all images from where the config points.

    Args:
      config: a checked config; only `name` and `dir` matter here.

    Returns:
      The whole dataset, unsplit and with original labels.
    """
    if config.name == "digits":
        return digits.read()
    if config.dir is None:
        return tfds.read(config.name)
    return idx.read(config.name, Path(config.dir).expanduser())


def choose(labelled: Labelled, classes: tuple[int, ...], white: int) -> Split:
    """Keeps the images of some classes and relabels them by position.

    Args:
      labelled: images of all classes.
      classes: original labels to keep, in the order of the classifier's outputs.
      white: the pixel value that becomes 1.

    Returns:
      The chosen images in their order.
    """
    position = np.full(NUM_LABELS, -1, np.int32)
    position[list(classes)] = np.arange(len(classes), dtype=np.int32)
    labels = position[labelled.labels]  # [n], -1 where not chosen
    chosen = labels >= 0
    pixels = labelled.pixels[chosen].reshape(np.count_nonzero(chosen), -1)
    return Split(np.divide(pixels, white, dtype=np.float32), labels[chosen])
