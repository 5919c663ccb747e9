"""How weights lie in a vector (on disk) and how tokens lie in an array (in the transformer)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params


def shapes(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Shapes of a classifier's tensors, layer by layer, weight before bias."""
    return [shape for fan_in, fan_out in pairwise(sizes) for shape in ((fan_out, fan_in), (fan_out,))]


def num_weights(sizes: Sequence[int]) -> int:
    """Number P of weights of a classifier, biases included."""
    return sum(int(np.prod(shape)) for shape in shapes(sizes))


def flatten(params: Params) -> jax.Array:
    """One model as a vector [P]: layer by layer, weight before bias, row-major (section A.3)."""
    return jnp.concatenate([layer[name].ravel() for layer in params for name in ("w", "b")])


def unflatten(vector: jax.Array, sizes: Sequence[int]) -> Params:
    """The model of a vector [P]; the inverse of `flatten`."""
    tensors, start = [], 0
    for shape in shapes(sizes):
        stop = start + int(np.prod(shape))
        tensors.append(vector[start:stop].reshape(shape))
        start = stop
    return tuple({"w": w, "b": b} for w, b in zip(tensors[::2], tensors[1::2], strict=True))


@partial(jax.jit, static_argnames="sizes")
def unflatten_many(vectors: jax.Array, sizes: tuple[int, ...]) -> Params:
    """N stacked models of vectors [N, P]."""
    return jax.vmap(partial(unflatten, sizes=sizes))(vectors)


@dataclass(frozen=True)
class TokenLayout:
    """What the transformer must know of a codec's tokens [T, W].

    Attributes:
      mask: [T, W] bool, the coordinates that exist; the rest are padding and stay zero.
      kinds: [T], which input and output projection a token uses.
      positions: [T], which learned position a token gets; tokens that share one are interchangeable.
    """

    mask: np.ndarray[Any, np.dtype[np.bool_]]
    kinds: tuple[int, ...]
    positions: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens T of a model."""
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        """Coordinates W of the longest token."""
        return int(self.mask.shape[1])


def pad(rows: Sequence[jax.Array], width: int) -> jax.Array:
    """Vectors of different lengths as one zero-padded array [T, width]."""
    return jnp.stack([jnp.pad(row, (0, width - row.shape[0])) for row in rows])
