"""Your own arrays come back as saved, in either format and with any labels; what cannot be used is refused in one line."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import idx, load, load_dataset, registry
from hyperforget_jax.data.arrays import read
from hyperforget_jax.errors import HyperForgetError

LABELS = (40, -3, 7)
NAMES = ("minus three", "seven", "forty")
"""In rising order of the labels."""
Content = dict[str, np.ndarray]


def content(shape: tuple[int, ...] = (4, 5), dtype: Any = np.uint8) -> Content:
    """Thirty training and nine test inputs of three classes."""
    noise = np.random.default_rng(0)
    return {
        "x_train": noise.integers(0, 256, (30, *shape)).astype(dtype),
        "y_train": np.tile(LABELS, 10),
        "x_test": noise.integers(0, 256, (9, *shape)).astype(dtype),
        "y_test": np.repeat(LABELS, 3),
    }


def save_npz(path: Path, arrays: Content) -> Path:
    np.savez(path, **arrays)
    return path


def save_safetensors(path: Path, arrays: Content) -> Path:
    arrays = dict(arrays)
    names = arrays.pop("class_names", None)
    metadata = None if names is None else {"class_names": json.dumps(names.tolist())}
    safetensors.numpy.save_file(arrays, path, metadata)
    return path


FORMATS = {".npz": save_npz, ".safetensors": save_safetensors}


def refusal(path: Path) -> str:
    with pytest.raises(HyperForgetError) as refused:
        load_dataset("arrays", file=path)
    line = str(refused.value)
    assert str(path) in line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("shape", [(3,), (4, 5), (4, 5, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
def test_arrays_come_back_as_saved(tmp_path: Path, ending: str, shape: tuple[int, ...], dtype: Any):
    saved = content(shape, dtype) | {"class_names": np.array(NAMES)}
    dataset = load_dataset("arrays", file=FORMATS[ending](tmp_path / f"mine{ending}", saved))
    assert (dataset.name, dataset.classes, dataset.class_names) == ("arrays:mine", (-3, 7, 40), NAMES)
    assert (dataset.input_shape, dataset.input_size) == (shape, np.prod(shape))
    white = np.float32(255 if dtype == np.uint8 else 1)
    np.testing.assert_array_equal(dataset.test.images, saved["x_test"].astype(np.float32).reshape(9, -1) / white)
    assert [dataset.classes[position] for position in dataset.test.labels] == saved["y_test"].tolist()
    assert (len(dataset.train.labels), len(dataset.validation.labels)) == (27, 3)
    assert dataset.train.images.dtype == np.float32
    assert sorted(dataset.validation.labels) == [0, 1, 2]


@pytest.mark.parametrize("ending", FORMATS)
def test_int8_features_are_multiplied_by_their_scale(tmp_path: Path, ending: str):
    saved = content((3,), np.int8) | {"scale": np.array(0.25, np.float32)}
    dataset = load_dataset("arrays", file=FORMATS[ending](tmp_path / f"mine{ending}", saved))
    np.testing.assert_array_equal(dataset.test.images, saved["x_test"].astype(np.float32) / 4)
    assert dataset.test.images.min() < 0 < dataset.test.images.max()


def test_the_order_of_classes_is_that_of_the_outputs_and_names_follow(tmp_path: Path):
    path = save_npz(tmp_path / "mine.npz", content() | {"class_names": np.array(NAMES)})
    dataset = load_dataset("arrays", file=path, classes=(40, -3))
    assert (dataset.name, dataset.classes) == ("arrays:mine-40,-3", (40, -3))
    assert dataset.class_names == ("forty", "minus three")
    assert dataset.test.labels.tolist() == [0] * 3 + [1] * 3
    assert load_dataset("arrays", file=save_npz(path, content())).class_names is None


def test_big_endian_fortran_and_compressed_arrays_are_read(tmp_path: Path):
    saved = content((4, 5), ">f8")
    odd = {name: np.asfortranarray(values) for name, values in saved.items()}
    np.savez_compressed(tmp_path / "odd.npz", **odd)
    source = read(tmp_path / "odd.npz")
    np.testing.assert_array_equal(source.train.inputs, saved["x_train"].astype(np.float32))
    np.testing.assert_array_equal(source.train.labels, saved["y_train"])


def test_a_very_rare_class_is_in_every_split(tmp_path: Path):
    saved = content((4,), np.float32)
    saved["y_train"] = np.array([7] * 28 + [40] * 2)
    saved["y_test"] = np.array([7] * 8 + [40])
    dataset = load_dataset("arrays", file=save_npz(tmp_path / "mine.npz", saved))
    for split in (dataset.train, dataset.validation, dataset.test):
        assert sorted({*split.labels.tolist()}) == [0, 1]


def without(name: str) -> Callable[[Content], Content]:
    return lambda saved: {other: values for other, values in saved.items() if other != name}


def with_(**changes: Any) -> Callable[[Content], Content]:
    return lambda saved: (
        saved | {name: change(saved[name]) if callable(change) else change for name, change in changes.items()}
    )


def poisoned(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def poison(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float64)
        values[4, 1] = value
        return values

    return poison


def floats(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int8)


def scaled(scale: Any) -> Callable[[Content], Content]:
    return lambda arrays: with_(x_train=rounded, x_test=rounded)(arrays) | {"scale": np.asarray(scale)}


BAD = [
    *((without(name), [f"{name} is missing"]) for name in ("x_train", "y_train", "x_test", "y_test")),
    (with_(x_train=poisoned(np.nan), x_test=floats), ["x_train", "NaN", "row 4"]),
    (with_(x_test=poisoned(-np.inf), x_train=floats), ["x_test", "infinite", "row 4"]),
    (with_(x_test=poisoned(1e300), x_train=floats), ["x_test", "infinite", "row 4"]),
    (with_(x_train=lambda x: x[:-1]), ["29 inputs", "30 labels"]),
    (with_(y_test=lambda y: y[:-1]), ["9 inputs", "8 labels"]),
    (with_(x_test=lambda x: x[:, :3]), ["[30, 4, 5]", "[9, 3, 5]"]),
    (with_(x_test=floats), ["uint8", "float32"]),
    (with_(x_train=lambda x: x.astype(np.int64)), ["x_train is int64", "uint8"]),
    (with_(x_train=lambda x: x.astype(bool)), ["x_train is bool"]),
    (with_(x_train=lambda x: x[:, 0, 0], x_test=lambda x: x[:, 0, 0]), ["[30]", "[n, d]"]),
    (with_(x_train=lambda x: x[:, :0], x_test=lambda x: x[:, :0]), ["[30, 0, 5]"]),
    (with_(y_train=floats), ["y_train is float32", "integer labels"]),
    (with_(y_train=lambda y: y[:, None]), ["y_train is int64 [30, 1]", "[n]"]),
    (with_(y_train=lambda y: y.astype(np.uint64) + np.uint64(2**63), y_test=lambda y: np.abs(y)), ["2^63"]),
    (with_(y_train=lambda y: y * 0, y_test=lambda y: y * 0), ["one label 0", "two classes"]),
    (with_(y_test=lambda y: y + (y == 7)), ["y_test holds label 8", "y_train lacks"]),
    (with_(y_train=lambda y: np.where(np.arange(30) == 0, 99, y)), ["class 99", "1 training and 0 test"]),
    (with_(y_test=lambda y: np.where(y == 7, 40, y)), ["class 7", "10 training and 0 test"]),
    (with_(class_names=np.array(["a", "b"])), ["class_names are 2", "3 labels"]),
    (with_(x_train=rounded, x_test=rounded), ["int8 with no scale"]),
    (with_(x_train=rounded), ["x_train is int8", "x_test uint8"]),
    (lambda arrays: arrays | {"scale": np.array(0.5, np.float32)}, ["uint8 with a scale"]),
    *((scaled(np.float32(bad)), [f"scale is {bad}"]) for bad in (0.0, np.nan, np.inf)),
    (scaled(np.float64(1e300)), ["scale is 1e+300", "finite"]),
    (scaled(np.int64(2)), ["scale is int64", "one float"]),
    (scaled(np.ones(2, np.float32)), ["scale is float32 [2]", "one float"]),
]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(("change", "words"), BAD, ids=[words[0] for _, words in BAD])
def test_arrays_that_cannot_be_used_are_refused_in_one_line(
    tmp_path: Path, ending: str, change: Callable[[Content], Content], words: list[str]
):
    line = refusal(FORMATS[ending](tmp_path / f"bad{ending}", change(content())))
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", ["x_train", "y_test", "class_names"])
def test_pickled_objects_are_refused_and_never_read(tmp_path: Path, name: str):
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "exploded",)

    line = refusal(save_npz(tmp_path / "bad.npz", content() | {name: np.array([Bomb()], object)}))
    assert f"{name} holds pickled objects" in line
    assert not (tmp_path / "exploded").exists()


def test_numbers_are_no_names(tmp_path: Path):
    line = refusal(save_npz(tmp_path / "bad.npz", content() | {"class_names": np.arange(3)}))
    assert "class_names is int64 [3]" in line


def test_a_type_that_numpy_lacks_is_named(tmp_path: Path):
    path = save_safetensors(tmp_path / "bad.safetensors", content((4,), np.float16))
    path.write_bytes(path.read_bytes().replace(b'"F16"', b'"BF16"', 1).replace(b"}  ", b"} ", 1))
    assert "is BF16, which numpy lacks" in refusal(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    assert "No such file" in refusal(tmp_path / "absent.npz")
    assert "Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("bytes_", [b"", b"<html>404</html>", b"\x80\x04K\x01.", b"PK\x03\x04 not really", bytes(64)])
def test_what_is_no_such_file_is_named(tmp_path: Path, bytes_: bytes):
    (tmp_path / "bad.npz").write_bytes(bytes_)
    assert "damaged, or no .npz or .safetensors file" in refusal(tmp_path / "bad.npz")


@pytest.mark.parametrize("ending", FORMATS)
def test_no_cut_and_no_changed_byte_gives_anything_but_the_data_or_one_line(tmp_path: Path, ending: str):
    """A zip file has checksums; in a safetensors file damage can hide, but only in values."""
    path = FORMATS[ending](tmp_path / f"mine{ending}", content((2,)))
    whole, noise = path.read_bytes(), np.random.default_rng(1)
    for size in noise.integers(0, len(whole), 40):
        path.write_bytes(whole[:size])
        assert "damaged" in refusal(path)
    for place in noise.integers(0, len(whole), 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << noise.integers(8))]) + whole[place + 1 :])
        with contextlib.suppress(HyperForgetError):
            assert len(load_dataset("arrays", file=path).test.labels) == 9


def test_a_header_that_promises_more_than_there_is_is_refused_before_memory_is_taken(tmp_path: Path):
    path = save_npz(tmp_path / "bad.npz", content((4,)))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["x_train.npy"] = members["x_train.npy"].replace(b"(30, 4), }          ", b"(30000000000000, 4)}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, stored in members.items():
            archive.writestr(name, stored)
    assert "x_train has 120 bytes, its header says 120000000000000" in refusal(path)


# --- identity ---


def config(path: Path, **changes: Any) -> DataConfig:
    return DataConfig(**{"name": "arrays", "file": str(path), "classes": (), "validation_size": 3, **changes})


def test_a_file_is_told_by_its_checksum_and_not_by_its_place(tmp_path: Path):
    path = save_npz(tmp_path / "mine.npz", content())
    (tmp_path / "copy.npz").write_bytes(path.read_bytes())
    ours = registry.identity(config(path))
    assert ours["version"] == f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert ours["classes"] == [-3, 7, 40]
    assert registry.identity(config(tmp_path / "copy.npz")) == ours
    save_npz(path, content((5, 5)))
    assert registry.identity(config(path)) != ours
    assert registry.describe(config(path)).input_size == 25


def test_without_a_purged_class_a_file_is_told_by_the_other_classes_and_all_labels(tmp_path: Path):
    path = save_npz(tmp_path / "mine.npz", arrays := content())
    whole, ours = registry.identity(config(path)), registry.identity(config(path), (7,))
    assert ours != whole
    assert {**ours, "version": None} == {**whole, "version": None}
    for label, same in ((7, True), (40, False)):
        changed = {name: value.copy() for name, value in arrays.items()}
        for part in ("train", "test"):
            changed[f"x_{part}"][changed[f"y_{part}"] == label] += 1
        save_npz(path, changed)
        assert (registry.identity(config(path), (7,)) == ours) is same
    relabelled = {**arrays, "y_train": np.where(arrays["y_train"] == 40, 7, arrays["y_train"])}
    relabelled["y_train"][0] = 40
    save_npz(path, relabelled)
    assert registry.identity(config(path), (7,)) != ours


# --- the official files; skipped where HYPERFORGET_DATA is unset ---


def test_mnist_as_arrays_is_mnist_from_its_files(mnist_dir: Path, tmp_path: Path):
    train, test, _ = idx.read("mnist", mnist_dir)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=train.inputs, y_train=train.labels, x_test=test.inputs, y_test=test.labels)
    for classes in ((0, 1, 2, 3), (7, 2, 9)):
        ours = load(config(path, classes=classes, validation_size=5000))
        theirs = load(DataConfig(name="mnist", dir=str(mnist_dir), classes=classes, validation_size=5000))
        assert (ours.classes, ours.input_shape) == (theirs.classes, theirs.input_shape)
        for part in ("train", "validation", "test"):
            for field in ("images", "labels"):
                our, their = (getattr(getattr(each, part), field) for each in (ours, theirs))
                assert our.dtype == their.dtype
                np.testing.assert_array_equal(our, their)
