"""Splits are disjoint, whole and the same for every choice of classes; what cannot be loaded is refused in one line."""

import dataclasses
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import digits, load, splits
from hyperforget_jax.data import tfds as prepared
from hyperforget_jax.data.registry import hold_out
from hyperforget_jax.errors import HyperForgetError

ALL = tuple(range(10))
DIGITS = DataConfig(name="digits", dir=None, classes=ALL, validation_size=360)
PARTS = ("train", "validation", "test")


def refusal(config: DataConfig) -> str:
    """The one line with which a config is refused, by `check` and by `load` alike."""
    with pytest.raises(HyperForgetError) as checked:
        splits.validate_data(config)
    with pytest.raises(HyperForgetError) as loaded:
        load(config)
    assert str(checked.value) == str(loaded.value)
    assert "\n" not in str(checked.value)
    return str(checked.value)


def rows(images: np.ndarray) -> list[bytes]:
    """Images as values that can be counted and compared."""
    return sorted(image.tobytes() for image in images)


def test_the_digits_splits_together_are_scikit_learns_digits():
    dataset = load(DIGITS)
    parts = [getattr(dataset, part) for part in PARTS]
    assert [len(part.labels) for part in parts] == [1797 - 449 - 360, 360, 449]
    bunch = load_digits()
    expected = (bunch.data / 16).astype(np.float32)
    assert rows(np.concatenate([part.images for part in parts])) == rows(expected)
    label_of = {image.tobytes(): label for image, label in zip(expected, bunch.target, strict=True)}
    for part in parts:
        assert [label_of[image.tobytes()] for image in part.images] == part.labels.tolist()


def test_digits_have_the_promised_types_and_range():
    dataset = load(DIGITS)
    assert (dataset.num_classes, dataset.input_size, dataset.image_shape) == (10, 64, (8, 8))
    for part in PARTS:
        split = getattr(dataset, part)
        assert split.images.dtype == np.float32
        assert split.labels.dtype == np.int32
        assert split.images.shape == (len(split.labels), 64)
        assert split.images.min() == 0.0
        assert split.images.max() == 1.0


def test_two_loads_are_equal():
    first, second = load(DIGITS), load(DIGITS)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(first, part).images, getattr(second, part).images)
        np.testing.assert_array_equal(getattr(first, part).labels, getattr(second, part).labels)


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (7, 2), (3, 9, 0)])
def test_a_choice_of_classes_is_the_whole_split_filtered_and_relabelled(classes: tuple[int, ...]):
    whole, chosen = load(DIGITS), load(dataclasses.replace(DIGITS, classes=classes))
    assert chosen.classes == classes
    for part in PARTS:
        everything, some = getattr(whole, part), getattr(chosen, part)
        member = np.isin(everything.labels, classes)
        np.testing.assert_array_equal(some.images, everything.images[member])
        assert [classes[position] for position in some.labels] == everything.labels[member].tolist()


def test_positions_are_those_of_the_classifiers_outputs():
    dataset = load(dataclasses.replace(DIGITS, classes=(7, 2, 5)))
    assert dataset.positions((2,)) == (1,)
    assert dataset.positions([5, 7]) == (2, 0)
    assert dataset.positions(()) == ()
    with pytest.raises(HyperForgetError, match=r"class 3 .*\(7, 2, 5\)"):
        dataset.positions((2, 3))


@pytest.mark.parametrize("held", [0, 1, 37, 100])
def test_hold_out_is_a_partition_in_rising_order(held: int):
    kept, out = hold_out(100, held)
    assert len(out) == held
    assert sorted([*kept, *out]) == list(range(100))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(out) > 0).all()
    assert set(out) <= set(hold_out(100, min(held + 1, 100))[1])


def test_hold_out_never_changes():
    """These numbers were written down once; published results depend on them."""
    assert hold_out(20, 6)[1].tolist() == [4, 8, 9, 13, 14, 15]
    assert hold_out(60_000, 5_000)[1][:6].tolist() == [14, 26, 30, 39, 42, 78]


def test_training_sizes_are_those_of_the_sources():
    assert len(digits.read().train.labels) == splits.TRAINING_SIZES["digits"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "mnits"}, ["'mnits'", "did you mean mnist?", "digits, mnist, fashion_mnist"]),
        ({"name": "cifar"}, ["'cifar'", "Known are digits, mnist, fashion_mnist"]),
        ({"classes": (0, 1, 1)}, ["(0, 1, 1)", "1 2 times"]),
        ({"classes": (0, 10)}, ["(0, 10)", "0 to 9"]),
        ({"classes": (-1, 3)}, ["-1", "0 to 9"]),
        ({"classes": (4,)}, ["(4,)", "at least two"]),
        ({"classes": ()}, ["()", "at least two"]),
        ({"validation_size": 0}, ["validation_size 0", "1 to 1347"]),
        ({"validation_size": 1348}, ["validation_size 1348", "1 to 1347"]),
        ({"dir": "/somewhere"}, ["/somewhere", "digits are embedded"]),
        ({"name": "mnist", "dir": "/no/such/folder"}, ["/no/such/folder", "set data.dir"]),
    ],
)
def test_a_bad_config_is_refused_in_one_line(change: dict[str, Any], words: list[str]):
    line = refusal(dataclasses.replace(DIGITS, **change))
    for word in words:
        assert word in line


