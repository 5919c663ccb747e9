"""The discrete key-value bottleneck: nearest keys select values, whose mean over codebooks is the logits (arXiv 2207.11240).

    logits = 1 / (C k t) * sum over codebooks c and the k nearest unmasked keys j of value[c, j],    t: the temperature

The decoder has no parameters; only values learn.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.bottleneck.keys import Codebooks, select
from hyperforget_jax.config.bottleneck import BottleneckConfig


class Bottleneck(NamedTuple):
    """A bottleneck on embeddings of D dimensions, for K classes.

    Attributes:
      codebooks: C projections and tables of J keys, frozen.
      values: [C, J, K].
      masked: [C, J], bool: pairs that are never selected.
    """

    codebooks: Codebooks
    values: jax.Array
    masked: jax.Array


def init(codebooks: Codebooks, num_classes: int) -> Bottleneck:
    """A bottleneck whose values are zero, with no pair masked."""
    shape = codebooks.keys.shape[:2]
    return Bottleneck(codebooks, jnp.zeros((*shape, num_classes), jnp.float32), jnp.zeros(shape, bool))


def selections(bottleneck: Bottleneck, embeddings: jax.Array, config: BottleneckConfig) -> jax.Array:
    """The pairs that embeddings [N, D] select now: [C, N, k], int32. Keys are frozen, so they change with the mask alone."""
    return select(bottleneck.codebooks, embeddings, bottleneck.masked, top_k=config.top_k, block=config.block)


def as_trained(bottleneck: Bottleneck, embeddings: jax.Array, config: BottleneckConfig) -> jax.Array:
    """The pairs that embeddings select if none is masked, which are those whose values they moved in training: [C, N, k]."""
    return selections(bottleneck._replace(masked=jnp.zeros_like(bottleneck.masked)), embeddings, config)


def rows(selected: jax.Array, pairs: int) -> jax.Array:
    """Selections [C, N, k] of codebooks of J pairs as rows [N, C k] of the table of all pairs [C J, K]."""
    codebooks, images, top_k = selected.shape
    starts = jnp.arange(codebooks, dtype=jnp.int32)[:, None, None] * pairs  # [C, 1, 1]
    return (selected + starts).transpose(1, 0, 2).reshape(images, codebooks * top_k)  # [N, C k]


def table(bottleneck: Bottleneck) -> jax.Array:
    """The values of all pairs [C J, K]; those of masked ones are zero."""
    kept = jnp.where(bottleneck.masked[..., None], 0.0, bottleneck.values)  # [C, J, K]
    return kept.reshape(-1, kept.shape[-1])  # [C J, K]


def decode(values: jax.Array, chosen: jax.Array, temperature: float) -> jax.Array:
    """Logits of one image: the mean of its values, divided by the temperature.

    Args:
      values: [C J, K].
      chosen: [C k], rows of its pairs.
      temperature: t.

    Returns:
      [K].
    """
    return values[chosen].mean(0) / temperature  # [K]


def logits_of(bottleneck: Bottleneck, selected: jax.Array, config: BottleneckConfig) -> jax.Array:
    """Logits [N, K] of images whose selections [C, N, k] are known."""
    return _decode_all(table(bottleneck), rows(selected, bottleneck.values.shape[1]), config.temperature)


@jax.jit
def _decode_all(values: jax.Array, chosen: jax.Array, temperature: float) -> jax.Array:
    """`decode` of rows [N, C k], some hundreds at a time: [N, K]."""
    return jax.lax.map(lambda own: decode(values, own, temperature), chosen, batch_size=256)


def logits(bottleneck: Bottleneck, embeddings: jax.Array, config: BottleneckConfig) -> jax.Array:
    """Logits.

    Args:
      bottleneck: the model.
      embeddings: [N, D].
      config: top_k, temperature and block.

    Returns:
      [N, K].
    """
    return logits_of(bottleneck, selections(bottleneck, embeddings, config), config)


def hits(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Expected accuracy of every image if equal logits are told apart by chance.

    An image that selects nothing but deleted values has equal logits: argmax would call it class 0.

    Args:
      logits: [N, K].
      labels: [N].

    Returns:
      [N]: 1 / m if the label's logit is one of the m largest, otherwise 0.
    """
    largest = logits == logits.max(1, keepdims=True)  # [N, K]
    own = jnp.take_along_axis(largest, labels[:, None], axis=1)[:, 0]  # [N]
    return own.astype(jnp.float32) / largest.sum(1).astype(jnp.float32)  # [N]


def selection_flops(images: int, config: BottleneckConfig, inputs: int) -> int:
    """Floating-point operations of the selections of N images of D inputs: projections 2 N C D d and distances 2 N C J d."""
    return 2 * images * config.codebooks * config.subspace * (inputs + config.pairs)


def decoding_flops(images: int, config: BottleneckConfig, num_classes: int) -> int:
    """Floating-point operations of the logits of N images whose selections are known: N C k K additions."""
    return images * config.codebooks * config.top_k * num_classes
