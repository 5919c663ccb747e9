"""Image classification sets that tensorflow-datasets serves, read from its array_record files without TensorFlow.

tensorflow-datasets shuffles the images when it prepares them: the order is not the official one, and the images that are held out
for validation differ from those of the IDX files. Compare results only between runs on the same source.
"""

import contextlib
import functools
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from hyperforget_jax.data.source import Info, Labelled, Source
from hyperforget_jax.errors import HyperForgetError

REMEDY = "run once with a network connection and the extra `pip install -e '.[tfds]'`"
IDX_REMEDY = ", or set data.dir to a folder with the four IDX files"
SPLITS = ("train", "test")


@contextlib.contextmanager
def explained(failure: str, remedy: str) -> Iterator[None]:
    """Turns whatever tensorflow-datasets raises (it documents little of it) into one line with its remedy."""
    try:
        yield
    except HyperForgetError:
        raise
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise HyperForgetError(f"{failure} ({type(error).__name__}: {reason}): {remedy}") from error


def prepared(name: str, remedy: str = REMEDY) -> Any:
    """Opens a dataset in TFDS_DATA_DIR (default ~/tensorflow_datasets), and prepares it there first if it can.

    Only preparing needs TensorFlow and the network; without TensorFlow nothing is downloaded or written.

    Args:
      name: as tensorflow-datasets calls it, such as kmnist or emnist/letters.
      remedy: what helps if it cannot be prepared.

    Returns:
      A prepared `tfds.core.DatasetBuilder`.

    Raises:
      HyperForgetError: nothing is prepared and it cannot be done now, or there is no such dataset.
    """
    # Imported here, not above: it is slow to import, and digits, IDX files and arrays do without it.
    import tensorflow_datasets as tfds

    other_copy = f"check the name, or delete the copy or set TFDS_DATA_DIR to another folder, then {remedy}"
    with explained(f"tensorflow-datasets cannot use its copy of {name}", other_copy):
        builder = tfds.builder(name, file_format="array_record")
        is_prepared = builder.is_prepared()
    if not is_prepared:
        if importlib.util.find_spec("tensorflow") is None:
            raise HyperForgetError(
                f"{name} is not prepared in {builder.data_dir}, and preparing it needs TensorFlow, which is not installed: {remedy}"
            )
        with explained(f"{name} could not be prepared in {builder.data_dir}", remedy):
            builder.download_and_prepare()
    return builder


@functools.lru_cache(maxsize=8)
def describe(name: str) -> Info:
    """What the builder tells of a dataset.

    Raises:
      HyperForgetError: see `prepared`; or it is no image classification set with the splits train and test.
    """
    builder = prepared(name)
    with explained(f"tensorflow-datasets tells too little of {name}", "choose an image classification set"):
        info, features = builder.info, builder.info.features
        if not {"image", "label"} <= set(features) or not getattr(features["label"], "num_classes", None):
            raise HyperForgetError(
                f"tfds:{name} has {', '.join(features)}: choose a set with the features image and label (a class)"
            )
        if missing := [split for split in SPLITS if split not in info.splits]:
            raise HyperForgetError(f"tfds:{name} has no split {missing[0]}: choose a set with {' and '.join(SPLITS)}")
        *shape, channels = features["image"].shape
        if None in (*shape, channels):
            raise HyperForgetError(f"the images of tfds:{name} differ in size: choose a set of equal images")
        names = tuple(features["label"].names or ()) or None
        labels, num_train = range(features["label"].num_classes), info.splits["train"].num_examples
        size = (*shape, channels) if channels > 1 else tuple(shape)
        return Info(tuple(labels), num_train, size, names, info.full_name)


def read(name: str, remedy: str = REMEDY) -> Source:
    """Reads a dataset, which is prepared first if it can be.

    Args:
      name: as tensorflow-datasets calls it.
      remedy: what helps if it cannot be prepared.

    Returns:
      Its training and test images; pixels from 0 to 255.

    Raises:
      HyperForgetError: see `prepared`; or what is there cannot be read.
    """
    builder = prepared(name, remedy)
    other_copy = f"delete it or set TFDS_DATA_DIR to another folder, then {remedy}"
    with explained(f"{name} in {builder.data_dir} cannot be read", other_copy):
        train, test = (read_split(builder, split) for split in SPLITS)
        if train.inputs.dtype != np.uint8:
            raise HyperForgetError(f"the images of tfds:{name} are {train.inputs.dtype}: choose a set of uint8 images")
        return Source(train, test, white=255)


def read_split(builder: Any, split: str) -> Labelled:
    """Reads all images of one split in one batch, which is several times faster than one by one.

    Args:
      builder: a prepared `tfds.core.DatasetBuilder` of equal images with labels.
      split: train or test.

    Returns:
      The images in the order of the files; one channel is no axis.
    """
    records = builder.as_data_source(split=split)
    rows = records.__getitems__(range(len(records)))
    images = np.stack([row["image"] for row in rows])  # [n, height, width, channels]
    inputs = images[..., 0] if images.shape[-1] == 1 else images
    return Labelled(inputs, np.asarray([row["label"] for row in rows], np.int32))
