"""The exact symmetries of a ReLU classifier: changes of weights that change no prediction.

For a hidden unit j with incoming weights and bias (w_j, b_j) and outgoing weights v_j:

    permutation   units of a hidden layer trade places, with their incoming and outgoing weights
    rescaling     (w_j, b_j, v_j) -> (a w_j, a b_j, v_j / a) for a > 0, since relu(a z) = a relu(z)
    softmax shift v_j and the output bias plus a constant over the classes
"""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp

from hyperforget_jax.classifier import Params

Axes = tuple[int | None, ...]


def unit_axes(depth: int) -> tuple[dict[str, Axes], ...]:
    """The hidden layer, from 0, whose units each axis of each tensor runs over; None for inputs and outputs.

    Every permutation follows from this one declaration, as in Git Re-Basin (arXiv 2209.04836).

    Args:
      depth: number of hidden layers.

    Returns:
      The structure of `Params`, with axes in place of tensors.
    """
    ends = (None, *range(depth), None)
    return tuple({"w": (after, before), "b": (after,)} for before, after in pairwise(ends))


def permute_units(params: Params, orders: Sequence[jax.Array]) -> Params:
    """The model with the units of all hidden layers reordered.

    Args:
      params: one model.
      orders: one [H] per hidden layer, the unit that comes to each place.

    Raises:
      ValueError: the number of orders is not that of the hidden layers.
    """

    def permuted(tensor: jax.Array, axes: Axes) -> jax.Array:
        for axis, hidden in enumerate(axes):
            if hidden is not None:
                tensor = jnp.take(tensor, orders[hidden], axis=axis)
        return tensor

    return jax.tree.map(permuted, params, unit_axes(len(orders)))


def permute(params: Params, hidden: int, order: jax.Array) -> Params:
    """The model with the units of one hidden layer reordered.

    Args:
      params: one model.
      hidden: which hidden layer, from 0.
      order: [H], the unit that comes to each place.
    """
    orders = [jnp.arange(units) for units in _hidden_widths(params)]
    orders[hidden] = order
    return permute_units(params, orders)


def random_permutation(key: jax.Array, params: Params) -> Params:
    """The model with the units of every hidden layer in random order (the paper's augmentation).

    The orders depend on the key and the shapes alone: models of one shape are permuted alike by the same key.
    """
    widths = _hidden_widths(params)
    keys = jax.random.split(key, len(widths))
    return permute_units(params, list(map(jax.random.permutation, keys, widths)))


def rescale(params: Params, hidden: int, factors: jax.Array) -> Params:
    """The model with the units of one hidden layer rescaled.

    Args:
      params: one model.
      hidden: which hidden layer, from 0.
      factors: [H], positive.
    """
    incoming, outgoing = params[hidden], params[hidden + 1]
    return (
        *params[:hidden],
        {"w": incoming["w"] * factors[:, None], "b": incoming["b"] * factors},
        {"w": outgoing["w"] / factors[None], "b": outgoing["b"]},
        *params[hidden + 2 :],
    )


def normalise(params: Params, hidden: int, norms: jax.Array) -> Params:
    """The model with every unit of a hidden layer divided by its norm [H]; one that is cut off keeps its scale."""
    return rescale(params, hidden, safe_ratio(jnp.ones_like(norms), norms))


def balance(params: Params, norms: jax.Array) -> Params:
    """The model whose last hidden units have |incoming| = |outgoing|; `balancing` has the arguments."""
    return rescale(params, len(params) - 2, balancing(params, norms))


def balancing(params: Params, norms: jax.Array) -> jax.Array:
    """The factors [H] that bring the last hidden units to |incoming| = |outgoing|.

    Args:
      params: one model.
      norms: [H], |incoming|, measured however the caller measures it.
    """
    outgoing = jnp.linalg.norm(params[-1]["w"], axis=0)  # [H]
    return jnp.sqrt(safe_ratio(outgoing, norms))


def shift(params: Params, unit_shift: jax.Array, bias_shift: jax.Array) -> Params:
    """The model with a constant over the classes added to outgoing weights and output bias.

    Args:
      params: one model.
      unit_shift: [H], added to every class's weight from a unit of the last hidden layer.
      bias_shift: [], added to every class's bias.
    """
    *earlier, last = params
    return (*earlier, {"w": last["w"] + unit_shift[None, :], "b": last["b"] + bias_shift})


def centre(params: Params) -> Params:
    """The one model of its softmax-shift orbit whose outgoing weights and biases sum to zero over classes."""
    last = params[-1]
    return shift(params, -last["w"].mean(0), -last["b"].mean())


def safe_ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator, and 1 where either vanishes: a unit that is cut off keeps its scale."""
    fine = (numerator > 0) & (denominator > 0)
    return jnp.where(fine, numerator, 1.0) / jnp.where(fine, denominator, 1.0)


def _hidden_widths(params: Params) -> list[int]:
    return [layer["b"].shape[0] for layer in params[:-1]]
