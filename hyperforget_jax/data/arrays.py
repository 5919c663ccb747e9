"""Your own arrays, from one file: x_train, y_train, x_test, y_test and optional class_names and scale, as .npz or .safetensors.

Nothing is ever unpickled. Types and shapes are read from the file's headers and checked before any array is.
"""

import contextlib
import functools
import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
import safetensors

from hyperforget_jax.data.source import Array, Info, Labelled, Source
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
NAMES = "class_names"
SCALE = "scale"
"""What int8 inputs are multiplied by: features of an encoder, rounded to a fourth of their size."""
SAFETENSORS_TYPES = {
    "BOOL": np.dtype(bool),
    **{f"I{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"U{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"F{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
DAMAGE = (
    *(EOFError, KeyError, OSError, OverflowError, ValueError),
    *(NotImplementedError, RuntimeError),  # another compression; an encrypted file
    *(zipfile.BadZipFile, zlib.error, struct.error, safetensors.SafetensorError),
)


LONGEST_REASON = 200
"""Characters of what a library says of a damaged file."""


class Header(NamedTuple):
    """Type and shape of a stored array."""

    dtype: np.dtype
    shape: tuple[int, ...]


class Stored(NamedTuple):
    """An open file: the headers of its arrays, and how to read one."""

    headers: Mapping[str, Header]
    read: Callable[[str], Array]


def describe(path: Path) -> Info:
    """What the headers and the labels tell, and the file's SHA-256 as its version; the inputs are not read.

    Raises:
      HyperForgetError: see `read`, but for the values of the inputs.
    """
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
    except OSError as error:
        raise HyperForgetError(
            f"data.file {path} cannot be read ({error.strerror}): name a .npz or .safetensors file with {', '.join(ARRAYS)}"
        ) from error
    return _describe(path, state.st_size, state.st_mtime_ns)


def read(path: Path) -> Source:
    """Reads all arrays of a file.

    Args:
      path: .npz (as numpy.savez writes it) or .safetensors, where class_names is a JSON list in the metadata. x: [n, ...], uint8, floats,
        or int8 with a scale; y: [n], integers; class_names: text, one for each label of y_train in rising order; scale: [], a float.

    Returns:
      The training and test part; floats as float32, int8 times the scale as float32, uint8 as it is.

    Raises:
      HyperForgetError: no such file, a damaged one, an array that is missing, pickled or of another type or shape, NaN or infinite
        values, fewer than two classes, labels on test that training lacks.
    """
    describe(path)
    with _opened(path) as stored:
        scale = _scale(path, stored.read(SCALE)) if SCALE in stored.headers else None
        x_train, x_test = (_finite(path, name, stored.read(name), scale) for name in ("x_train", "x_test"))
        y_train, y_test = (stored.read(name).astype(np.int64) for name in ("y_train", "y_test"))
    white = 255 if x_train.dtype == np.uint8 else 1
    return Source(Labelled(x_train, y_train), Labelled(x_test, y_test), white)


def version_without(path: Path, purged: tuple[int, ...]) -> str:
    """SHA-256 of all labels, and of the inputs of all classes but some, row by row in the file's order; raises as `read`."""
    state = path.stat()
    return _version_without(path, purged, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _version_without(path: Path, purged: tuple[int, ...], _size: int, _modified: int) -> str:
    """Once for one state of a file."""
    source, digest = read(path), hashlib.sha256()
    for part in (source.train, source.test):
        digest.update(part.labels.tobytes())
        digest.update(part.inputs[~np.isin(part.labels, purged)].tobytes())
    return f"SHA-256 {digest.hexdigest()} without {','.join(map(str, purged))}"


@functools.lru_cache(maxsize=8)
def _describe(path: Path, _size: int, _modified: int) -> Info:
    """Once for one state of a file."""
    with _opened(path) as stored:
        _validate_headers(path, stored.headers)
        train, test = (np.unique(stored.read(name)).tolist() for name in ("y_train", "y_test"))
        names = tuple(stored.read(NAMES).tolist()) if NAMES in stored.headers else None
    if max(train[-1], test[-1]) >= 2**63:
        _refuse(path, f"a label is {max(train[-1], test[-1])}", "use labels below 2^63")
    if len(train) < 2:
        _refuse(path, f"y_train holds the one label {train[0]}", "give at least two classes")
    if strangers := sorted(set(test) - set(train)):
        _refuse(path, f"y_test holds label {strangers[0]}, which y_train lacks", "take it out")
    if names is not None and len(names) != len(train):
        sizes = f"class_names are {len(names)}, y_train holds {len(train)} labels"
        _refuse(path, sizes, "name each, in rising order of the labels")
    shape = stored.headers["x_train"].shape
    return Info(tuple(train), shape[0], shape[1:], names, f"SHA-256 {artifacts.checksum(path)}")


def _validate_headers(path: Path, headers: Mapping[str, Header]) -> None:
    """Refuses arrays whose headers say that they cannot be used."""
    if missing := [name for name in ARRAYS if name not in headers]:
        _refuse(path, f"{missing[0]} is missing", f"save {', '.join(ARRAYS)}")
    for name, (dtype, shape) in headers.items():
        given = f"{name} is {dtype} {list(shape)}"
        if dtype.hasobject:
            _refuse(path, f"{name} holds pickled objects", "they are never read: save numbers, names as text")
        if name == NAMES and (dtype.kind != "U" or len(shape) != 1):
            _refuse(path, given, "save one text for each class")
        if name.startswith("y") and (dtype.kind not in "iu" or len(shape) != 1):
            _refuse(path, given, "save integer labels of shape [n]")
        if name.startswith("x") and dtype not in (np.uint8, np.int8) and dtype.kind != "f":
            _refuse(path, given, "save uint8 (scaled to [0, 1]), floats (used as they are), or int8 with a scale")
        if name == SCALE and (dtype.kind != "f" or shape not in ((), (1,))):
            _refuse(path, given, "save one float")
        if name.startswith("x") and (len(shape) < 2 or 0 in shape):
            _refuse(path, given, "save images [n, height, width(, channels)] or vectors [n, d]")
    train, test = headers["x_train"], headers["x_test"]
    kinds = ["float" if part.dtype.kind == "f" else part.dtype for part in (train, test)]
    if train.shape[1:] != test.shape[1:] or kinds[0] != kinds[1]:
        both = f"x_train is {train.dtype} {list(train.shape)}, x_test {test.dtype} {list(test.shape)}"
        _refuse(path, both, "save inputs of one shape, all uint8, all int8 or all floats")
    if (train.dtype == np.int8) != (SCALE in headers):
        lacks = "no scale" if train.dtype == np.int8 else "a scale, which only int8 has"
        _refuse(
            path,
            f"inputs are {train.dtype} with {lacks}",
            "save int8 with the float that it is multiplied by, or neither",
        )
    for part in ("train", "test"):
        inputs, labels = headers[f"x_{part}"].shape[0], headers[f"y_{part}"].shape[0]
        if inputs != labels:
            _refuse(path, f"x_{part} holds {inputs} inputs, y_{part} {labels} labels", "give each a label")


def _refuse(path: Path, what: str, remedy: str) -> NoReturn:
    raise HyperForgetError(f"{path}: {what}: {remedy}")


def _scale(path: Path, value: Array) -> np.float32:
    """The scale, if int8 times it stays finite and something of it is left."""
    number = float(value.reshape(()))
    if not 0.0 < abs(number) < float(np.finfo(np.float32).max) / 128:
        _refuse(path, f"{SCALE} is {number}", "save a finite number that is not 0")
    return np.float32(number)


def _finite(path: Path, name: str, values: Array, scale: np.float32 | None) -> Array:
    """Floats as float32, int8 times its scale likewise; uint8 as it is."""
    if values.dtype == np.uint8:
        return values
    if scale is not None:
        return values.astype(np.float32) * scale
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if bad.any():
        where = f"in {bad.sum()} rows, first in row {bad.argmax()}"
        _refuse(path, f"{name} holds NaN or infinite values {where}", "take them out")
    return values


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Stored]:
    """Opens a file of either format; damage of any kind becomes one line."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield npz(archive, (*ARRAYS, NAMES, SCALE))
        else:
            with safetensors.safe_open(path, framework="np") as file:
                yield _safetensors(path, file)
    except DAMAGE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:LONGEST_REASON]  # zipfile shows bytes
        raise HyperForgetError(
            f"{path} is damaged, or no .npz or .safetensors file ({reason}): write it again, such as with numpy.savez"
        ) from error


def npz(archive: zipfile.ZipFile, names: Collection[str]) -> Stored:
    """Arrays of an open .npz file whose headers agree with their sizes; none is read yet.

    Args:
      archive: the file.
      names: of the arrays that are of interest; those that the file has are in the result.

    Raises:
      One of `DAMAGE`: it is no such file.
    """
    listed = {*archive.namelist()}
    members = {name: f"{name}.npy" for name in names if f"{name}.npy" in listed}
    headers = {}
    for name, member in members.items():
        with archive.open(member) as file:
            headers[name] = _header(file)
            expected = int(np.prod(headers[name].shape, dtype=object)) * headers[name].dtype.itemsize
            actual = archive.getinfo(member).file_size - file.tell()
        if not headers[name].dtype.hasobject and actual != expected:
            raise ValueError(f"{name} has {actual} bytes, its header says {expected}")

    def read(name: str) -> Array:
        with archive.open(members[name]) as file:
            values: Array = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # at its end the checksum is compared
        return values

    return Stored(headers, read)


def _header(file: IO[bytes]) -> Header:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
    return Header(dtype, shape)


def _safetensors(path: Path, file: Any) -> Stored:
    headers = {}
    for name in sorted({*file.keys()} & {*ARRAYS, SCALE}, reverse=True):
        array = file.get_slice(name)
        if array.get_dtype() not in SAFETENSORS_TYPES:
            _refuse(path, f"{name} is {array.get_dtype()}, which numpy lacks", "save float32")
        headers[name] = Header(SAFETENSORS_TYPES[array.get_dtype()], tuple(array.get_shape()))
    names = np.array(json.loads((file.metadata() or {}).get(NAMES, "[]")))
    if names.size:
        headers[NAMES] = Header(names.dtype, names.shape)
    return Stored(headers, lambda name: names if name == NAMES else file.get_tensor(name))
