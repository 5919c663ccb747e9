"""What may be asked of a hypernetwork: columns of a condition that are held within bounds, whatever a prompt says."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Guard(NamedTuple):
    """Bounds of every column of a prompt, in its own unit (nats, exposure, age).

    Attributes:
      least: [C]; minus infinity where there is no bound.
      most: [C]; infinity likewise.
      usual: [C], what takes the place of a column that is left open; NaN where it stays open.
    """

    least: jax.Array
    most: jax.Array
    usual: jax.Array


def hold(guard: Guard | None, prompts: jax.Array) -> jax.Array:
    """Prompts [N, C] within the bounds; the same prompts where there is no guard, or where they keep to it."""
    if guard is None:
        return prompts
    closed = jnp.where(jnp.isnan(prompts), guard.usual[None], prompts)  # [N, C]
    return jnp.clip(closed, guard.least[None], guard.most[None])
