"""One classifier in files that other software reads: its weights, and what goes in and comes out.

model.safetensors   weights under the names of a `torch.nn.Sequential` of Linear and ReLU layers: "0.weight" [out, in], "0.bias" [out],
                    "2.weight", …; float32
model.json          architecture, classes, what was forgotten, and how stored images become inputs
model.onnx          the same network for ONNX Runtime, if it is asked for: "inputs" [n, d] to "logits" [n, K]
"""

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.data import Dataset
from hyperforget_jax.data.source import Preprocessing
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.weights.layout import num_weights

FORMAT = 1
WEIGHTS, ABOUT, ONNX = "model.safetensors", "model.json", "model.onnx"
FLOAT_BYTES, HEADER_BYTES = 4, 2**20
"""Bytes of a weight, and at most of a header."""
OPSET, IR_VERSION = 17, 8
"""Versions of ONNX that are written: old enough for every runtime of the last years."""
REMEDY = "restore it from a copy, or export the model again"


@dataclass(frozen=True)
class ModelDescription:
    """What a stored classifier takes and answers.

    Attributes:
      sizes: width of every layer, input and output included; ReLU between them.
      classes: labels, in the order of the outputs.
      class_names: names of these labels; None: they have none.
      forgotten: labels of the classes that the model was made to forget.
      input_shape: of one stored image, or (d,) of feature vectors; inputs are flattened in the order of rows.
      preprocessing: from a stored image to an input.
    """

    sizes: tuple[int, ...]
    classes: tuple[int, ...]
    class_names: tuple[str, ...] | None
    forgotten: tuple[int, ...]
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing


class StoredModel(NamedTuple):
    """A classifier with its description, as `hf.load_model` gives it.

    Attributes:
      params: the classifier.
      about: what it takes and answers.
    """

    params: Params
    about: ModelDescription


def description(dataset: Dataset, sizes: tuple[int, ...], forgotten: tuple[int, ...]) -> ModelDescription:
    """The description of a classifier of a dataset."""
    about = dataset.classes, dataset.class_names, forgotten, dataset.input_shape, dataset.preprocessing
    return ModelDescription(tuple(sizes), *about)


def arrays_of(params: Params) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of `model.safetensors` by their names."""
    return {
        f"{2 * index}.{name}": np.asarray(layer[key], np.float32)
        for index, layer in enumerate(params)
        for name, key in (("weight", "w"), ("bias", "b"))
    }


def write(folder: Path, params: Params, about: ModelDescription, onnx: bool = False) -> None:
    """Writes `model.safetensors` and `model.json` into a folder, and `model.onnx` if it is asked for."""
    artifacts.write_arrays(folder / WEIGHTS, arrays_of(params))
    shift, scale = about.preprocessing.shift, about.preprocessing.scale
    preprocessing = {
        "divide_by": about.preprocessing.white,
        "shift": None if shift is None else np.asarray(shift, np.float64).tolist(),
        "scale": None if scale is None else np.asarray(scale, np.float64).tolist(),
    }
    told = {
        "format": FORMAT,
        "architecture": "mlp",
        "activation": "relu",
        "dtype": "float32",
        **{name: value for name, value in asdict(about).items() if name != "preprocessing"},
        "preprocessing": preprocessing,
    }
    artifacts.write_text(folder / ABOUT, json.dumps(told, indent=2, allow_nan=False) + "\n")
    if onnx:
        write_onnx(folder, params, about)


def read(folder: Path) -> StoredModel:
    """Reads what `write` wrote; sizes are compared before any array is read.

    Raises:
      HyperForgetError: a file is missing, damaged, of another format, or larger than its description says; names it.
    """
    about, path = _described(folder / ABOUT), folder / WEIGHTS
    try:
        size = path.stat().st_size
    except OSError as error:
        raise HyperForgetError(f"{path} is missing: {REMEDY}") from error
    if size > (most := num_weights(about.sizes) * FLOAT_BYTES + HEADER_BYTES):
        raise HyperForgetError(
            f"{path} has {size} bytes, a classifier {about.sizes} has at most {most}: it is not the model of {folder / ABOUT}, {REMEDY}"
        )
    arrays = artifacts.read_arrays(path)
    layers = list(zip(about.sizes[:-1], about.sizes[1:], strict=True))
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (fan_in, fan_out) in enumerate(layers):
        shapes |= {f"{2 * index}.weight": (fan_out, fan_in), f"{2 * index}.bias": (fan_out,)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes or any(array.dtype != np.float32 for array in arrays.values()):
        raise HyperForgetError(f"{path} holds {found}, {folder / ABOUT} says {shapes} of float32: {REMEDY}")
    params = tuple(
        {"w": jnp.asarray(arrays[f"{2 * index}.weight"]), "b": jnp.asarray(arrays[f"{2 * index}.bias"])}
        for index in range(len(layers))
    )
    validate_finite(f"weights of {path}", params, REMEDY)
    return StoredModel(params, about)


def validate_onnx() -> None:
    """Refuses to write `model.onnx` without the library that does.

    Raises:
      HyperForgetError: it is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise HyperForgetError("model.onnx is written by the package onnx: pip install 'hyperforget-jax[onnx]'")


def write_onnx(folder: Path, params: Params, about: ModelDescription) -> None:
    """Writes `model.onnx` into a folder."""
    from onnx import TensorProto, checker, helper, numpy_helper  # an extra

    nodes, arrays, values = [], arrays_of(params), "inputs"
    for index in range(len(params)):
        last = index == len(params) - 1
        out = "logits" if last else f"layer{index}"
        nodes.append(helper.make_node("Gemm", [values, f"{2 * index}.weight", f"{2 * index}.bias"], [out], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [out], [f"units{index}"]))
        values = f"units{index}"
    ends = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])]
        for name, width in (("inputs", about.sizes[0]), ("logits", about.sizes[-1]))
    )
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "classifier", *ends, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, {"classes": json.dumps(about.classes), "forgotten": json.dumps(about.forgotten)})
    checker.check_model(model)
    (folder / ONNX).write_bytes(model.SerializeToString())


def _described(path: Path) -> ModelDescription:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        if (found := told["format"]) != FORMAT:
            raise HyperForgetError(
                f"{path} has format {found}, this version reads {FORMAT}: install the version that wrote it, or export again"
            )
        preprocessing, names = told["preprocessing"], told["class_names"]
        shift, scale = (
            None if preprocessing[name] is None else np.array(preprocessing[name], np.float64)
            for name in ("shift", "scale")
        )
        sizes, classes, forgotten, input_shape = (
            tuple(int(each) for each in told[name]) for name in ("sizes", "classes", "forgotten", "input_shape")
        )
        about = ModelDescription(
            sizes=sizes,
            classes=classes,
            class_names=None if names is None else tuple(map(str, names)),
            forgotten=forgotten,
            input_shape=input_shape,
            preprocessing=Preprocessing(int(preprocessing["divide_by"]), shift, scale),
        )
    except FileNotFoundError as error:
        raise HyperForgetError(f"{path} is missing: name the folder of an exported model, or {REMEDY}") from error
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise HyperForgetError(f"{path} is damaged: {REMEDY}") from error
    if len(about.sizes) < 2 or min(about.sizes) < 1 or about.sizes[-1] != len(about.classes):
        raise HyperForgetError(f"{path} is damaged: {REMEDY}")
    return about
