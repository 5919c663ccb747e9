"""A trained hypernetwork on disk: safetensors files of plain arrays."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig
from hyperforget_jax.diffusion import dit, targets
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.guard import Guard
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Student
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights import codec

Arrays = dict[str, np.ndarray[Any, Any]]
STUDENT, GUARD = "student.safetensors", "guard.safetensors"
STEPS = "steps"
"""The name of a student's number of denoising steps in that file."""


def save(hypernetwork: Hypernetwork, folder: Path, dtype: DTypeLike = np.float32) -> None:
    """Writes `model.safetensors` (names are paths in the parameter tree), `conditioning.safetensors` and `codec.safetensors`.

    If it has a student, `student.safetensors` has its parameters by the same names, and its `steps`; if it has a guard,
    `guard.safetensors` has its bounds.

    Args:
      hypernetwork: the hypernetwork.
      folder: to write into.
      dtype: of the parameters on disk; they are read back as float32.
    """
    artifacts.write_arrays(folder / "model.safetensors", _arrays(hypernetwork.params, dtype))
    if hypernetwork.student is not None:
        params, steps = hypernetwork.student
        artifacts.write_arrays(folder / STUDENT, {**_arrays(params, dtype), STEPS: np.array(steps)})
    condition: dict[str, Any] = {k: np.asarray(v) for k, v in hypernetwork.condition._asdict().items()}
    artifacts.write_arrays(folder / "conditioning.safetensors", condition)
    if hypernetwork.guard is not None:
        artifacts.write_arrays(
            folder / GUARD, {name: np.asarray(value) for name, value in hypernetwork.guard._asdict().items()}
        )
    codec.save(hypernetwork.codec, folder)


def load(folder: Path, config: HypernetworkConfig, diffusion: DiffusionConfig) -> Hypernetwork:
    """Reads what `save` wrote; the configs are those it was trained with."""
    coder = codec.load(folder)
    stored = artifacts.read_arrays(folder / "conditioning.safetensors")
    condition = Conditioning(**{name: jnp.asarray(stored[name]) for name in Conditioning._fields})
    transformer = dit.make(config, diffusion, coder.layout, len(condition.mean), targets.width(config, coder.sizes[-1]))
    shapes = jax.eval_shape(transformer.init, jax.random.key(0))

    def tree(arrays: Arrays) -> Params:
        return jax.tree_util.tree_map_with_path(
            lambda path, shape: jnp.asarray(arrays[_name(path)].astype(shape.dtype)), shapes
        )

    params, student = tree(artifacts.read_arrays(folder / "model.safetensors")), None
    if (folder / STUDENT).exists():
        arrays = artifacts.read_arrays(folder / STUDENT)
        student = Student(tree(arrays), int(arrays[STEPS]))
    guard = None
    if (folder / GUARD).exists():
        guard = Guard(**{name: jnp.asarray(value) for name, value in artifacts.read_arrays(folder / GUARD).items()})
    return Hypernetwork(params, transformer, coder, condition, diffusion, student, guard)


def _arrays(params: Params, dtype: DTypeLike) -> Arrays:
    return {_name(path): np.asarray(leaf, dtype) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(part.key for part in path)
