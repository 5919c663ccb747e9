"""The exact symmetries of a ReLU classifier: changes of weights that change no prediction.

For a hidden unit j with incoming weights and bias (w_j, b_j) and outgoing weights v_j:

    permutation   units of a hidden layer trade places, with their incoming and outgoing weights
    rescaling     (w_j, b_j, v_j) -> (a w_j, a b_j, v_j / a) for a > 0, since relu(a z) = a relu(z)
    softmax shift v_j and the output bias plus a constant over the classes
"""

import jax
import jax.numpy as jnp

from hyperforget_jax.classifier import Layer, Params


def permute(params: Params, hidden: int, order: jax.Array) -> Params:
    """The network with the units of one hidden layer reordered.

    Args:
      params: one network.
      hidden: which hidden layer, from 0.
      order: [H], the unit that comes to each place.
    """
    incoming, outgoing = params[hidden], params[hidden + 1]
    return _replace(
        params,
        hidden,
        {"w": incoming["w"][order], "b": incoming["b"][order]},
        {"w": outgoing["w"][:, order], "b": outgoing["b"]},
    )


def rescale(params: Params, hidden: int, factors: jax.Array) -> Params:
    """The network with the units of one hidden layer rescaled.

    Args:
      params: one network.
      hidden: which hidden layer, from 0.
      factors: [H], positive.
    """
    incoming, outgoing = params[hidden], params[hidden + 1]
    return _replace(
        params,
        hidden,
        {"w": incoming["w"] * factors[:, None], "b": incoming["b"] * factors},
        {"w": outgoing["w"] / factors[None], "b": outgoing["b"]},
    )


def shift(params: Params, unit_shift: jax.Array, bias_shift: jax.Array) -> Params:
    """The network with a constant over the classes added to outgoing weights and output bias.

    Args:
      params: one network.
      unit_shift: [H], added to every class's weight from a unit of the last hidden layer.
      bias_shift: [], added to every class's bias.
    """
    *earlier, last = params
    return (*earlier, {"w": last["w"] + unit_shift[None, :], "b": last["b"] + bias_shift})


def centre(params: Params) -> Params:
    """The one network of its softmax-shift orbit whose outgoing weights and biases sum to zero over classes."""
    last = params[-1]
    return shift(params, -last["w"].mean(0), -last["b"].mean())


def random_permutation(key: jax.Array, params: Params) -> Params:
    """The network with the units of every hidden layer in random order (the paper's augmentation)."""
    for hidden, layer_key in enumerate(jax.random.split(key, len(params) - 1)):
        params = permute(params, hidden, jax.random.permutation(layer_key, params[hidden]["b"].shape[0]))
    return params


def safe_ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator, and 1 where either vanishes: a unit that is cut off keeps its scale."""
    fine = (numerator > 0) & (denominator > 0)
    return jnp.where(fine, numerator, 1.0) / jnp.where(fine, denominator, 1.0)


def _replace(params: Params, hidden: int, incoming: Layer, outgoing: Layer) -> Params:
    return (*params[:hidden], incoming, outgoing, *params[hidden + 2 :])
