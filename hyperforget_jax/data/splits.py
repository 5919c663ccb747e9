"""The splits of the chosen classes: train, validation and distillation (both held out of the training images), and test.

The held-out images are drawn from ALL training images, by one fixed permutation, before the classes are chosen. So MNIST-4 is a subset
of MNIST split by split, and no seed changes what a model may have seen.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import registry
from hyperforget_jax.data.source import Array, Info, Labelled, Preprocessing, hold_out
from hyperforget_jax.errors import HyperForgetError

VALIDATION_SIZES = {"digits": 360, "mnist": 5000, "fashion_mnist": 5000}
"""Images that `load_dataset` holds out of a known dataset unless it is told another number."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their classes.

    Attributes:
      images: [n, d], float32, row by row; in [0, 1] unless they were stored as floats or standardised.
      labels: [n], int32: the POSITION of the label in `Dataset.classes`, which is the classifier's output.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The chosen classes of one dataset.

    Attributes:
      name: as people call it: mnist, mnist4 (classes 0 to 3), mnist-357, arrays:letters.
      classes: original labels, in the order of the classifier's outputs.
      class_names: of `classes`, in their order; None: they have no names.
      input_shape: of one image, such as (28, 28), or (d,) of feature vectors.
      train: what models learn from.
      validation: held out of the training images, for the zoo's class losses, prompts and selection.
      distillation: likewise, for the losses that a student of the hypernetwork learns from, and for nothing else; it may be empty.
      test: for reported numbers only.
      config: which images, classes and splits these are.
      preprocessing: how the images were made from stored ones.
    """

    name: str
    classes: tuple[int, ...]
    class_names: tuple[str, ...] | None
    input_shape: tuple[int, ...]
    train: Split
    validation: Split
    distillation: Split
    test: Split
    config: DataConfig
    preprocessing: Preprocessing

    @property
    def num_classes(self) -> int:
        """Outputs K of a classifier."""
        return len(self.classes)

    @property
    def input_size(self) -> int:
        """Inputs d of a classifier: pixels of an image."""
        return math.prod(self.input_shape)

    def without(self, labels: Iterable[int]) -> "Dataset":
        """The same data, from which nothing of some classes' images can be learned.

        Args:
          labels: original labels.

        Returns:
          In train their images are 0, at their places, so that minibatches stay as they were; validation and distillation have none of
          them; test, which only reported numbers see, is as it was.

        Raises:
          HyperForgetError: a label does not take part.
        """
        gone = list(self.positions(labels))
        blank = np.where(np.isin(self.train.labels, gone)[:, None], np.float32(0.0), self.train.images)  # [n, d]
        validation, distillation = (_without(split, gone) for split in (self.validation, self.distillation))
        return replace(self, train=Split(blank, self.train.labels), validation=validation, distillation=distillation)

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


def load(config: DataConfig) -> Dataset:
    """Reads a dataset, holds the validation and distillation images out, then chooses the classes.

    Args:
      config: dataset, classes and split.

    Returns:
      The splits; the images of each keep the order of their source.

    Raises:
      HyperForgetError: see `registry.validate_data`; or the source is absent or damaged, or a class has too few images: fewer than 2
        to train on, none to test, or none left in a split.
    """
    info = registry.validate_data(config)
    classes = config.classes or info.labels
    source = registry.origin(config).read()
    for label in classes:
        num_train, num_test = (np.count_nonzero(part.labels == label) for part in (source.train, source.test))
        if num_train < 2 or num_test < 1:
            raise HyperForgetError(
                f"class {label} of {config.file or config.name} has {num_train} training and {num_test} test images: "
                "give it at least 2 and 1, or leave it out of data.classes"
            )
    total, held_out = len(source.train.labels), config.validation_size + config.distillation_size
    _, of_validation = hold_out(total, config.validation_size, source.train.labels)
    kept, held = hold_out(total, held_out, source.train.labels)
    training, validation, distillation = (
        Labelled(*(part[rows] for part in source.train))
        for rows in (kept, of_validation, np.setdiff1d(held, of_validation))
    )
    beside = f" with data.distillation_size {config.distillation_size}" if config.distillation_size else ""
    for part, labelled in (("training", training), ("validation", validation)):
        absent = set(classes) - set(labelled.labels.tolist())
        if absent:
            raise HyperForgetError(
                f"data.validation_size {config.validation_size}{beside} leaves no {part} image of class {min(absent)}: "
                f"choose a size from {len(info.labels)} to {info.num_train - config.distillation_size - len(info.labels)}"
            )
    splits = (training, validation, distillation, source.test)
    train, *others = (choose(each, classes, source.white) for each in splits)
    preprocessing = Preprocessing(source.white)
    if config.standardise:
        shift, scale = standardisation(train)
        preprocessing = Preprocessing(source.white, shift, scale)
        train, *others = (standardise(each, shift, scale) for each in (train, *others))
    names = dict(zip(info.labels, info.class_names, strict=True)) if info.class_names else None
    return Dataset(
        name=short_name(config, info),
        classes=classes,
        class_names=tuple(names[label] for label in classes) if names else None,
        input_shape=source.test.inputs.shape[1:],
        train=train,
        validation=others[0],
        distillation=others[1],
        test=others[2],
        config=registry.resolve(config),
        preprocessing=preprocessing,
    )


def load_dataset(
    name: str = "digits",
    *,
    classes: Iterable[int] | None = None,
    validation_size: int | None = None,
    dir: str | Path | None = None,
    file: str | Path | None = None,
    standardise: bool = False,
) -> Dataset:
    """Loads a dataset with its splits.

    Args:
      name: digits (embedded), mnist, fashion_mnist, arrays (your own file), or tfds:NAME for any image classification set of
        tensorflow-datasets.
      classes: labels that take part, in the order of the classifier's outputs; None: all, in rising order.
      validation_size: images held out of the training images, before the choice of classes; None: 360 of digits, 5,000 of mnist
        and fashion_mnist, of others a tenth, but at least one for each label.
      dir: folder of the four IDX files of mnist or fashion_mnist; None: the copy that tensorflow-datasets has prepared.
      file: .npz or .safetensors with x_train, y_train, x_test, y_test and optional class_names; for `arrays` only.
      standardise: whether every input is shifted and scaled to mean 0 and variance 1 on the training images.

    Returns:
      Images [n, d] in float32 and labels [n], positions in `classes`.

    Raises:
      HyperForgetError: unknown name or class, data absent, damaged or unfit, a class with too few images.

    Example:
      >>> data = load_dataset("digits", classes=range(4))
      >>> data.classes, data.input_shape, data.train.images.shape
      ((0, 1, 2, 3), (8, 8), (391, 64))

      Your own arrays; labels are any integers:

      >>> import tempfile
      >>> inputs, labels = np.random.default_rng(0).normal(size=(90, 5)), np.tile([7, -3, 40], 30)
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     file = f"{folder}/mine.npz"
      ...     np.savez(file, x_train=inputs[:60], y_train=labels[:60], x_test=inputs[60:], y_test=labels[60:])
      ...     data = load_dataset("arrays", file=file, classes=(40, 7))
      >>> data.name, data.positions([7]), data.validation.images.shape
      ('arrays:mine-40,7', (1,), (5, 5))
    """
    config = DataConfig(
        name=name,
        dir=None if dir is None else str(dir),
        file=None if file is None else str(file),
        classes=tuple(classes or ()),
        standardise=standardise,
    )
    if validation_size is None:
        validation_size = VALIDATION_SIZES.get(name)
    if validation_size is None:
        info = registry.describe(config)
        validation_size = max(info.num_train // 10, len(info.labels))
    return load(replace(config, validation_size=validation_size))


def _without(split: Split, positions: list[int]) -> Split:
    kept = ~np.isin(split.labels, positions)  # [n]
    return Split(split.images[kept], split.labels[kept])


def short_name(config: DataConfig, info: Info) -> str:
    """A dataset as people call it, with its classes unless it has all of them."""
    name = config.name if config.file is None else f"{config.name}:{Path(config.file).stem}"
    classes = config.classes or info.labels
    if set(classes) == set(info.labels):
        return name
    if classes == tuple(range(len(classes))):
        return f"{name}{len(classes)}"
    return f"{name}-" + ("" if set(classes) <= set(range(10)) else ",").join(map(str, classes))


def choose(labelled: Labelled, classes: tuple[int, ...], white: int) -> Split:
    """Keeps the images of some classes and relabels them by position.

    Args:
      labelled: images of all classes.
      classes: original labels to keep, in the order of the classifier's outputs.
      white: the pixel value that becomes 1.

    Returns:
      The chosen images in their order.
    """
    positions = np.full(len(labelled.labels), -1, np.int32)  # -1 where not chosen
    for position, label in enumerate(classes):
        positions[labelled.labels == label] = position
    chosen = positions >= 0
    inputs = labelled.inputs[chosen].reshape(np.count_nonzero(chosen), math.prod(labelled.inputs.shape[1:]))
    return Split(np.divide(inputs, white, dtype=np.float32), positions[chosen])


def standardisation(train: Split) -> tuple[Array, Array]:
    """Shift [d] and scale [d] to mean 0 and variance 1 on the training images; an input that is constant there is only shifted."""
    images = train.images
    mean, deviation = images.mean(0, dtype=np.float64), images.std(0, dtype=np.float64)
    return mean, np.where(images.max(0) == images.min(0), 1.0, deviation)


def standardise(split: Split, shift: Array, scale: Array) -> Split:
    """Shifts and scales the images of a split.

    Raises:
      HyperForgetError: an input varies so little on the training images that others become infinite.
    """
    with np.errstate(over="ignore"):
        images = ((split.images - shift) / scale).astype(np.float32)
    if not np.isfinite(images).all():
        raise HyperForgetError(
            "data.standardise makes inputs infinite, since some hardly vary in training: take them out"
        )
    return Split(images, split.labels)
