"""The paper's tokens: every tensor flattened and cut into chunks (section 3); written for one model, callers `vmap`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.weights import symmetry
from hyperforget_jax.weights.layout import TokenLayout, flatten, pad, shapes, unflatten

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Raw:
    """The paper's tokens: every tensor flattened, weight and bias apart, cut into chunks (section 3).

    Attributes:
      sizes: width of every layer.
      chunk_size: most weights in a token.
      scale: [T, 1], the root mean square of the token's tensor over the zoo.
    """

    sizes: tuple[int, ...]
    chunk_size: int
    scale: Array

    @property
    def layout(self) -> TokenLayout:
        """Every token has its own projections and its own position."""
        lengths = np.array([stop - start for start, stop in _chunks(self.sizes, self.chunk_size)])
        positions = tuple(range(len(lengths)))
        mask = np.arange(lengths.max())[None, :] < lengths[:, None]
        return TokenLayout(mask=mask, kinds=positions, positions=positions)

    def encode(self, params: Params, like: Params | None = None) -> jax.Array:
        """Tokens [T, W] of one model; every unit keeps its place, so `like` says nothing."""
        del like
        vector = flatten(params)  # [P]
        chunks = [vector[start:stop] for start, stop in _chunks(self.sizes, self.chunk_size)]
        return pad(chunks, self.layout.width) / self.scale

    def decode(self, tokens: jax.Array) -> Params:
        """The model of tokens [T, W]; the exact inverse of `encode`."""
        values = tokens * self.scale
        spans = _chunks(self.sizes, self.chunk_size)
        vector = jnp.concatenate([row[: stop - start] for row, (start, stop) in zip(values, spans, strict=True)])
        return unflatten(vector, self.sizes)

    def fill(self, key: jax.Array, params: Params, exposed: jax.Array) -> Params:
        """The model as it is: nothing was dropped."""
        del key, exposed
        return params

    def augment(self, key: jax.Array, tokens: jax.Array) -> jax.Array:
        """Tokens [T, W] of the same model with its hidden units in random order (section 4).

        The order comes from the key alone, so the same key permutes theta and theta* of DiHyFo-1 alike:
        `vmap(augment, in_axes=(None, 0))(key, pair)` for tokens [2, T, W], which uses the key once.
        """
        return self.encode(symmetry.random_permutation(key, self.decode(tokens)))


def _chunks(sizes: Sequence[int], chunk_size: int) -> list[tuple[int, int]]:
    """Spans of the flat weight vector, in order; none crosses from one tensor into the next."""
    spans, start = [], 0
    for shape in shapes(sizes):
        stop = start + int(np.prod(shape))
        spans += [(first, min(first + chunk_size, stop)) for first in range(start, stop, chunk_size)]
        start = stop
    return spans
