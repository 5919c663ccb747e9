"""A trained hypernetwork on disk: safetensors files of plain arrays."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig
from hyperforget_jax.diffusion import dit, targets
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights import codec


def save(hypernetwork: Hypernetwork, folder: Path) -> None:
    """Writes `model.safetensors` (names are paths in the parameter tree), `conditioning.safetensors` and `codec.safetensors`."""
    leaves = jax.tree_util.tree_leaves_with_path(hypernetwork.params)
    arrays: dict[str, Any] = {_name(path): np.asarray(leaf) for path, leaf in leaves}
    artifacts.write_arrays(folder / "model.safetensors", arrays)
    condition: dict[str, Any] = {k: np.asarray(v) for k, v in hypernetwork.condition._asdict().items()}
    artifacts.write_arrays(folder / "conditioning.safetensors", condition)
    codec.save(hypernetwork.codec, folder)


def load(folder: Path, config: HypernetworkConfig, diffusion: DiffusionConfig) -> Hypernetwork:
    """Reads what `save` wrote; the configs are those it was trained with."""
    coder = codec.load(folder)
    stored = artifacts.read_arrays(folder / "conditioning.safetensors")
    condition = Conditioning(**{name: jnp.asarray(stored[name]) for name in Conditioning._fields})
    transformer = dit.make(config, diffusion, coder.layout, len(condition.mean), targets.width(config, coder.sizes[-1]))
    arrays = artifacts.read_arrays(folder / "model.safetensors")
    params = jax.tree_util.tree_map_with_path(
        lambda path, _: jnp.asarray(arrays[_name(path)]), jax.eval_shape(transformer.init, jax.random.key(0))
    )
    return Hypernetwork(params, transformer, coder, condition, diffusion)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(part.key for part in path)