def test_a_folder_without_the_files_is_refused_before_any_work(tmp_path: Path):
    line = refusal(dataclasses.replace(DIGITS, name="mnist", dir=str(tmp_path)))
    assert str(tmp_path / "train-images-idx3-ubyte.gz") in line
    assert "ossci-datasets" in line


@pytest.mark.parametrize(("size", "part"), [(2, "validation"), (1346, "training")])
def test_a_class_without_an_image_is_refused(size: int, part: str):
    with pytest.raises(HyperForgetError, match=f"validation_size {size} leaves no {part} image of class"):
        load(dataclasses.replace(DIGITS, validation_size=size))


# --- the copy of tensorflow-datasets ---


def labelled_images(count: int) -> list[tuple[np.ndarray, int]]:
    """Random 28x28 images with labels that follow from them."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
    return [(image, int(image[0, 0]) % 10) for image in pixels]


@pytest.fixture
def tfds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """tensorflow-datasets with an empty folder of its own."""
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    return sys.modules["tensorflow_datasets"]


def test_prepared_files_are_read_back_and_need_no_tensorflow_for_it(tfds: Any):
    pytest.importorskip(
        "importlib_resources"
    )  # tensorflow-datasets prepares with it, but does not require it
    made = {"train": labelled_images(30), "test": labelled_images(11)}

    def examples(split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (image, label) in enumerate(made[split]):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "png")
            file.seek(0)
            yield index, {"image": file, "label": label}

    builder = tfds.builder("mnist", file_format="array_record")
    builder._split_generators = lambda _manager, **_options: {split: examples(split) for split in made}
    builder.download_and_prepare()

    source = prepared.read("mnist")
    assert source.white == 255
    for split, labelled in (("train", source.train), ("test", source.test)):
        assert labelled.pixels.dtype == np.uint8
        assert labelled.labels.dtype == np.int32
        assert labelled.pixels.shape == (len(made[split]), 28, 28)
        found = [(image.tobytes(), int(label)) for image, label in zip(*labelled, strict=True)]
        assert sorted(found) == sorted((image.tobytes(), label) for image, label in made[split])


@pytest.mark.usefixtures("tfds")
def test_nothing_prepared_and_no_tensorflow_is_refused_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(HyperForgetError) as refused:
        prepared.read("fashion_mnist")
    for word in (str(tmp_path), "fashion_mnist", "TensorFlow", "pip install -e '.[tfds]'", "set data.dir"):
        assert word in str(refused.value)
    assert list(tmp_path.iterdir()) == []


class Rows(list[dict[str, Any]]):
    """A stand-in for a tfds data source."""

    def __getitems__(self, keys: Iterable[int]) -> list[dict[str, Any]]:
        return [self[key] for key in keys]


class Builder:
    """A stand-in for a tfds builder: what it does when asked to prepare, and to read."""

    data_dir = "/data/mnist/3.0.1"

    def __init__(self, *, ready: bool, preparing: Exception | None = None, reading: Exception | None = None):
        self.ready, self.preparing, self.reading = ready, preparing, reading

    def is_prepared(self) -> bool:
        return self.ready

    def download_and_prepare(self) -> None:
        assert not self.ready
        if self.preparing:
            raise self.preparing
        self.ready = True

    def as_data_source(self, split: str) -> Rows:
        assert self.ready
        if self.reading:
            raise self.reading
        count = {"train": 12, "test": 7}[split]
        return Rows({"image": image[..., None], "label": label} for image, label in labelled_images(count))


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Builder]], None]:
    """Replaces tensorflow-datasets by one builder, and pretends that TensorFlow is installed."""

    def replace(make: Callable[[], Builder]) -> None:
        tensorflow = ModuleType("tensorflow")
        tensorflow.__spec__ = ModuleSpec("tensorflow", None)
        monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
        fake = SimpleNamespace(builder=lambda _name, file_format: make())
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)

    return replace


@pytest.mark.parametrize("ready", [True, False])
def test_what_is_absent_is_prepared_and_what_is_there_is_read(use: Any, ready: bool):
    use(lambda: Builder(ready=ready))
    source = prepared.read("mnist")
    np.testing.assert_array_equal(source.train.pixels, [image for image, _ in labelled_images(12)])
    assert source.test.labels.tolist() == [label for _, label in labelled_images(7)]


def test_a_failed_download_is_told_in_one_line(use: Any):
    use(lambda: Builder(ready=False, preparing=ConnectionError("no route\nto host")))
    with pytest.raises(HyperForgetError) as refused:
        prepared.read("mnist")
    assert str(refused.value) == (
        "mnist could not be prepared in /data/mnist/3.0.1 (ConnectionError: no route): run once with a network connection "
        "and the extra `pip install -e '.[tfds]'`, or set data.dir to a folder with the four IDX files"
    )


def test_an_unreadable_copy_is_told_with_what_to_delete(use: Any):
    use(lambda: Builder(ready=True, reading=RuntimeError()))
    with pytest.raises(
        HyperForgetError, match=r"/data/mnist/3.0.1 .*RuntimeError: no reason given.*delete it"
    ):
        prepared.read("mnist")


def test_a_copy_in_another_format_is_told_with_what_to_delete(use: Any):
    def refuse() -> Builder:
        raise ValueError("File format is already set to tfrecord")

    use(refuse)
    with pytest.raises(
        HyperForgetError, match=r"its copy of mnist .*tfrecord.*delete it or set TFDS_DATA_DIR"
    ):
        prepared.read("mnist")
