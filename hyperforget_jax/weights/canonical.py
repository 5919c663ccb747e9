"""One representative of every model: rescaling and softmax shift are fixed by a gauge, and the units are sorted."""

import jax
import jax.numpy as jnp

from hyperforget_jax.classifier import Params
from hyperforget_jax.weights import symmetry
from hyperforget_jax.weights.layout import flatten


def gauge(params: Params) -> Params:
    """The same function with outputs centred, |incoming| = 1 in earlier hidden layers and |incoming| = |outgoing| in the last.

    It is the gauge of the functional codec (see `codec`), with norms of the weights and the bias themselves in place of codes.

    Args:
      params: one model with at least one hidden layer.
    """
    params = symmetry.centre(params)
    last = len(params) - 2
    for hidden in range(last):
        params = symmetry.normalise(params, hidden, _incoming_norms(params, hidden))
    return symmetry.balance(params, _incoming_norms(params, last))


def canonical_vector(params: Params) -> jax.Array:
    """The weights [P] of one model in its gauge, with the units of every hidden layer sorted.

    The last hidden layer is sorted by the outgoing weight to the first class, earlier ones by |outgoing|: neither depends on the order
    of other layers. Models that differ by a symmetry alone (see `symmetry`) have the same vector.

    Args:
      params: one model with at least one hidden layer.
    """
    fixed = gauge(params)
    norms = [jnp.linalg.norm(layer["w"], axis=0) for layer in fixed[1:-1]]  # [H] each
    ranks = [*norms, fixed[-1]["w"][0]]
    return flatten(symmetry.permute_units(fixed, list(map(jnp.argsort, ranks))))


def _incoming_norms(params: Params, hidden: int) -> jax.Array:
    """|incoming weights and bias| [H] of every unit of a hidden layer."""
    layer = params[hidden]
    return jnp.hypot(jnp.linalg.norm(layer["w"], axis=1), jnp.abs(layer["b"]))


gauge_of_many = jax.jit(jax.vmap(gauge))
"""`gauge` of N stacked models."""
canonical_vectors = jax.jit(jax.vmap(canonical_vector))
"""`canonical_vector` of N stacked models: [N, P]."""
