"""What a hypernetwork is asked, as its transformer sees it: standardised logarithms, and where to start from.

The columns of a condition are the class losses L in nats (the paper's), and with `hypernetwork.exposure` the exposure of every class and
the age of the checkpoint: what a model does, what it has seen, how far its run had come. Any column can be left open.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Doubles = np.ndarray[Any, np.dtype[np.float64]]
EXPOSURE_FLOOR = 1e-5
"""Constant c in log(exposure + c): a class never seen is as far from one of which a ten-thousandth was used as that from a tenth."""
AGE_FLOOR = 0.1
"""Constant c in log(age + c)."""


class Condition(NamedTuple):
    """The condition of B models.

    Attributes:
      target: [B, C], standardised values that are asked for; 0 where a column is not asked for.
      asked: [B, C], 1 where a value is asked for, 0 where any will do ("don't care").
      current: [B, M], losses of the models to start from (DiHyFo-1), standardised like the first columns; None for DiHyFo-2.
      start: [B, T, W], the tokens of those models; None for DiHyFo-2.
    """

    target: jax.Array
    asked: jax.Array
    current: jax.Array | None = None
    start: jax.Array | None = None


class Conditioning(NamedTuple):
    """Losses are heavy-tailed, so a condition is z = (log(value + c) - mean) / std, column by column.

    Attributes:
      mean: [C], over the training part of the zoo.
      std: [C]; infinite of a column of which nothing can be asked.
      floor: [C], the constants c, in nats for losses.
    """

    mean: jax.Array
    std: jax.Array
    floor: jax.Array


def fit(values: np.ndarray[Any, np.dtype[np.float32]], floor: Doubles | float) -> Conditioning:
    """Statistics of the conditions of a zoo.

    Args:
      values: [n, C]; a column of NaN is of a purged class, and of an infinite std: nothing can be asked of it.
      floor: the constant c of every column, or one for all.
    """
    floors = np.broadcast_to(np.asarray(floor, np.float64), values.shape[1:])
    gone = np.isnan(values).all(0)  # [C]
    logs = np.log(np.where(gone, 1.0, values.astype(np.float64)) + floors)
    return Conditioning(
        mean=jnp.asarray(np.where(gone, 0.0, logs.mean(0)), jnp.float32),
        std=jnp.asarray(np.where(gone, np.inf, np.maximum(logs.std(0), 1e-3)), jnp.float32),
        floor=jnp.asarray(floors, jnp.float32),
    )


def standardise(conditioning: Conditioning, values: jax.Array) -> jax.Array:
    """Standardised logarithms [B, c] of values [B, c] of the first c columns; 0 for NaN, which is not known."""
    mean, std, floor = (part[None, : values.shape[1]] for part in conditioning)
    return jnp.where(jnp.isnan(values), 0.0, (jnp.log(values + floor) - mean) / std)


def ask(conditioning: Conditioning, values: jax.Array) -> Condition:
    """The condition that asks for values [B, c] of the first c columns; NaN, or a column beyond, is one of which any value will do.

    So is one of a purged class, whatever is asked.
    """
    lacking = conditioning.mean.size - values.shape[1]
    values = jnp.pad(values, ((0, 0), (0, lacking)), constant_values=jnp.nan)
    asked = ~jnp.isnan(values) & jnp.isfinite(conditioning.std)[None]
    target = standardise(conditioning, jnp.where(asked, values, 1.0))
    return Condition(jnp.where(asked, target, 0.0), asked.astype(jnp.float32))


class Dropout(NamedTuple):
    """How often columns of a training condition are not asked for, so that the transformer learns to do without them.

    Attributes:
      column: chance of a column, each for itself.
      kind: chance of all columns of a kind, each kind for itself.
      full: chance of all columns of a model.
      kinds: columns of each kind, such as K losses, K exposures and one age.
    """

    column: float
    kind: float
    full: float
    kinds: tuple[int, ...]


def drop(key: jax.Array, condition: Condition, dropout: Dropout) -> Condition:
    """The condition of B models with some columns no longer asked for."""
    class_key, full_key = jax.random.split(key)
    count = condition.asked.shape[0]
    kept = jax.random.bernoulli(class_key, 1.0 - dropout.column, condition.asked.shape)  # [B, C]
    some = jax.random.bernoulli(full_key, 1.0 - dropout.full, (count, 1))  # [B, 1]
    kept = (kept & some).astype(jnp.float32)
    if dropout.kind > 0.0:
        kind_key = jax.random.fold_in(key, len(dropout.kinds))
        kinds = jax.random.bernoulli(kind_key, 1.0 - dropout.kind, (count, len(dropout.kinds))).astype(jnp.float32)
        kept *= jnp.repeat(kinds, np.array(dropout.kinds), axis=1, total_repeat_length=sum(dropout.kinds))  # [B, C]
    return condition._replace(target=condition.target * kept, asked=condition.asked * kept)
