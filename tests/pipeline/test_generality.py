"""The whole path on data of other kinds: any classes in any order, two of them, one retained, no pivots, deep models, odd inputs.

Most of the runs have equal shapes, so that they share their programs.
"""

import gzip
import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from hyperforget_jax.config import ClassifierConfig, DataConfig, TaskConfig
from hyperforget_jax.data import idx
from hyperforget_jax.data.source import hold_out
from hyperforget_jax.pipeline import end_to_end
from hyperforget_jax.runtime import artifacts
from tests.small_run import printed, tiny

pytestmark = pytest.mark.usefixtures("programs")

TRAIN, VALIDATION, TEST, SIZE = 240, 60, 90, 6
"""Inputs of each split of the runs that share their programs, and how many numbers an input has."""
Table = list[dict[str, Any]]
Arrays = dict[str, np.ndarray]


def clusters(labels: Sequence[int], size: int = SIZE) -> np.ndarray:
    """Inputs in [0, 1] of some labels: one number is large for each label."""
    _, positions = np.unique(labels, return_inverse=True)
    noise = np.random.default_rng(0).uniform(0.0, 0.3, (len(positions), size))
    return (0.7 * np.eye(size)[positions] + noise).astype(np.float32)


def arrays_of(y_train: Sequence[int], y_test: Sequence[int]) -> Arrays:
    return {
        "x_train": clusters(y_train),
        "y_train": np.asarray(y_train),
        "x_test": clusters(y_test),
        "y_test": np.asarray(y_test),
    }


def balanced(labels: Sequence[int] = (0, 1, 2)) -> Arrays:
    """As many inputs of every label."""
    return arrays_of(np.resize(labels, TRAIN + VALIDATION), np.resize(labels, TEST))


def whole_path(
    folder: Path, data: Arrays | DataConfig, task: TaskConfig, *, hidden: tuple[int, ...] = (3,), **changes: Any
) -> Table:
    """Runs every stage in a subfolder; the rows of its results."""
    if not isinstance(data, DataConfig):
        np.savez(folder / "mine.npz", **data)
        file = str(folder / "mine.npz")
        data = replace(DataConfig("arrays", None, file, (), VALIDATION), **changes)
    config = tiny(folder / "run")
    config = replace(
        config,
        data=data,
        task=task,
        classifier=ClassifierConfig(hidden),
        zoo=replace(config.zoo, batch_size=32, pivot_accuracy=0.5),
        codec=replace(config.codec, basis_size=SIZE),
        reference=replace(config.reference, batch_size=32, epochs=20.0),
        training=replace(config.training, alignment_every=0),
    )
    printed(config, end_to_end.run)
    return artifacts.read_rows(folder / "run" / "results.jsonl")


def check(rows: Table, name: str, classifier: str, *forget_sets: tuple[int, ...]) -> None:
    """Every metric of every request is there and finite; models retrained without classes are wrong on them, right on others."""
    assert {row["dataset"] for row in rows} == {name}
    assert {row["classifier"] for row in rows} == {classifier}
    assert {tuple(row["forget_set"]) for row in rows} == {*forget_sets, ()}
    assert all(math.isfinite(row["value"]) for row in rows)
    for forget in forget_sets:
        means = {
            (row["method"], row["selection"], row["metric"]): row["value"]
            for row in rows
            if row["forget_set"] == list(forget) and row["class"] is None and row["statistic"] == "mean"
            if not row["metric"].startswith("relearning")  # beside the clean reference
        }
        metrics = {metric for _, _, metric in means}
        assert {"test_accuracy", "overlap_retain", "overlap_forget", "phi_jsd", "mia"} <= metrics
        assert len(means) == 3 * len(metrics)
        assert means["retrain", None, "forget_accuracy"] < 0.5
        assert means["retrain", None, "retain_accuracy"] > 0.8


