"""A stored model answers as before, in JAX, in plain numpy and in ONNX Runtime; damage is one line that names the file."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import onnxruntime
import pytest
import safetensors.numpy

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.data import Dataset, load_dataset
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn import model_file
from hyperforget_jax.unlearn.model_file import ABOUT, ONNX, WEIGHTS, ModelDescription

pytestmark = pytest.mark.usefixtures("programs")
SIZES = (64, 7, 5, 4)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset("digits", classes=range(4), standardise=True)


@pytest.fixture(scope="module")
def params() -> Params:
    layers = classifier.init(jax.random.key(3), SIZES)
    keys = jax.random.split(jax.random.key(4), len(layers))
    return tuple(
        {**layer, "b": jax.random.normal(key, layer["b"].shape)} for key, layer in zip(keys, layers, strict=True)
    )


@pytest.fixture
def stored(params: Params, data: Dataset, tmp_path: Path) -> Path:
    about = model_file.description(data, SIZES, (2, 3))
    model_file.write(tmp_path, params, about)
    model_file.write_onnx(tmp_path, params, about)
    return tmp_path


def logits(params: Params, data: Dataset) -> np.ndarray:
    return np.asarray(classifier.logits(params, data.test.images))


def test_a_model_comes_back_to_the_last_bit(stored: Path, params: Params) -> None:
    found = model_file.read(stored).params
    assert [layer.keys() for layer in found] == [layer.keys() for layer in params]
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_description_makes_inputs_of_stored_images(stored: Path, data: Dataset) -> None:
    about = model_file.read(stored).about
    assert (about.sizes, about.classes, about.forgotten, about.input_shape) == (SIZES, (0, 1, 2, 3), (2, 3), (8, 8))
    raw = load_dataset("digits", classes=range(4))  # divided by white, not standardised
    white, shift, scale = about.preprocessing
    pixels = raw.test.images * white
    np.testing.assert_array_equal(np.float32((np.float32(pixels / white) - shift) / scale), data.test.images)
    assert raw.preprocessing == (16, None, None)


def test_plain_numpy_gives_the_same_logits(stored: Path, params: Params, data: Dataset) -> None:
    """Written without this package: Linear and ReLU layers by the names that PyTorch gives them."""
    arrays = safetensors.numpy.load_file(stored / WEIGHTS)
    units = data.test.images
    for index in (0, 2, 4):
        units = units @ arrays[f"{index}.weight"].T + arrays[f"{index}.bias"]
        units = units if index == 4 else np.maximum(units, 0)
    np.testing.assert_allclose(units, logits(params, data), atol=1e-5, rtol=1e-5)


def test_onnx_runtime_gives_the_same_logits(stored: Path, params: Params, data: Dataset) -> None:
    session = onnxruntime.InferenceSession(stored / ONNX)
    (found,) = session.run(["logits"], {"inputs": data.test.images})
    np.testing.assert_allclose(found, logits(params, data), atol=1e-5, rtol=1e-5)
    assert json.loads(session.get_modelmeta().custom_metadata_map["forgotten"]) == [2, 3]


def rewrite(stored: Path, **changes: object) -> None:
    told = json.loads((stored / ABOUT).read_text())
    (stored / ABOUT).write_text(json.dumps(told | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": [64, 7, 4]}, "model.safetensors holds"),
        ({"sizes": [64, 7, 5, 3]}, "model.json is damaged"),
        ({"sizes": [2, 4], "classes": [0, 1, 2, 3]}, "model.safetensors holds"),
        ({"sizes": "many"}, "model.json is damaged"),
        ({"sizes": None}, "model.json is damaged"),
        ({"format": 7}, "has format 7, this version reads 1"),
        ({"preprocessing": {}}, "model.json is damaged"),
    ],
)
def test_a_description_of_another_model_is_refused(stored: Path, changes: dict[str, object], message: str) -> None:
    rewrite(stored, **changes)
    with pytest.raises(HyperForgetError) as refusal:
        model_file.read(stored)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_beyond_its_description_is_refused_before_it_is_read(stored: Path) -> None:
    with (stored / WEIGHTS).open("r+b") as file:
        file.truncate(2**34)  # sparse: 16 GiB that no reader may ask for
    with pytest.raises(HyperForgetError, match=r"has 17179869184 bytes, a classifier .* has at most"):
        model_file.read(stored)


@pytest.mark.parametrize(
    ("damage", "message"), [(b"", "cannot read"), (b"\x80\x04K\x01.", "cannot read"), (None, "is missing")]
)
def test_damaged_weights_are_named(stored: Path, damage: bytes | None, message: str) -> None:
    (stored / WEIGHTS).unlink()
    if damage is not None:
        (stored / WEIGHTS).write_bytes(damage)
    with pytest.raises(HyperForgetError, match=message):
        model_file.read(stored)


def test_weights_that_are_not_finite_are_refused(stored: Path, params: Params) -> None:
    broken = (*params[:-1], {**params[-1], "b": params[-1]["b"].at[0].set(np.nan)})
    about: ModelDescription = replace(model_file.read(stored).about, forgotten=())
    model_file.write(stored, broken, about)
    with pytest.raises(HyperForgetError, match="not finite"):
        model_file.read(stored)
