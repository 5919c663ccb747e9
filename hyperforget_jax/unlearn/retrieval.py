"""What a generator must beat: the zoo's nearest checkpoints, one of them with noise, and their average."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]

from hyperforget_jax.classifier import Params
from hyperforget_jax.weights import symmetry

Floats = NDArray[np.float32]


def nearest(known: Floats, asked: Floats, count: int) -> NDArray[np.int64]:
    """Retrieval: the checkpoints whose losses are nearest to each prompt, by Euclidean distance.

    Both sides are standardised log losses, as a hypernetwork sees them (`diffusion.conditioning.standardise`, with the zoo's statistics).

    Args:
      known: [n, K], those of the checkpoints.
      asked: [Q, K], those of the prompts; NaN is a class of which any loss will do.
      count: checkpoints per prompt, at most n.

    Returns:
      [Q, count], rows of `known`, the nearest first.
    """
    by_class = np.ascontiguousarray(known.T)  # [K, n]
    rows = np.empty((len(asked), count), np.int64)
    for row, prompt in zip(rows, asked, strict=True):
        squares = np.nansum((by_class - prompt[:, None]) ** 2, axis=0)  # [n]
        found = np.sort(np.argpartition(squares, count - 1)[:count])
        row[:] = found[np.argsort(squares[found], kind="stable")]
    return rows


def noisy(key: jax.Array, networks: Params, share: float) -> Params:
    """Networks with Gaussian noise on every tensor.

    Args:
      key: a typed key.
      networks: N stacked networks.
      share: deviation of the noise, as a share of the root mean square of each network's own tensor.

    Returns:
      N stacked networks.
    """
    leaves, structure = jax.tree.flatten(networks)

    def perturbed(leaf_key: jax.Array, leaf: jax.Array) -> jax.Array:
        rms = jnp.sqrt(jnp.mean(leaf**2, axis=tuple(range(1, leaf.ndim)), keepdims=True))  # [N, 1, …]
        return leaf + share * rms * jax.random.normal(leaf_key, leaf.shape, leaf.dtype)

    return jax.tree.unflatten(structure, map(perturbed, jax.random.split(key, len(leaves)), leaves))


def averaged(networks: Params) -> Params:
    """The average of networks, after each is brought as near to the first as its symmetries allow.

    Rescaling and softmax shift are fixed as in `weights.codec.Functional`. Then the hidden units are matched to the first network's,
    layer after layer, at the least sum of squared distances between what is comparable by then: incoming weights and biases, and in the
    last hidden layer outgoing weights as well. For one hidden layer the matching is optimal.

    Args:
      networks: m stacked networks; the first is the one to follow.

    Returns:
      One network.
    """
    gauged = _gauged(networks)
    first, *others = (
        jax.tree.map(lambda leaf, row=row: leaf[row], gauged) for row in range(len(gauged[-1]["b"]))
    )
    aligned = [first, *(_aligned(network, first) for network in others)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves).mean(0), *aligned)


@jax.jit
@jax.vmap
def _gauged(network: Params) -> Params:
    """One network with centred outputs, |incoming| = 1 in earlier layers and |incoming| = |outgoing| in the last hidden one."""
    network = symmetry.centre(network)
    last = len(network) - 2
    for hidden in range(last + 1):
        norms = jnp.hypot(jnp.linalg.norm(network[hidden]["w"], axis=1), jnp.abs(network[hidden]["b"]))  # [H]
        network = (
            symmetry.normalise(network, hidden, norms) if hidden < last else symmetry.balance(network, norms)
        )
    return network


def _aligned(network: Params, target: Params) -> Params:
    """One network with the units of every hidden layer in the order of the target's."""
    for hidden in range(len(network) - 1):
        costs = cdist(_comparable(target, hidden), _comparable(network, hidden), "sqeuclidean")  # [H, H]
        network = symmetry.permute(network, hidden, jnp.asarray(linear_sum_assignment(costs)[1]))
    return network


def _comparable(network: Params, hidden: int) -> Floats:
    """What tells the units of a hidden layer apart once earlier layers are in order: one row per unit."""
    layer, after = network[hidden], network[hidden + 1]
    columns = [layer["w"], layer["b"][:, None]]
    if hidden == len(network) - 2:
        columns.append(after["w"].T)
    return np.concatenate(columns, axis=1)
