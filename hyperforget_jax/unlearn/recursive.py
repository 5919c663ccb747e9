"""DiHyFo-1 for a model in hand: the model's file, a start that every sample shares, and recursive prompting (G.pt, section A.6)."""

import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.data import arrays
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn.halving import Generate
from hyperforget_jax.weights.layout import shapes

Update = Callable[[jax.Array, jax.Array, Params, jax.Array], Params]
"""(keys [N], class losses asked for [N, K], N stacked models, their class losses [N, K]) -> N stacked models: DiHyFo-1."""
Measure = Callable[[Params], jax.Array]
"""N stacked models -> their class losses [N, K], in nats."""


def recursively(
    generate: Update, measure: Measure, keys: jax.Array, losses: jax.Array, start: Params, rounds: int
) -> list[Params]:
    """The hypernetwork applied to its own output, again and again with the same target (G.pt's recursive optimisation).

    Args:
      generate: the hypernetwork.
      measure: what the models have before each round.
      keys: [N]; round r draws from fold_in(key, r).
      losses: [N, K], the target, in nats; NaN is a class of which any loss will do.
      start: N stacked models.
      rounds: how often.

    Returns:
      N stacked models of every round, the first round first.
    """
    rounds_done, models = [], start
    for number in range(rounds):
        draws = jax.vmap(partial(jax.random.fold_in, data=number))(keys)  # [N]
        models = generate(draws, losses, models, measure(models))
        rounds_done.append(models)
    return rounds_done


def starting(generate: Update, measure: Measure, model: Params) -> Generate:
    """The hypernetwork as a generator all of whose samples start from one model."""
    current = measure(repeated(model, 1))  # [1, K]

    def begin(keys: jax.Array, losses: jax.Array) -> Params:
        count = len(keys)
        return generate(keys, losses, repeated(model, count), jnp.repeat(current, count, axis=0))

    return begin


def repeated(model: Params, count: int) -> Params:
    """One model as `count` stacked ones."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[None], count, axis=0), model)


def write(path: Path, model: Params) -> None:
    """Writes one model as an `.npz` file: w0 [out, in], b0 [out], w1, b1, …"""
    arrays: dict[str, Any] = {
        f"{name}{index}": np.asarray(leaf) for index, layer in enumerate(model) for name, leaf in layer.items()
    }
    np.savez(path, **arrays)


def read(path: Path, sizes: Sequence[int]) -> Params:
    """Reads what `write` wrote, or anyone else.

    Args:
      path: an `.npz` file.
      sizes: width of every layer of the classifier.

    Raises:
      HyperForgetError: no such file, no `.npz` or one with pickled objects; an array that is missing, too many, of another
        shape or type, or not finite.
    """
    names = [f"{name}{index}" for index in range(len(sizes) - 1) for name in ("w", "b")]
    wanted = dict(zip(names, shapes(sizes), strict=True))
    listed = ", ".join(f"{name} {shape}" for name, shape in wanted.items())
    remedy = f"give the float32 arrays {listed} of a {'-'.join(map(str, sizes))} classifier, by numpy.savez"
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = [name.removesuffix(".npy") for name in archive.namelist()]
            for name in [*wanted, *members]:
                if name not in members:
                    raise HyperForgetError(f"the model {path} has no array {name}: {remedy}")
                if name not in wanted:
                    raise HyperForgetError(f"the model {path} has an array {name} too many: {remedy}")
            stored = arrays.npz(archive, wanted)
            for name, (dtype, shape) in stored.headers.items():  # before any array is read
                if shape != wanted[name] or dtype != np.float32:
                    raise HyperForgetError(f"the model {path} has {name} {shape} in {dtype}: {remedy}")
            tensors = [jnp.asarray(stored.read(name)) for name in wanted]
    except arrays.DAMAGE as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise HyperForgetError(f"cannot read the model {path} ({reason}): {remedy}") from error
    for name, tensor in zip(wanted, tensors, strict=True):
        if not np.isfinite(tensor).all():
            raise HyperForgetError(f"the model {path} has numbers in {name} that are not finite: {remedy}")
    return tuple({"w": w, "b": b} for w, b in zip(tensors[::2], tensors[1::2], strict=True))
