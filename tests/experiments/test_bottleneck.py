"""The bottleneck's experiment: its whole path on digits, and known answers of its parts."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiments import bottleneck, bottleneck_parts
from experiments.bottleneck_parts import ridge_head, ridge_statistics
from hyperforget_jax.config import DataConfig
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.data import Dataset, load

SMALL = ("--bottleneck.codebooks", "16", "--bottleneck.pairs", "64", "--bottleneck.subspace", "8")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs, labels = load_digits(return_X_y=True)
    path = tmp_path_factory.mktemp("features") / "digits.npz"
    inputs = (inputs / 16).astype(np.float32)
    np.savez(path, x_train=inputs[:1300], y_train=labels[:1300], x_test=inputs[1300:], y_test=labels[1300:])
    return path


@pytest.fixture(scope="module")
def data(features: Path) -> Dataset:
    return load(DataConfig(name="arrays", file=str(features), classes=(), validation_size=100))


@pytest.fixture(scope="module")
def rows(features: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("bottleneck")
    arguments = ["--data.file", str(features), "--data.validation-size", "100", "--workdir", str(folder), *SMALL]
    assert bottleneck.main([*arguments, "--curve-classes", "2"]) == 0
    assert {path.name for path in folder.iterdir()} == {"bottleneck.md", "bottleneck.jsonl", "figures"}
    assert len(list((folder / "figures").iterdir())) == 6
    return [json.loads(line) for line in (folder / "bottleneck.jsonl").read_text().splitlines()]


def of_kind(rows: list[dict[str, object]], kind: str) -> list[dict[str, object]]:
    return [row for row in rows if row["kind"] == kind]


@pytest.mark.slow
def test_a_class_that_is_masked_is_forgotten_for_good_and_the_others_stay(rows: list[dict[str, object]]) -> None:
    answers = of_kind(rows, "class")
    assert [row["class"] for row in answers] == list(range(10))
    for row in answers:
        assert row["forget training accuracy"] <= 0.02
        assert row["unmasked, forget training accuracy"] <= 0.1  # chance
        assert row["retain accuracy"] >= 0.75
    assert of_kind(rows, "training")[0]["test"] >= 0.85


@pytest.mark.slow
def test_more_masked_pairs_leave_less_of_the_class(rows: list[dict[str, object]]) -> None:
    """Nearly: expected accuracies of images with equal logits may rise a little."""
    for name, number in (("pairs", "pairs"), ("examples", "examples")):
        curve = [row for row in of_kind(rows, f"curve over {name}") if row["class"] == 0]
        left = [row["forget training accuracy"] for row in curve]
        assert [row[number] for row in curve] == sorted(row[number] for row in curve)
        assert left[0] > 0.5 > 0.02 >= left[-1]
        assert np.all(np.diff(left) <= 0.05)


def test_a_ridge_head_by_subtraction_is_the_one_that_never_saw_the_class(data: Dataset) -> None:
    without = 3
    kept = data.train.labels != without
    images = np.hstack([data.train.images[kept], np.ones((kept.sum(), 1))]).astype(np.float64)
    targets = np.delete(np.eye(10)[data.train.labels[kept]], without, axis=1)
    moments = images.T @ images
    penalty = bottleneck_parts.PENALTY * np.trace(moments) / len(moments)
    weights = np.linalg.solve(moments + penalty * np.eye(len(moments)), images.T @ targets)
    scores = data.test.images @ weights[:-1] + weights[-1]
    predictions = np.delete(np.arange(10), without)[scores.argmax(1)]
    others = data.test.labels != without
    found = ridge_head(ridge_statistics(data), data, without)
    assert found["retain accuracy"] == (predictions == data.test.labels)[others].mean()
    assert found["forget accuracy"] == 0.0


@pytest.mark.slow
def test_classes_share_all_pairs_with_themselves_and_few_with_others(data: Dataset) -> None:
    config = BottleneckConfig(codebooks=8, pairs=64, subspace=8, key_steps=5, value_epochs=1)
    matrix = bottleneck_parts.overlaps(bottleneck_parts.trained(data, config).bottleneck, data, config)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    np.testing.assert_allclose(matrix, matrix.T)
    assert matrix[~np.eye(10, dtype=bool)].max() < 0.8


def test_the_least_number_of_pairs_at_which_every_class_has_arrived() -> None:
    def row(label: int, pairs: int, accuracy: float) -> dict[str, object]:
        return {"class": label, "pairs": pairs, "forget training accuracy": accuracy}

    config = BottleneckConfig(codebooks=2, pairs=50)
    rows = [row(0, 10, 0.0), row(1, 10, 0.1), row(0, 40, 0.0), row(1, 40, 0.0), row(0, 100, 0.0), row(1, 100, 0.0)]
    assert bottleneck.sufficient(rows, config) == 40
    assert bottleneck.sufficient(rows[:2], config) == 100


def test_an_experiment_on_fewer_than_one_class_is_refused(features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data.file", str(features), "--data.validation-size", "100", "--curve-classes", "0"]
    assert bottleneck.main(arguments) == 2
    assert "--curve-classes is 0: choose at least 1" in capsys.readouterr().err
