"""What a generator must beat: the zoo's nearest checkpoints, one of them with noise, and their average."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

from hyperforget_jax.classifier import Params
from hyperforget_jax.weights import symmetry
from hyperforget_jax.weights.canonical import gauge_of_many

Floats = NDArray[np.float32]


def nearest(zoo_losses: Floats, prompts: Floats, count: int) -> NDArray[np.int64]:
    """Retrieval: the checkpoints whose losses are nearest to each prompt, by Euclidean distance.

    Both sides are standardised log losses, as a hypernetwork sees them (`diffusion.conditioning.standardise`, with the zoo's statistics).

    Args:
      zoo_losses: [n, K], those of the checkpoints.
      prompts: [Q, K], those of the prompts; NaN is a class of which any loss will do.
      count: checkpoints per prompt, at most n.

    Returns:
      [Q, count], rows of `zoo_losses`, the nearest first.
    """
    by_class = np.ascontiguousarray(zoo_losses.T)  # [K, n]
    rows = np.empty((len(prompts), count), np.int64)
    for row, prompt in zip(rows, prompts, strict=True):
        squares = np.nansum((by_class - prompt[:, None]) ** 2, axis=0)  # [n]
        nearest_rows = np.sort(np.argpartition(squares, count - 1)[:count])
        row[:] = nearest_rows[np.argsort(squares[nearest_rows], kind="stable")]
    return rows


def noisy(key: jax.Array, models: Params, share: float) -> Params:
    """Models with Gaussian noise on every tensor.

    Args:
      key: a typed key.
      models: N stacked models.
      share: deviation of the noise, as a share of the root mean square of each model's own tensor.

    Returns:
      N stacked models.
    """
    leaves, structure = jax.tree.flatten(models)

    def perturbed(leaf_key: jax.Array, leaf: jax.Array) -> jax.Array:
        rms = jnp.sqrt(jnp.mean(leaf**2, axis=tuple(range(1, leaf.ndim)), keepdims=True))  # [N, 1, …]
        return leaf + share * rms * jax.random.normal(leaf_key, leaf.shape, leaf.dtype)

    return jax.tree.unflatten(structure, map(perturbed, jax.random.split(key, len(leaves)), leaves))


def averaged(models: Params) -> Params:
    """The average of models, after each is brought as near to the first as its symmetries allow.

    Rescaling and softmax shift are fixed as in `weights.canonical.gauge`. Then the hidden units are matched to the first model's,
    layer after layer, at the least sum of squared distances between what is comparable by then: incoming weights and biases, and in the
    last hidden layer outgoing weights as well. For one hidden layer the matching is optimal.

    Args:
      models: m stacked models; the first is the one to follow.

    Returns:
      One model.
    """
    gauged = gauge_of_many(models)
    first, *others = (jax.tree.map(lambda leaf, row=row: leaf[row], gauged) for row in range(len(gauged[-1]["b"])))
    aligned = [first, *(_aligned(model, first) for model in others)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(0), *aligned)


def _aligned(model: Params, target: Params) -> Params:
    """One model with the units of every hidden layer in the order of the target's."""
    for hidden in range(len(model) - 1):
        costs = cdist(_comparable(target, hidden), _comparable(model, hidden), "sqeuclidean")  # [H, H]
        model = symmetry.permute(model, hidden, jnp.asarray(linear_sum_assignment(costs)[1]))
    return model


def _comparable(model: Params, hidden: int) -> Floats:
    """What tells the units of a hidden layer apart once earlier layers are in order: one row per unit."""
    layer, after = model[hidden], model[hidden + 1]
    columns = [layer["w"], layer["b"][:, None]]
    if hidden == len(model) - 2:
        columns.append(after["w"].T)
    return np.concatenate(columns, axis=1)
