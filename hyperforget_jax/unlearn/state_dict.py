"""A classifier from a file of arrays that somebody else wrote, such as a PyTorch state dict in safetensors.

Every layer is a matrix and a vector whose names differ after the last dot alone: "fc1.weight" and "fc1.bias", "0.weight" and "0.bias",
"layers_0.kernel" and "layers_0.bias". Layers follow each other in the natural order of their names, and shapes tell which matrices are
transposed; a square one is taken as [out, in], as PyTorch has it, unless its name is "kernel", which is Flax's [in, out].
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.weights.layout import num_weights

Array = np.ndarray[Any, Any]
KERNEL = "kernel"
FLOAT_BYTES, HEADER_BYTES = 8, 2**20
"""Bytes of a weight and of a header, at most."""


def read(path: Path, sizes: Sequence[int]) -> Params:
    """The classifier in a file.

    Args:
      path: a safetensors file.
      sizes: width of every layer that the classifier must have.

    Raises:
      HyperForgetError: no such file, a damaged one, or the arrays are not those of such a classifier; says what was found and expected.
    """
    most = num_weights(tuple(sizes)) * FLOAT_BYTES + HEADER_BYTES
    try:
        size = path.stat().st_size
    except OSError as error:
        raise HyperForgetError(f"{path} is missing: name a .safetensors file") from error
    if size > most:
        raise HyperForgetError(
            f"{path} has {size} bytes, a classifier {tuple(sizes)} has at most {most}: name the file of such a one"
        )
    found = {name: shape for name, (shape, _) in _headers(path).items()}
    expected = f"a matrix and a vector for each of the layers {tuple(sizes)}"
    layers = _layers(found)
    if len(layers) != len(sizes) - 1:
        raise HyperForgetError(f"{path} holds {_told(found)}, expected {expected}: name a file of one classifier")
    arrays = artifacts.read_arrays(path)
    params = []
    for (matrix, vector), fan_in, fan_out in zip(layers, sizes[:-1], sizes[1:], strict=True):
        shape, flipped = found[matrix], matrix.rpartition(".")[2] == KERNEL
        if shape not in ((fan_out, fan_in), (fan_in, fan_out)) or found[vector] != (fan_out,):
            raise HyperForgetError(
                f"{path} holds {_told(found)}, expected {expected}: {matrix} is no layer from {fan_in} to {fan_out} units"
            )
        transposed = flipped if fan_in == fan_out else shape == (fan_in, fan_out)
        w = arrays[matrix].T if transposed else arrays[matrix]
        params.append({"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(arrays[vector], jnp.float32)})
    validate_finite(f"weights of {path}", params, "name a file of a classifier that has learned")
    return tuple(params)


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shapes and types of all arrays, before any is read."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (tuple(each.get_shape()), each.get_dtype()) for name, each in slices.items()}
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise HyperForgetError(f"cannot read {path} ({error}): name a .safetensors file") from error


def _layers(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, str]]:
    """Names of matrix and vector of every layer, in natural order; empty if the arrays are not such pairs."""
    groups: dict[str, dict[int, str]] = {}
    for name, shape in shapes.items():
        group = groups.setdefault(name.rpartition(".")[0], {})
        if len(shape) in group:
            return []
        group[len(shape)] = name
    if any(set(group) != {1, 2} for group in groups.values()):
        return []
    ordered = sorted(
        groups, key=lambda name: [int(each) if each.isdigit() else each for each in re.split(r"(\d+)", name)]
    )
    return [(groups[name][2], groups[name][1]) for name in ordered]


def _told(shapes: dict[str, tuple[int, ...]]) -> str:
    told = ", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:8])
    return f"{told}, …" if len(shapes) > 8 else told or "nothing"
