"""What a hypernetwork is asked, as its transformer sees it: standardised log class losses, and where to start from."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Condition(NamedTuple):
    """The condition of B models.

    Attributes:
      target: [B, K], standardised log losses that are asked for; 0 where a class is not asked for.
      asked: [B, K], 1 where a loss is asked for, 0 where any will do ("don't care").
      current: [B, K], those of the models to start from (DiHyFo-1); None for DiHyFo-2.
      start: [B, T, W], the tokens of those models; None for DiHyFo-2.
    """

    target: jax.Array
    asked: jax.Array
    current: jax.Array | None = None
    start: jax.Array | None = None


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
    """Standardised log losses [B, K] of class losses [B, K] in nats."""
    return (jnp.log(losses + conditioning.floor) - conditioning.mean[None]) / conditioning.std[None]


def ask(conditioning: Conditioning, losses: jax.Array) -> Condition:
    """The condition that asks for class losses [B, K] in nats; NaN is a class of which any loss will do."""
    asked = ~jnp.isnan(losses)
    target = standardise(conditioning, jnp.where(asked, losses, 1.0))
    return Condition(jnp.where(asked, target, 0.0), asked.astype(jnp.float32))


def drop(key: jax.Array, condition: Condition, class_dropout: float, full_dropout: float) -> Condition:
    """The condition with some classes no longer asked for, so that the transformer learns to do without them.

    Args:
      key: a typed key.
      condition: of B models.
      class_dropout: chance that a class is dropped, each class for itself.
      full_dropout: chance that all classes of a model are dropped.
    """
    class_key, full_key = jax.random.split(key)
    kept = jax.random.bernoulli(class_key, 1.0 - class_dropout, condition.asked.shape)  # [B, K]
    some = jax.random.bernoulli(full_key, 1.0 - full_dropout, (condition.asked.shape[0], 1))  # [B, 1]
    kept = (kept & some).astype(jnp.float32)
    return condition._replace(target=condition.target * kept, asked=condition.asked * kept)


def nothing_asked(condition: Condition) -> Condition:
    """The condition that asks for no class: what classifier-free guidance leads away from."""
    zero = jnp.zeros_like(condition.target)
    return condition._replace(target=zero, asked=zero)
