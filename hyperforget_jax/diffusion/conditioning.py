"""The prompt as the transformer sees it: standardised log class losses."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Conditioning(NamedTuple):
    """Losses are heavy-tailed, so a condition is z = (log(loss + c) - mean) / std, class by class.

    Attributes:
      mean: [K], over the training part of the zoo.
      std: [K].
      floor: [], the constant c in nats.
    """

    mean: jax.Array
    std: jax.Array
    floor: jax.Array


def fit(losses: np.ndarray[Any, np.dtype[np.float32]], floor: float) -> Conditioning:
    """Statistics of the class losses [n, K] of a zoo."""
    logs = np.log(losses.astype(np.float64) + floor)
    return Conditioning(
        mean=jnp.asarray(logs.mean(0), jnp.float32),
        std=jnp.asarray(np.maximum(logs.std(0), 1e-3), jnp.float32),
        floor=jnp.float32(floor),
    )


def standardise(conditioning: Conditioning, losses: jax.Array) -> jax.Array:
    """Conditions [B, K] of class losses [B, K] in nats."""
    return (jnp.log(losses + conditioning.floor) - conditioning.mean[None]) / conditioning.std[None]
