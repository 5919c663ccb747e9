"""Keys of the bottleneck: fixed random projections, and vector quantisation by moving averages (arXiv 2207.11240, section 3).

Functions are written for one codebook; `learn` and `select` take all codebooks, one after the other, so that only the distances of one
codebook to one block of embeddings are in memory.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError


class Codebooks(NamedTuple):
    """Frozen projections and keys.

    Attributes:
      projections: [C, D, d], see `projections`.
      keys: [C, J, d].
    """

    projections: jax.Array
    keys: jax.Array


class Averages(NamedTuple):
    """State of one codebook's vector quantisation.

    Attributes:
      uses: [J], moving average of the embeddings in a batch that are nearest to a key.
      sums: [J, d], of their sum; keys are `sums / uses`.
    """

    uses: jax.Array
    sums: jax.Array


def projections(key: jax.Array, codebooks: int, inputs: int, subspace: int) -> jax.Array:
    """One random orthonormal projection for each codebook.

    Args:
      key: a typed key.
      codebooks: C.
      inputs: D, dimensions of an embedding.
      subspace: d, at most D.

    Returns:
      [C, D, d]; the d columns of each are orthonormal.

    Raises:
      HyperForgetError: the sub-space has more dimensions than an embedding.
    """
    if subspace > inputs:
        raise HyperForgetError(
            f"bottleneck.subspace is {subspace}, embeddings have {inputs} dimensions: choose at most {inputs}"
        )
    return jnp.linalg.qr(jax.random.normal(key, (codebooks, inputs, subspace), jnp.float32))[0]


def nearest(points: jax.Array, keys: jax.Array, masked: jax.Array, top_k: int) -> jax.Array:
    """The nearest unmasked keys of one codebook.

    Compared is |key|^2 - 2 <key, point>, the squared distance less |point|^2; a masked key's is infinite. Of equal ones the first is taken.

    Args:
      points: [B, d].
      keys: [J, d].
      masked: [J], bool.
      top_k: k.

    Returns:
      [B, k], int32, the nearest first. Masked keys follow where fewer than k are unmasked; their values count as zero in the model.
    """
    lengths = jnp.where(masked, jnp.inf, (keys * keys).sum(-1))  # [J]
    compared = lengths[:, None] - 2.0 * (keys @ points.T)  # [J, B]
    if top_k > 1:
        return jax.lax.top_k(-compared.T, top_k)[1].astype(jnp.int32)  # [B, k]
    least = compared.min(0, keepdims=True)  # [1, B]
    places = jnp.arange(len(keys), dtype=jnp.int32)[:, None]  # [J, 1]
    # argmin says the same, and takes twice as long on a CPU
    return jnp.where(compared == least, places, len(keys) - 1).min(0)[:, None]  # [B, 1]


@functools.partial(jax.jit, static_argnames=("top_k", "block"))
def select(codebooks: Codebooks, embeddings: jax.Array, masked: jax.Array, *, top_k: int, block: int) -> jax.Array:
    """The nearest unmasked keys of every codebook.

    Args:
      codebooks: projections and keys.
      embeddings: [N, D].
      masked: [C, J], bool.
      top_k: k.
      block: embeddings at a time; no number depends on it.

    Returns:
      [C, N, k], int32.
    """

    def of_codebook(codebook: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        projection, keys, hidden = codebook
        return _in_blocks(embeddings @ projection, keys, hidden, top_k, block)  # [N, k]

    return jax.lax.map(of_codebook, (*codebooks, masked))


def _in_blocks(points: jax.Array, keys: jax.Array, masked: jax.Array, top_k: int, block: int) -> jax.Array:
    """`nearest` of many points [N, d], some at a time: [N, k]."""
    total, size = len(points), min(block, len(points))
    padded = jnp.pad(points, ((0, -total % size), (0, 0))).reshape(-1, size, points.shape[1])  # [blocks, size, d]
    found = jax.lax.map(lambda some: nearest(some, keys, masked, top_k), padded)  # [blocks, size, k]
    return found.reshape(-1, top_k)[:total]


def step(key: jax.Array, state: Averages, points: jax.Array, config: BottleneckConfig) -> Averages:
    """One step of vector quantisation of one codebook on one batch.

        uses_j <- decay uses_j + (1 - decay) n_j,  sums_j <- decay sums_j + (1 - decay) sum of the n_j points nearest to key j

    Then every dead key (see `dead_share`) becomes a point of the batch, with the mean use.

    Args:
      key: draws the points that dead keys become.
      state: the averages.
      points: [B, d].
      config: decay, dead share and block.

    Returns:
      The averages after the step.
    """
    pairs, decay = len(state.uses), config.key_decay
    keys, unmasked = state.sums / state.uses[:, None], jnp.zeros(pairs, bool)  # [J, d], [J]
    chosen = _in_blocks(points, keys, unmasked, 1, config.block)[:, 0]  # [B]
    counts = jax.ops.segment_sum(jnp.ones(len(points), jnp.float32), chosen, pairs)  # [J]
    totals = jax.ops.segment_sum(points, chosen, pairs)  # [J, d]
    uses = decay * state.uses + (1.0 - decay) * counts  # [J]
    sums = decay * state.sums + (1.0 - decay) * totals  # [J, d]
    mean = uses.mean()
    dead = uses < config.dead_share * mean  # [J]
    fresh = points[jax.random.randint(key, (pairs,), 0, len(points), jnp.int32)]  # [J, d]
    return Averages(jnp.where(dead, mean, uses), jnp.where(dead[:, None], mean * fresh, sums))


@functools.partial(jax.jit, static_argnames="config")
def learn(key: jax.Array, embeddings: jax.Array, config: BottleneckConfig) -> Codebooks:
    """Codebooks of unlabelled embeddings: random projections, keys by vector quantisation from random embeddings.

    Args:
      key: a typed key.
      embeddings: [N, D]; labels are not needed.
      config: sizes and how keys are learned.

    Returns:
      C codebooks.
    """
    projecting, starting, batching, restarting = jax.random.split(key, 4)
    mats = projections(projecting, config.codebooks, embeddings.shape[1], config.subspace)  # [C, D, d]
    total, size = len(embeddings), min(config.key_batch, len(embeddings))
    rows = jax.random.randint(batching, (config.key_steps, size), 0, total, jnp.int32)  # [steps, B]

    def of_codebook(codebook: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        first, fresh, projection = codebook
        points = embeddings @ projection  # [N, d]
        start = points[jax.random.randint(first, (config.pairs,), 0, total, jnp.int32)]  # [J, d]
        share = size / config.pairs
        state = Averages(jnp.full(config.pairs, share, jnp.float32), share * start)

        def move(state: Averages, batch: tuple[jax.Array, jax.Array]) -> tuple[Averages, None]:
            drawn, chosen = batch
            return step(drawn, state, points[chosen], config), None

        state, _ = jax.lax.scan(move, state, (jax.random.split(fresh, config.key_steps), rows))
        return state.sums / state.uses[:, None]  # [J, d]

    first, fresh = (jax.random.split(each, config.codebooks) for each in (starting, restarting))
    return Codebooks(mats, jax.lax.map(of_codebook, (first, fresh, mats)))
