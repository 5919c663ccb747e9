"""Unlearning by masking pairs: no gradient, no retained image (arXiv 2311.15268, section 3).

Which pairs an image hits is counted as it was trained, with no pair masked: those are the only values that its own loss ever moved. So a
request does not depend on earlier ones, and requests for which all hit pairs are masked compose: forgetting one set, then another, is
forgetting both at once, in any order.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.bottleneck import model
from hyperforget_jax.bottleneck.model import Bottleneck
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError


class Forgotten(NamedTuple):
    """The answer to a request.

    Attributes:
      bottleneck: with more pairs masked; all masked values are zero.
      newly_masked: pairs that this request masked.
      flops: floating-point operations of the request: the selections of its images; counts and comparisons are none.
    """

    bottleneck: Bottleneck
    newly_masked: int
    flops: int


@functools.partial(jax.jit, static_argnames="pairs")
def counts(selected: jax.Array, pairs: int) -> jax.Array:
    """How often each pair is hit.

    Args:
      selected: [C, N, k], see `model.as_trained`.
      pairs: J.

    Returns:
      [C, J], int32.
    """

    def of_codebook(chosen: jax.Array) -> jax.Array:
        flat = chosen.reshape(-1)  # [N k]
        return jax.ops.segment_sum(jnp.ones(flat.shape, jnp.int32), flat, pairs)  # [J]

    return jax.vmap(of_codebook)(selected)


@jax.jit
def most_hit(counted: jax.Array, masked: jax.Array, number: int) -> jax.Array:
    """The pairs that are hit most, of those not yet masked.

    Args:
      counted: [C, J], hits.
      masked: [C, J], bool: pairs that are masked already.
      number: N_a; fewer are taken if fewer are hit. Of equally often hit ones, those of the first codebooks and keys.

    Returns:
      [C, J], bool.
    """
    left = jnp.where(masked, 0, counted).reshape(-1)  # [C J]
    ranks = jnp.argsort(jnp.argsort(-left, stable=True))  # [C J], 0 for the most hit
    taken = ranks < number  # [C J]
    return (taken & (left > 0)).reshape(masked.shape)


@jax.jit
def mask(bottleneck: Bottleneck, pairs: jax.Array) -> Bottleneck:
    """Masks pairs [C, J] (bool) beside those already masked, and deletes the values of all of them."""
    masked = bottleneck.masked | pairs  # [C, J]
    return bottleneck._replace(masked=masked, values=jnp.where(masked[..., None], 0.0, bottleneck.values))


def unmask(bottleneck: Bottleneck) -> Bottleneck:
    """The same bottleneck with no pair masked: what somebody can do who has it. Deleted values stay zero."""
    return bottleneck._replace(masked=jnp.zeros_like(bottleneck.masked))


def activations(
    bottleneck: Bottleneck, embeddings: jax.Array, config: BottleneckConfig, number: int | None
) -> Forgotten:
    """Forgets images by masking the pairs that they hit most (unlearning via activations).

    Args:
      bottleneck: the model.
      embeddings: [N, D], the training images to forget.
      config: that it was trained with.
      number: N_a, pairs to mask; None: all that are hit.

    Returns:
      The answer.

    Raises:
      HyperForgetError: there is no image, embeddings do not fit the bottleneck, N_a is below 1.
    """
    _validate(bottleneck, embeddings, "number of pairs N_a", number)
    counted = counts(model.as_trained(bottleneck, embeddings, config), bottleneck.values.shape[1])  # [C, J]
    chosen = most_hit(counted, bottleneck.masked, counted.size if number is None else number)  # [C, J]
    return _answer(bottleneck, chosen, len(embeddings), config)


def examples(
    key: jax.Array, bottleneck: Bottleneck, embeddings: jax.Array, config: BottleneckConfig, number: int | None
) -> Forgotten:
    """Forgets images by masking every pair that some of them hit (unlearning via examples).

    Args:
      key: draws the images, without replacement.
      bottleneck: the model.
      embeddings: [N, D], the training images to forget.
      config: that it was trained with.
      number: N_e, images to look at; None or more than N: all.

    Returns:
      The answer.

    Raises:
      HyperForgetError: there is no image, embeddings do not fit the bottleneck, N_e is below 1.
    """
    _validate(bottleneck, embeddings, "number of examples N_e", number)
    seen = jax.random.permutation(key, embeddings)[:number]  # [N_e, D]
    hit = counts(model.as_trained(bottleneck, seen, config), bottleneck.values.shape[1]) > 0  # [C, J]
    return _answer(bottleneck, hit & ~bottleneck.masked, len(seen), config)


def _answer(bottleneck: Bottleneck, chosen: jax.Array, images: int, config: BottleneckConfig) -> Forgotten:
    inputs = bottleneck.codebooks.projections.shape[1]
    return Forgotten(mask(bottleneck, chosen), int(chosen.sum()), model.selection_flops(images, config, inputs))


def _validate(bottleneck: Bottleneck, embeddings: jax.Array, what: str, number: int | None) -> None:
    inputs = bottleneck.codebooks.projections.shape[1]
    if embeddings.ndim != 2 or embeddings.shape[1] != inputs or not len(embeddings):
        raise HyperForgetError(
            f"a request to forget got embeddings {list(embeddings.shape)}, expected [images, {inputs}] with at least one image: "
            "encode the images as the bottleneck's training images were"
        )
    if number is not None and number < 1:
        raise HyperForgetError(f"the {what} is {number}: choose at least 1, or None for all")
