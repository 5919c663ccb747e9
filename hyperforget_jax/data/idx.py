"""The four official IDX files of MNIST and Fashion-MNIST, read from a folder in the official order.

Damage that shows in a file's structure is named as such; all other damage is found by its checksum. The format: two zero bytes, a
type code (8: uint8), the number of dimensions, one big-endian uint32 per dimension, and the values (http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hyperforget_jax.data.source import Info, Labelled, Source
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts

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
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
"""SHA-256 of every official file, as published (.gz) and unzipped."""


def locate(folder: Path) -> dict[str, Path]:
    """Finds the four files, as published (.gz) or unzipped.

    Args:
      folder: where they should lie.

    Returns:
      The path of each of `FILES`.

    Raises:
      HyperForgetError: the folder or one of the files is missing.
    """
    if not folder.is_dir():
        raise HyperForgetError(
            f"{folder} is not a folder: set data.dir to the folder that holds the four IDX files ({FILES[0]}.gz, …)"
        )
    paths = {}
    for name in FILES:
        candidates = (folder / f"{name}.gz", folder / name)
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            raise HyperForgetError(f"{candidates[0]} is missing (and so is {name}): {REMEDY}")
        paths[name] = found
    return paths


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


def read_array(path: Path, dimensions: int, official: str) -> npt.NDArray[np.uint8]:
    """Reads one file, zipped or not, and holds it against the official checksum.

    Args:
      path: the file; it is unzipped if its name ends in .gz.
      dimensions: 3 for images, 1 for labels.
      official: SHA-256 of the official file, in hexadecimal.

    Returns:
      [n, height, width] or [n], read-only.

    Raises:
      HyperForgetError: the file cannot be read or is not the official one; the line names it.
    """
    try:
        stored = path.read_bytes()
        values = parse(gzip.decompress(stored) if path.suffix == ".gz" else stored, dimensions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise HyperForgetError(f"{path} is truncated or corrupt ({error}): {REMEDY}") from error
    except OSError as error:
        raise HyperForgetError(f"{path} cannot be read ({error.strerror}): make it readable for you") from error
    except ValueError as error:
        raise HyperForgetError(f"{path} is no such IDX file ({error}): {REMEDY}") from error
    found = artifacts.checksum(path)
    if found != official:
        raise HyperForgetError(f"{path}: SHA-256 is {found}, the official file's is {official}: {REMEDY}")
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
        return read_array(paths[file], dimensions, CHECKSUMS[name][paths[file].name])

    pairs = ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS))
    train, test = (Labelled(array(images, 3), array(labels, 1).astype(np.int32)) for images, labels in pairs)
    return Source(train, test, white=255)
