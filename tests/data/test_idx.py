"""IDX files come back as written, damage of every kind is named with its file, and the official files hold MNIST."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import idx, load
from hyperforget_jax.errors import HyperForgetError


def encode(values: np.ndarray) -> bytes:
    """An array of uint8 as the content of an IDX file, written from the format's description."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def small_dataset() -> dict[str, np.ndarray]:
    """Four small arrays under the official names."""
    generator = np.random.default_rng(7)
    return {
        "train-images-idx3-ubyte": generator.integers(0, 256, (40, 5, 3), np.uint8),
        "train-labels-idx1-ubyte": np.arange(40, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": generator.integers(0, 256, (20, 5, 3), np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8)[::-1] % 10,
    }


def write(folder: Path, *, zipped: bool) -> dict[str, str]:
    """Writes the small dataset; returns the checksum of what every file holds."""
    checksums = {}
    for name, values in small_dataset().items():
        content = gzip.compress(encode(values), mtime=0) if zipped else encode(values)
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(content)
        checksums[name] = hashlib.sha256(encode(values)).hexdigest()
    return checksums


@pytest.mark.parametrize("shape", [(6,), (0,), (3, 2, 4), (2, 28, 28)])
def test_an_array_comes_back_as_written(shape: tuple[int, ...]):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = encode(values)
    read = idx.parse(content, len(shape))
    np.testing.assert_array_equal(read, values)
    assert read.dtype == np.uint8
    assert not read.flags.owndata


@pytest.mark.parametrize("zipped", [True, False])
def test_four_files_come_back_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool):
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", write(tmp_path, zipped=zipped))
    source = idx.read("mnist", tmp_path)
    written = small_dataset()
    assert source.white == 255
    for part, labelled in (("train", source.train), ("t10k", source.test)):
        np.testing.assert_array_equal(labelled.inputs, written[f"{part}-images-idx3-ubyte"])
        np.testing.assert_array_equal(labelled.labels, written[f"{part}-labels-idx1-ubyte"])
        assert labelled.labels.dtype == np.int32


def test_a_dataset_is_split_and_scaled_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", write(tmp_path, zipped=True))
    monkeypatch.setattr(idx, "INFO", idx.INFO._replace(num_train=40))
    dataset = load(DataConfig(name="mnist", dir=str(tmp_path), classes=(9, 0), validation_size=20))
    assert (dataset.input_shape, dataset.input_size, dataset.num_classes) == ((5, 3), 15, 2)
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]  # the labels run 19, 18, …, 0 modulo 10
    pixels = small_dataset()["t10k-images-idx3-ubyte"][[0, 9, 10, 19]].reshape(4, 15)
    np.testing.assert_array_equal(dataset.test.images, pixels.astype(np.float32) / np.float32(255))
    assert len(dataset.train.labels) + len(dataset.validation.labels) == 8


GOOD = encode(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("images.gz", ZIPPED[:-4], "truncated or corrupt"),
        ("images.gz", ZIPPED[:15], "truncated or corrupt"),
        ("images.gz", ZIPPED[:-8] + bytes(4) + ZIPPED[-4:], "truncated or corrupt"),
        ("images.gz", ZIPPED[:10] + b"\xff" * 8 + ZIPPED[18:], "truncated or corrupt"),
        ("images.gz", b"<html>404</html>", "truncated or corrupt"),
        ("images", b"<html>404</html>", "magic number is 0x3c68746d, expected 0x00000803"),
        ("images", b"", "magic number is 0x, expected 0x00000803"),
        ("images", encode(np.arange(3, dtype=np.uint8)), "magic number is 0x00000801"),
        ("images", b"\x00\x00\x0d\x03" + GOOD[4:], "magic number is 0x00000d03"),
        ("images", GOOD[:9], "has 9 bytes, its header alone takes 16"),
        ("images", GOOD[:-1], "holds 11 values, its header says 12"),
        ("images", GOOD + b"\x00", "holds 13 values, its header says 12"),
        ("images", GOOD[:-1] + b"\x63", "SHA-256 of what it holds is "),
        ("images.gz", gzip.compress(GOOD[:-1] + b"\x63", mtime=0), "SHA-256 of what it holds is "),
    ],
)
def test_damage_is_named_with_its_file_and_the_remedy(tmp_path: Path, name: str, content: bytes, words: str):
    path = tmp_path / name
    path.write_bytes(content)
    official = hashlib.sha256(GOOD).hexdigest()
    with pytest.raises(HyperForgetError) as refused:
        idx.read_array(path, 3, official)
    line = str(refused.value)
    assert line.startswith(str(path))
    assert words in line
    assert "download it again" in line
    assert "\n" not in line


def test_a_header_of_huge_sizes_is_refused_without_overflow():
    content = b"\x00\x00\x08\x03" + b"\xff" * 12 + bytes(8)
    with pytest.raises(ValueError, match=f"header says {(2**32 - 1) ** 3}"):
        idx.parse(content, 3)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path):
    (tmp_path / "images").mkdir()
    with pytest.raises(HyperForgetError, match=r"images.*cannot be read \(Is a directory\)"):
        idx.read_array(tmp_path / "images", 3, "")


