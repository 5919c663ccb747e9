"""What a baseline is: settings, and a function from one trained model to one that shall have forgotten.

A problem has the images of all classes and says which classes to forget, as arrays of one shape whatever the forget set, so that a
program serves them all. Minibatches are drawn with replacement, the same for all models, as in a block of the zoo: the first layer of many
models is then one product.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError


class Problem(NamedTuple):
    """Images of all classes, and which of them to forget.

    Attributes:
      images: [n, D], training images.
      labels: [n], output positions.
      forget: [K], True for a class to forget.
      order: [n], rows of the images, retained ones first.
      retained: [], how many of them are retained.
      draws: a typed key that decides minibatches and nothing else.
    """

    images: jax.Array
    labels: jax.Array
    forget: jax.Array
    order: jax.Array
    retained: jax.Array
    draws: jax.Array


def problem(key: jax.Array, images: jax.Array, labels: jax.Array, forget: Sequence[int], num_classes: int) -> Problem:
    """The problem of one forget set.

    Args:
      key: a typed key, of the minibatches.
      images: [n, D].
      labels: [n], output positions.
      forget: output positions of the classes to forget; none is allowed, as a control.
      num_classes: K.

    Raises:
      HyperForgetError: a class that is no output, or no image is left to retain.
    """
    if unknown := [position for position in forget if position not in range(num_classes)]:
        raise HyperForgetError(f"a baseline got output {unknown[0]} to forget, expected outputs below {num_classes}")
    mask = np.isin(np.arange(num_classes), list(forget))  # [K]
    forgotten = mask[np.asarray(labels)]  # [n]
    if forgotten.all():
        raise HyperForgetError(
            f"a baseline got the forget set {[*forget]}, which leaves 0 of {len(forgotten)} images: retain some classes"
        )
    order = np.argsort(forgotten, kind="stable").astype(np.int32)
    retained = jnp.asarray(np.count_nonzero(~forgotten), jnp.int32)
    return Problem(images, labels, jnp.asarray(mask), jnp.asarray(order), retained, key)


class Range(NamedTuple):
    """A setting that a search varies, log-uniformly."""

    name: str
    low: float
    high: float


class Method:
    """Base of all baselines: a frozen record of settings, decorated with `settings`.

    Attributes:
      source: where the method comes from.
      reconstructed: whether it is rebuilt from an abstract, without the original code.
      ranges: settings that a search varies.
      exact: whether its models never saw the forget set, as retraining.
      cannot: why it may not reach a forget accuracy of 0.01; None: it can.
    """

    source: ClassVar[str]
    reconstructed: ClassVar[bool] = False
    ranges: ClassVar[tuple[Range, ...]] = ()
    exact: ClassVar[bool] = False
    cannot: ClassVar[str | None] = None

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The unlearned model.

        Args:
          original: one model, trained on all images.
          problem: what to forget.
          key: a typed key, of what the method draws for this model.
        """
        raise NotImplementedError


M = TypeVar("M", bound=Method)


@dataclass_transform(frozen_default=True)
def settings(cls: type[M]) -> type[M]:
    """Makes a class a frozen record of settings; those that are floats are traced, so that a search compiles once, others are static."""
    made: Any = dataclass(frozen=True)(cls)
    traced = [each.name for each in fields(made) if each.type is float]
    static = [each.name for each in fields(made) if each.type is not float]
    return jax.tree_util.register_dataclass(made, traced, static)


@jax.jit
def answer(method: Method, originals: Params, problem: Problem, keys: jax.Array) -> Params:
    """Unlearned models [S, …] of S stacked originals, each with a key of its own ([S])."""
    return jax.vmap(lambda original, key: method.unlearn(original, problem, key))(originals, keys)


@jax.jit
def answers(methods: Method, originals: Params, problem: Problem, keys: jax.Array) -> Params:
    """Unlearned models [C, S, …] of C settings, stacked along the first axis of each float."""
    return jax.vmap(lambda method: answer(method, originals, problem, keys))(methods)
