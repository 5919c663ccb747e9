"""The four official IDX files of MNIST and Fashion-MNIST, read from a folder in the official order.

Damage that shows in a file's structure is named as such; all other damage is found by its checksum. The format: two zero bytes, a
type code (8: uint8), the number of dimensions, one big-endian uint32 per dimension, and the values (http://yann.lecun.com/exdb/mnist/).
"""

import difflib
import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperforget_jax.data.source import Info, Labelled, Source
from hyperforget_jax.errors import HyperForgetError

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
UINT8 = 8
INFO = Info(labels=tuple(range(10)), num_train=60_000, input_shape=(28, 28))

REMEDY = (
    "download it again (MNIST: https://ossci-datasets.s3.amazonaws.com/mnist/ , "
    "Fashion-MNIST: http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/ )"
)

CHECKSUMS = {
    "mnist": {
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
"""SHA-256 of what every official file holds, unzipped: it is the same whoever compressed it."""
LARGEST = 16 + 60_000 * 28 * 28
"""Bytes of the largest official file, unzipped."""
SUBFOLDERS = (".", "raw", "MNIST/raw", "FashionMNIST/raw")
"""Where the files lie below a folder; torchvision makes the others."""


def locate(folder: Path) -> dict[str, Path]:
    """Finds the four files, as published (.gz) or unzipped, under the official names or with a dot in place of their last dash but one.

    Args:
      folder: where they lie, or the folder that torchvision was given.

    Returns:
      The path of each of `FILES`; all are in one folder.

    Raises:
      HyperForgetError: the folder or one of the files is missing.
    """
    if not folder.is_dir():
        raise HyperForgetError(
            f"{folder} is not a folder: set data.dir to the folder that holds the four IDX files ({FILES[0]}.gz, …)"
        )
    places = [{name: path for name in FILES if (path := _find(folder / part, name))} for part in SUBFOLDERS]
    paths = max(places, key=len)
    for name in FILES:
        if name not in paths:
            raise HyperForgetError(
                f"{folder / name}.gz is missing (and so is {name}){_nearest(folder, name, paths)}: {REMEDY}"
            )
    return paths


def _find(folder: Path, name: str) -> Path | None:
    """A file under one of its names."""
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / f"{each}{ending}" for each in (name, dotted) for ending in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)


def _nearest(folder: Path, name: str, found: dict[str, Path]) -> str:
    """What stands there under a name like that of a missing file, as part of a line; "" if nothing does."""
    others = [path.name for path in folder.iterdir() if path not in found.values()]
    near = difflib.get_close_matches(name, others, n=1)
    return f"; there is {near[0]}, rename it if it is that one" if near else ""


def parse(content: bytes, dimensions: int) -> npt.NDArray[np.uint8]:
    """Reads one IDX array of unsigned bytes, without copying it.

    Args:
      content: the unzipped file.
      dimensions: how many the array must have: 3 for images, 1 for labels.

    Returns:
      A read-only view of `content`, in the shape that its header tells.

    Raises:
      ValueError: the header or the number of values is wrong; the text says how.
    """
    header = 4 + 4 * dimensions
    expected_magic = bytes((0, 0, UINT8, dimensions))
    if content[:4] != expected_magic:
        raise ValueError(f"magic number is 0x{content[:4].hex()}, expected 0x{expected_magic.hex()}")
    if len(content) < header:
        raise ValueError(f"has {len(content)} bytes, its header alone takes {header}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    if len(content) - header != math.prod(shape):
        raise ValueError(f"holds {len(content) - header} values, its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def unpack(path: Path) -> bytes:
    """What a file holds, unzipped if its name ends in .gz; never more than the largest official file.

    Raises:
      HyperForgetError: it cannot be read, is damaged or too large; the line names it.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HyperForgetError(f"{path} is truncated or corrupt ({error}): {REMEDY}") from error
    except OSError as error:
        raise HyperForgetError(f"{path} cannot be read ({error.strerror}): make it readable for you") from error
    if len(content) > LARGEST:
        raise HyperForgetError(
            f"{path} holds more than {LARGEST} bytes, the size of the largest official file: {REMEDY}"
        )
    return content


def read_array(path: Path, dimensions: int, official: str) -> npt.NDArray[np.uint8]:
    """Reads one file, zipped or not, and holds what it contains against the official checksum.

    Args:
      path: the file; it is unzipped if its name ends in .gz.
      dimensions: 3 for images, 1 for labels.
      official: SHA-256 of the content of the official file, in hexadecimal.

    Returns:
      [n, height, width] or [n], read-only.

    Raises:
      HyperForgetError: the file cannot be read or is not the official one; the line names it, and what it is instead.
    """
    content = unpack(path)
    try:
        values = parse(content, dimensions)
    except ValueError as error:
        raise HyperForgetError(f"{path} is no such IDX file ({error}): {REMEDY}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != official:
        for name, files in CHECKSUMS.items():
            for file_name, checksum in files.items():
                if found == checksum:
                    raise HyperForgetError(
                        f"{path} is {file_name} of {name}: set data.name to {name}, or data.dir to another folder"
                    )
        raise HyperForgetError(
            f"{path}: SHA-256 of what it holds is {found}, the official file's is {official}: {REMEDY}"
        )
    return values


def read(name: str, folder: Path) -> Source:
    """Reads a dataset from its four files.

    Args:
      name: mnist or fashion_mnist; it decides which checksums are expected.
      folder: where the files lie.

    Returns:
      60,000 training and 10,000 test images in the official order; pixels from 0 to 255.

    Raises:
      HyperForgetError: a file is missing, damaged or not the official one.
    """
    paths = locate(folder)

    def array(file: str, dimensions: int) -> npt.NDArray[np.uint8]:
        return read_array(paths[file], dimensions, CHECKSUMS[name][file])

    pairs = ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS))
    train, test = (Labelled(array(images, 3), array(labels, 1).astype(np.int32)) for images, labels in pairs)
    return Source(train, test, white=255)