@pytest.mark.parametrize("missing", idx.FILES)
def test_each_missing_file_is_named(tmp_path: Path, missing: str):
    write(tmp_path, zipped=True)
    (tmp_path / f"{missing}.gz").unlink()
    with pytest.raises(HyperForgetError, match=rf"{missing}\.gz is missing"):
        idx.locate(tmp_path)


def test_zipped_and_unzipped_files_may_be_mixed_and_the_published_form_comes_first(tmp_path: Path):
    write(tmp_path, zipped=True)
    write(tmp_path, zipped=False)
    assert idx.locate(tmp_path) == {name: tmp_path / f"{name}.gz" for name in idx.FILES}
    (tmp_path / f"{idx.TEST_LABELS}.gz").unlink()
    assert idx.locate(tmp_path)[idx.TEST_LABELS] == tmp_path / idx.TEST_LABELS


@pytest.mark.parametrize("part", [".", "raw", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("dotted", [True, False])
def test_names_and_folders_of_other_tools_are_known(tmp_path: Path, part: str, dotted: bool, monkeypatch: Any):
    (tmp_path / part).mkdir(parents=True, exist_ok=True)
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", write(tmp_path / part, zipped=dotted))
    for path in (tmp_path / part).iterdir():
        if dotted and path.is_file():
            path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(idx.read("mnist", tmp_path).train.labels) == 40


def test_content_that_somebody_compressed_again_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", write(tmp_path, zipped=True))
    for path in tmp_path.iterdir():
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert len(idx.read("mnist", tmp_path).test.labels) == 20


def test_the_nearest_name_is_told(tmp_path: Path):
    write(tmp_path, zipped=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").rename(tmp_path / "t10k_labels-idx1-ubyte.gz")
    with pytest.raises(
        HyperForgetError, match=r"is missing .*; there is t10k_labels-idx1-ubyte\.gz, rename it if it is"
    ):
        idx.locate(tmp_path)


def test_a_small_file_that_unpacks_without_end_is_refused(tmp_path: Path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(50):
            file.write(bytes(2**20))
    with pytest.raises(HyperForgetError, match="holds more than 47040016 bytes, the size of the largest official file"):
        idx.unpack(path)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(HyperForgetError, match=r"absent is not a folder: set data\.dir"):
        idx.locate(tmp_path / "absent")


# --- the official files; skipped where HYPERFORGET_DATA is unset ---


def test_mnist_is_the_official_one_in_the_official_order(mnist_dir: Path):
    source = idx.read("mnist", mnist_dir)
    assert source.train.inputs.shape == (60_000, 28, 28)
    assert source.test.inputs.shape == (10_000, 28, 28)
    assert source.train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert source.test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    assert np.bincount(source.train.labels).tolist() == [
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    ]
    assert np.bincount(source.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist4_is_a_subset_of_mnist_split_by_split(mnist_dir: Path):
    whole, four = (
        load(DataConfig(name="mnist", dir=str(mnist_dir), classes=classes, validation_size=5_000))
        for classes in (tuple(range(10)), (0, 1, 2, 3))
    )
    assert [len(part.labels) for part in (whole.train, whole.validation, whole.test)] == [55_000, 5_000, 10_000]
    assert len(four.test.labels) == 980 + 1135 + 1032 + 1010
    assert len(four.train.labels) + len(four.validation.labels) == 5923 + 6742 + 5958 + 6131
    for part in ("train", "validation", "test"):
        everything, some = getattr(whole, part), getattr(four, part)
        np.testing.assert_array_equal(some.images, everything.images[everything.labels < 4])
        np.testing.assert_array_equal(some.labels, everything.labels[everything.labels < 4])


def test_unzipped_official_files_are_accepted(mnist_dir: Path, tmp_path: Path):
    for name in idx.FILES:
        (tmp_path / name).write_bytes(gzip.decompress((mnist_dir / f"{name}.gz").read_bytes()))
    zipped, unzipped = idx.read("mnist", mnist_dir), idx.read("mnist", tmp_path)
    for expected, found in ((zipped.train, unzipped.train), (zipped.test, unzipped.test)):
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_fashion_mnist_is_the_official_one_and_not_taken_for_mnist(mnist_dir: Path):
    folder = mnist_dir.parent / "fashion_mnist"
    source = idx.read("fashion_mnist", folder)
    assert np.bincount(source.train.labels).tolist() == [6_000] * 10
    assert np.bincount(source.test.labels).tolist() == [1_000] * 10
    assert source.train.labels[:8].tolist() == [9, 0, 0, 3, 0, 2, 7, 2]
    with pytest.raises(
        HyperForgetError,
        match=r"train-images-idx3-ubyte\.gz is train-images-idx3-ubyte of fashion_mnist: set data\.name to fashion_mnist",
    ):
        idx.read("mnist", folder)


def test_a_file_under_the_name_of_another_is_told_by_what_it_is(mnist_dir: Path, tmp_path: Path):
    for name in idx.FILES:
        (tmp_path / f"{name}.gz").symlink_to(mnist_dir / f"{name.replace('t10k-labels', 'train-labels')}.gz")
    with pytest.raises(HyperForgetError, match=r"t10k-labels-idx1-ubyte\.gz is train-labels-idx1-ubyte of mnist: set "):
        idx.read("mnist", tmp_path)
