"""A classifier from somebody else's file: names in any style, transposed or not; what is no such classifier is told in one line."""

from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

from hyperforget_jax import classifier
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn import state_dict

SIZES = (6, 5, 5, 3)
PARAMS = classifier.init(jax.random.key(0), SIZES)


def file(
    folder: Path, names: list[str], weight: str = "weight", transposed: bool = False, dtype: str = "float32"
) -> Path:
    arrays = {}
    for name, layer in zip(names, PARAMS, strict=True):
        w = np.asarray(layer["w"], dtype)
        arrays[f"{name}.{weight}"] = np.ascontiguousarray(w.T if transposed else w)
        arrays[f"{name}.bias"] = np.asarray(layer["b"], dtype) + 1
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    return folder / "model.safetensors"


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["0", "2", "4"], {}),
        (["fc1", "fc2", "fc10"], {}),
        (["net.layers.8", "net.layers.9", "net.layers.10"], {}),
        (["Dense_0", "Dense_1", "Dense_2"], {"weight": "kernel", "transposed": True}),
        (["a", "b", "c"], {"dtype": "float64"}),
    ],
)
def test_a_file_in_any_style_gives_the_model(names: list[str], options: dict[str, object], tmp_path: Path) -> None:
    found = state_dict.read(file(tmp_path, names, **options), SIZES)  # type: ignore[arg-type]
    for one, other in zip(found, PARAMS, strict=True):
        np.testing.assert_array_equal(one["w"], other["w"])
        np.testing.assert_array_equal(one["b"], other["b"] + 1)
        assert one["w"].dtype == one["b"].dtype == np.float32


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    safetensors.numpy.save_file(arrays, folder / "model.safetensors")
    return folder / "model.safetensors"


def test_other_arrays_are_told_in_one_line(tmp_path: Path) -> None:
    w, b = np.ones((3, 4), np.float32), np.ones(3, np.float32)
    two = {"a.weight": w, "a.bias": b, "b.weight": w, "b.bias": b}
    cases = {
        "expected a matrix and a vector for each of the layers (4, 3)": [{"a.weight": w}, two],
        "is no layer from 4 to 3 units": [{"a.weight": w[:, :2], "a.bias": b}, {"a.weight": w, "a.bias": b[:2]}],
        "not finite": [{"a.weight": w * np.nan, "a.bias": b}],
    }
    for message, files in cases.items():
        for arrays in files:
            with pytest.raises(HyperForgetError) as refusal:
                state_dict.read(saved(tmp_path, **arrays), (4, 3))
            assert message in str(refusal.value)
            assert "\n" not in str(refusal.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(HyperForgetError, match="cannot read"):
        state_dict.read(tmp_path / "x.safetensors", SIZES)
    with pytest.raises(HyperForgetError, match=r"is missing: name a \.safetensors file"):
        state_dict.read(tmp_path / "nothing", SIZES)
    with (tmp_path / "x.safetensors").open("r+b") as large:
        large.truncate(2**33)
    with pytest.raises(HyperForgetError, match="has 8589934592 bytes, a classifier"):
        state_dict.read(tmp_path / "x.safetensors", SIZES)
