"""Round trip through the disk; deleted values are not in the file."""

import json
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.bottleneck import forgetting, model, serialization
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts
from tests.bottleneck.conftest import CONFIG, Problem


def test_a_loaded_bottleneck_answers_the_same_and_holds_no_deleted_value(problem: Problem, tmp_path: Path) -> None:
    images = problem.embeddings[problem.labels == 3]
    forgotten = forgetting.activations(problem.bottleneck, images, CONFIG, None).bottleneck
    serialization.save(forgotten, CONFIG, tmp_path / "b")
    loaded, config = serialization.load(tmp_path / "b")
    assert config == CONFIG
    answers = (np.asarray(model.logits(each, problem.validation, config)) for each in (forgotten, loaded))
    np.testing.assert_array_equal(*answers)
    stored = artifacts.read_arrays(tmp_path / "b" / "bottleneck.safetensors")
    assert (stored["values"][stored["masked"]] == 0).all()
    assert stored["masked"].any()


def test_another_format_is_refused(problem: Problem, tmp_path: Path) -> None:
    with artifacts.new_artifact(tmp_path / "b", {}) as folder:
        artifacts.write_text(folder / "config.json", json.dumps({"format": 0}))
    with pytest.raises(HyperForgetError, match="has format 0, expected 1: train the bottleneck again"):
        serialization.load(tmp_path / "b")


def test_a_damaged_file_is_refused(problem: Problem, tmp_path: Path) -> None:
    serialization.save(problem.bottleneck, CONFIG, tmp_path / "b")
    path = tmp_path / "b" / "bottleneck.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HyperForgetError, match="its manifest says"):
        serialization.load(tmp_path / "b")
