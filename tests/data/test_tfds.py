"""The copies of tensorflow-datasets come back as prepared, of any image classification set; what cannot be read is told in one line."""

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

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import load, registry
from hyperforget_jax.data import tfds as prepared
from hyperforget_jax.errors import HyperForgetError

NAMES = [f"letter {index}" for index in range(10)]


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
    pytest.importorskip("importlib_resources")  # tensorflow-datasets prepares with it, but does not require it
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
        assert labelled.inputs.dtype == np.uint8
        assert labelled.labels.dtype == np.int32
        assert labelled.inputs.shape == (len(made[split]), 28, 28)
        found = [(image.tobytes(), int(label)) for image, label in zip(*labelled, strict=True)]
        assert sorted(found) == sorted((image.tobytes(), label) for image, label in made[split])


@pytest.mark.usefixtures("tfds")
def test_nothing_prepared_and_no_tensorflow_is_refused_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(HyperForgetError) as refused:
        registry.origin(DataConfig(name="fashion_mnist")).read()
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

    def __init__(
        self,
        *,
        ready: bool,
        preparing: Exception | None = None,
        reading: Exception | None = None,
        features: dict[str, Any] | None = None,
        splits: dict[str, int] | None = None,
        depth: int = 1,
    ):
        self.ready, self.preparing, self.reading, self.depth = ready, preparing, reading, depth
        label = SimpleNamespace(num_classes=10, names=NAMES)
        self.info = SimpleNamespace(
            full_name="letters/1.0.0",
            features=features or {"image": SimpleNamespace(shape=(28, 28, depth)), "label": label},
            splits={
                name: SimpleNamespace(num_examples=count)
                for name, count in (splits or {"train": 200, "test": 70}).items()
            },
        )

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
        count = self.info.splits[split].num_examples
        return Rows(
            {"image": np.repeat(image[..., None], self.depth, axis=2), "label": label}
            for image, label in labelled_images(count)
        )


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Builder]], None]:
    """Replaces tensorflow-datasets by one builder, and pretends that TensorFlow is installed."""

    def replace(make: Callable[[], Builder]) -> None:
        prepared.describe.cache_clear()
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
    np.testing.assert_array_equal(source.train.inputs, [image for image, _ in labelled_images(200)])
    assert source.test.labels.tolist() == [label for _, label in labelled_images(70)]


def test_a_failed_download_is_told_in_one_line(use: Any):
    use(lambda: Builder(ready=False, preparing=ConnectionError("no route\nto host")))
    with pytest.raises(HyperForgetError) as refused:
        registry.origin(DataConfig(name="mnist")).read()
    assert str(refused.value) == (
        "mnist could not be prepared in /data/mnist/3.0.1 (ConnectionError: no route): run once with a network connection "
        "and the extra `pip install -e '.[tfds]'`, or set data.dir to a folder with the four IDX files"
    )


def test_an_unreadable_copy_is_told_with_what_to_delete(use: Any):
    use(lambda: Builder(ready=True, reading=RuntimeError()))
    with pytest.raises(HyperForgetError, match=r"/data/mnist/3.0.1 .*RuntimeError: no reason given.*delete it"):
        prepared.read("mnist")


def test_a_copy_in_another_format_is_told_with_what_to_delete(use: Any):
    def refuse() -> Builder:
        raise ValueError("File format is already set to tfrecord")

    use(refuse)
    with pytest.raises(HyperForgetError, match=r"its copy of mnist .*tfrecord.*delete the copy or set TFDS_DATA_DIR"):
        prepared.read("mnist")


# --- any image classification set ---


@pytest.mark.parametrize(("depth", "shape"), [(1, (28, 28)), (3, (28, 28, 3))])
def test_any_classification_set_is_loaded_by_its_name(use: Any, depth: int, shape: tuple[int, ...]):
    use(lambda: Builder(ready=True, depth=depth))
    config = DataConfig(name="tfds:letters", classes=(), validation_size=50)
    dataset = load(config)
    assert (dataset.name, dataset.classes) == ("tfds:letters", tuple(range(10)))
    assert (dataset.class_names, dataset.input_shape) == (tuple(NAMES), shape)
    expected = np.repeat([image[..., None] for image, _ in labelled_images(70)], depth, axis=-1)
    np.testing.assert_array_equal(dataset.test.images, expected.reshape(70, -1).astype(np.float32) / np.float32(255))
    assert dataset.test.labels.tolist() == [label for _, label in labelled_images(70)]
    assert (len(dataset.train.labels), len(dataset.validation.labels)) == (150, 50)
    identity = registry.identity(config)
    assert (identity["name"], identity["version"]) == ("tfds:letters", "letters/1.0.0")
    assert identity["classes"] == list(range(10))
    two = load(DataConfig(name="tfds:letters", classes=(7, 2), validation_size=50))
    assert (two.name, two.class_names) == ("tfds:letters-72", ("letter 7", "letter 2"))


IMAGE, LABEL = SimpleNamespace(shape=(28, 28, 1)), SimpleNamespace(num_classes=10, names=NAMES)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"features": {"text": None, "label": LABEL}}, "has text, label: choose a set with .* image and label"),
        ({"features": {"image": IMAGE, "label": SimpleNamespace()}}, "image and label"),
        ({"features": {"image": SimpleNamespace(shape=(None, None, 3)), "label": LABEL}}, "differ in size"),
        ({"splits": {"train": 30}}, "no split test"),
    ],
)
def test_what_is_no_classification_set_is_told_in_one_line(use: Any, told: dict[str, Any], words: str):
    use(lambda: Builder(ready=True, **told))
    with pytest.raises(HyperForgetError, match=rf"tfds:letters.*{words}"):
        registry.validate_data(DataConfig(name="tfds:letters", validation_size=10))


@pytest.mark.usefixtures("tfds")
def test_an_unknown_name_is_told_in_one_line():
    with pytest.raises(HyperForgetError, match=r"nosuchset .*not found.*check the name") as refused:
        registry.validate_data(DataConfig(name="tfds:nosuchset"))
    assert "\n" not in str(refused.value)
