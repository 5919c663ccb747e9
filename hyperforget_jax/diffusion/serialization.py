"""A trained hypernetwork on disk: plain `.npz` arrays, one artifact."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig
from hyperforget_jax.diffusion import dit
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.weights import codec


def save(hypernetwork: Hypernetwork, folder: Path) -> None:
    """Writes `params.npz` (names are paths in the parameter tree), `condition.npz` and `codec.npz` into a folder."""
    leaves = jax.tree_util.tree_leaves_with_path(hypernetwork.params)
    arrays: dict[str, Any] = {_name(path): np.asarray(leaf) for path, leaf in leaves}
    np.savez(folder / "params.npz", **arrays)
    condition: dict[str, Any] = {k: np.asarray(v) for k, v in hypernetwork.condition._asdict().items()}
    np.savez(folder / "condition.npz", **condition)
    codec.save(hypernetwork.codec, folder)


def load(folder: Path, config: HypernetworkConfig, diffusion: DiffusionConfig) -> Hypernetwork:
    """Reads what `save` wrote; the configs are those it was trained with."""
    coder = codec.load(folder)
    with np.load(folder / "condition.npz", allow_pickle=False) as arrays:
        condition = Conditioning(**{name: jnp.asarray(arrays[name]) for name in Conditioning._fields})
    transformer = dit.make(config, diffusion, coder.layout, len(condition.mean))
    with np.load(folder / "params.npz", allow_pickle=False) as arrays:
        params = jax.tree_util.tree_map_with_path(
            lambda path, _: jnp.asarray(arrays[_name(path)]),
            jax.eval_shape(transformer.init, jax.random.key(0)),
        )
    return Hypernetwork(params, transformer, coder, condition, diffusion)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(part.key for part in path)