@pytest.mark.slow
def test_any_subset_of_named_classes_in_any_order_with_odd_labels(tmp_path: Path) -> None:
    labels = (1000, -5, 7, 3, 4)
    kept, held = hold_out(500, 100)
    y_train = np.empty(500, np.int64)  # of the first three labels as many in each split as in the other tests
    for rows, chosen in ((kept, TRAIN), (held, VALIDATION)):
        y_train[rows] = [*np.resize(labels[:3], chosen), *np.resize(labels[3:], len(rows) - chosen)]
    arrays = arrays_of(y_train, np.resize(labels, TEST // 3 * 5))
    arrays["class_names"] = np.array(["ant", "bee", "cat", "dog", "emu"])
    arrays["x_train"], arrays["x_test"] = 1e4 * arrays["x_train"] + 1e5, 1e4 * arrays["x_test"] + 1e5
    task = TaskConfig(pivots=(7,), forget_sets=((1000, -5),))
    rows = whole_path(tmp_path, arrays, task, classes=(1000, -5, 7), validation_size=100, standardise=True)
    check(rows, "arrays:mine-1000,-5,7", "6-3-3", (-5, 1000))


@pytest.mark.slow
def test_very_unbalanced_classes(tmp_path: Path) -> None:
    """The forgotten class has two inputs to train on, one of them for validation, and one for test."""
    y_train, y_test = np.zeros(TRAIN + VALIDATION, int), np.zeros(TEST, int)
    y_train[:40], y_train[40:42], y_test[:12], y_test[12] = 1, 2, 1, 2
    task = TaskConfig(pivots=(0,), forget_sets=((2,),))
    check(whole_path(tmp_path, arrays_of(y_train, y_test), task), "arrays:mine", "6-3-3", (2,))


def idx_file(values: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes())


@pytest.mark.slow
def test_images_with_constant_pixels_give_the_same_numbers_from_idx_files_and_as_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel is the same in all images, and all images of one class are one grey."""
    arrays = balanced()
    for part in ("train", "test"):
        pixels, labels = arrays[f"x_{part}"], arrays[f"y_{part}"].astype(np.uint8)
        pixels[:, 5] = 0.5
        pixels[labels == 0] = 0.5
        arrays |= {f"x_{part}": (255 * pixels).astype(np.uint8).reshape(-1, 3, 2), f"y_{part}": labels}
    checksums = {}
    for name, values in zip(idx.FILES, (arrays[f"{x}_{p}"] for p in ("train", "test") for x in "xy"), strict=True):
        content = idx_file(values)
        (tmp_path / f"{name}.gz").write_bytes(content)
        checksums[name] = hashlib.sha256(gzip.decompress(content)).hexdigest()
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", checksums)
    monkeypatch.setattr(idx, "INFO", idx.INFO._replace(num_train=TRAIN + VALIDATION, input_shape=(3, 2)))
    task, classes = TaskConfig(pivots=(2, 0), forget_sets=((1,),)), (2, 0, 1)
    files = DataConfig("mnist", str(tmp_path), None, classes, VALIDATION)
    results = []
    for name, data in (("files", files), ("arrays", arrays)):
        (tmp_path / name).mkdir()
        results.append(whole_path(tmp_path / name, data, task, classes=classes))
    ours, theirs = ([{**row, "dataset": None} for row in rows] for rows in results)
    assert ours == theirs
    check(results[1], "arrays:mine", "6-3-3", (1,))


@pytest.mark.slow
def test_two_classes_one_retained_no_pivots_and_several_hidden_layers(tmp_path: Path) -> None:
    task = TaskConfig(pivots=(), forget_sets=((3,), (1,)))
    rows = whole_path(tmp_path, balanced((3, 1)), task, classes=(3, 1), hidden=(5, 4))
    check(rows, "arrays:mine", "6-5-4-2", (3,), (1,))


@pytest.mark.slow
def test_26_classes_of_feature_vectors(tmp_path: Path) -> None:
    inputs, labels = make_blobs(26 * 40, 16, centers=26, random_state=0)
    half = len(labels) // 2
    arrays = {
        "x_train": inputs[:half],
        "y_train": labels[:half],
        "x_test": inputs[half:],
        "y_test": labels[half:],
        "class_names": np.array([chr(ord("a") + label) for label in range(26)]),
    }
    task = TaskConfig(pivots=tuple(range(22)), forget_sets=((24,), (22, 23, 24, 25)))
    rows = whole_path(tmp_path, arrays, task, hidden=(16,), standardise=True)
    check(rows, "arrays:mine", "16-16-26", (24,), (22, 23, 24, 25))
