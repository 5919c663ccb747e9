"""The copy that tensorflow-datasets has prepared, read from array_record files without TensorFlow.

tensorflow-datasets shuffles the images when it prepares them: the order is not the official one, and the images that are held out
for validation differ from those of the IDX files. Compare results only between runs on the same source.
"""

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from hyperforget_jax.data.registry import Labelled, Source
from hyperforget_jax.errors import HyperForgetError

REMEDY = (
    "run once with a network connection and the extra `pip install -e '.[tfds]'`, "
    "or set data.dir to a folder with the four IDX files"
)


@contextlib.contextmanager
def explained(failure: str, remedy: str) -> Iterator[None]:
    """Turns whatever tensorflow-datasets raises (it documents little of it) into one line with its remedy."""
    try:
        yield
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise HyperForgetError(f"{failure} ({type(error).__name__}: {reason}): {remedy}") from error


def read(name: str) -> Source:
    """Reads a dataset from TFDS_DATA_DIR (default ~/tensorflow_datasets), and prepares it there first if it can.

    Only preparing needs TensorFlow and the model; without TensorFlow nothing is downloaded or written.

    Args:
      name: mnist or fashion_mnist.

    Returns:
      60,000 training and 10,000 test images; pixels from 0 to 255.

    Raises:
      HyperForgetError: nothing is prepared and it cannot be done now, or what is there cannot be read.
    """
    # Imported here, not above: it is slow to import, and digits and IDX files do without it.
    import tensorflow_datasets as tfds

    other_copy = f"delete it or set TFDS_DATA_DIR to another folder, then {REMEDY}"
    with explained(f"tensorflow-datasets cannot use its copy of {name}", other_copy):
        builder = tfds.builder(name, file_format="array_record")
        is_prepared = builder.is_prepared()
    if not is_prepared:
        if importlib.util.find_spec("tensorflow") is None:
            raise HyperForgetError(
                f"{name} is not prepared in {builder.data_dir}, and preparing it needs TensorFlow, which is not installed: {REMEDY}"
            )
        with explained(f"{name} could not be prepared in {builder.data_dir}", REMEDY):
            builder.download_and_prepare()
    with explained(f"{name} in {builder.data_dir} cannot be read", other_copy):
        return Source(read_split(builder, "train"), read_split(builder, "test"), white=255)


def read_split(builder: Any, split: str) -> Labelled:
    """Reads all images of one split in one batch, which is several times faster than one by one.

    Args:
      builder: a prepared `tfds.core.DatasetBuilder` of 28x28x1 images with labels.
      split: train or test.

    Returns:
      The images in the order of the files.
    """
    records = builder.as_data_source(split=split)
    rows = records.__getitems__(range(len(records)))
    pixels = np.stack([row["image"][..., 0] for row in rows])  # [n, 28, 28]
    return Labelled(pixels, np.asarray([row["label"] for row in rows], np.int32))
