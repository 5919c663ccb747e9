"""Every dataset is known by its name; a config that cannot be loaded is refused in one line, before any image is read."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperforget_jax.config import DataConfig
from hyperforget_jax.data import digits, load, registry
from hyperforget_jax.errors import HyperForgetError

ALL = tuple(range(10))
DIGITS = DataConfig(name="digits", dir=None, classes=ALL, validation_size=360)


def refusal(config: DataConfig) -> str:
    """The one line with which a config is refused, by `check` and by `load` alike."""
    with pytest.raises(HyperForgetError) as checked:
        registry.validate_data(config)
    with pytest.raises(HyperForgetError) as loaded:
        load(config)
    assert str(checked.value) == str(loaded.value)
    assert "\n" not in str(checked.value)
    return str(checked.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "mnits"}, ["'mnits'", "did you mean mnist?", "digits, mnist, fashion_mnist"]),
        ({"name": "cifar"}, ["'cifar'", "Known are digits, mnist, fashion_mnist"]),
        ({"classes": (0, 1, 1)}, ["(0, 1, 1)", "1 2 times"]),
        ({"classes": (0, 10)}, ["(0, 10)", "0 to 9"]),
        ({"classes": (-1, 3)}, ["-1", "0 to 9"]),
        ({"classes": (4,)}, ["(4,)", "at least two"]),
        ({"validation_size": 0}, ["validation_size 0", "1 to 1347"]),
        ({"validation_size": 1348}, ["validation_size 1348", "1 to 1347"]),
        ({"dir": "/somewhere"}, ["/somewhere", "digits are embedded"]),
        ({"file": "mine.npz"}, ["data.file mine.npz", "digits are embedded"]),
        ({"name": "mnist", "file": "mine.npz"}, ["data.file mine.npz", "read from data.dir"]),
        ({"name": "arrays"}, ["data.file is not set"]),
        ({"name": "arrays", "file": "mine.npz", "dir": "/somewhere"}, ["data.dir /somewhere", "data.file"]),
        ({"name": "tfds:"}, ["'tfds:'", "tfds:NAME"]),
        ({"name": "tfds:kmnist", "dir": "/somewhere"}, ["data.dir /somewhere", "TFDS_DATA_DIR"]),
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


def test_what_is_told_of_the_digits_is_what_is_read():
    train = digits.read().train
    assert (len(train.labels), train.inputs.shape[1:]) == (digits.INFO.num_train, digits.INFO.input_shape)
    assert tuple(sorted({*train.labels.tolist()})) == digits.INFO.labels


def test_no_class_means_every_class():
    everything = load(dataclasses.replace(DIGITS, classes=()))
    assert (everything.name, everything.classes) == ("digits", ALL)
    np.testing.assert_array_equal(everything.train.labels, load(DIGITS).train.labels)
    assert registry.resolve(dataclasses.replace(DIGITS, classes=())) == DIGITS


def test_a_resolved_config_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    mnist = registry.resolve(DataConfig(name="mnist", dir="data"))
    assert mnist == DataConfig(name="mnist", dir=str(tmp_path / "data"))


def test_the_identity_of_known_datasets_is_what_it_was():
    """Stored zoos and workdirs are told by these fields."""
    assert registry.identity(DataConfig()) == {
        "name": "digits",
        "dir": None,
        "classes": [0, 1, 2, 3],
        "validation_size": 360,
    }
    mnist = DataConfig(name="mnist", validation_size=5000)
    prepared, files = (registry.identity(dataclasses.replace(mnist, dir=dir)) for dir in (None, "/no/such"))
    assert files == prepared | {"dir": "IDX files"}
    assert prepared["dir"] is None


def test_what_decides_the_splits_is_in_the_identity():
    ours = registry.identity(DIGITS)
    assert registry.identity(dataclasses.replace(DIGITS, classes=())) == ours
    for change in ({"classes": ALL[::-1]}, {"validation_size": 100}, {"standardise": True}):
        assert registry.identity(dataclasses.replace(DIGITS, **change)) != ours
