"""Relearning: how fast models come back to forgotten classes when they are fine-tuned on a few images.

A model that once knew a class and lost it, or only hides it, relearns it faster than one that never saw it. Adam's steps depend on how a
function is written in weights: bring all models to one gauge first (`weights.canonical.gauge`).
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError

ADAM = optax.adam(0.01)
MODELS_AT_ONCE = 64


def few_images(labels: NDArray[np.integer], shots: int) -> NDArray[np.int64]:
    """Rows of the first images of every class, in rising order: the same images for all models.

    Args:
      labels: [n].
      shots: images a class; all of a class that has fewer.
    """
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:shots] for label in np.unique(labels)]))


def relearning_curves(
    models: Params,
    shown: tuple[jax.Array, jax.Array],
    test: tuple[jax.Array, jax.Array],
    member: NDArray[np.bool_],
    steps: Sequence[int],
) -> NDArray[np.float64]:
    """Accuracy on forgotten test images during fine-tuning on a few images of all classes: full batch, Adam with step size 0.01.

    Args:
      models: N stacked models in one gauge.
      shown: images [B, D] and labels [B] to fine-tune on, of retained and forgotten classes.
      test: images [n, D] and labels [n].
      member: [n], the test images of the forgotten classes.
      steps: S rising numbers of steps, after each of which accuracy is measured.

    Returns:
      [N, S], in [0, 1].

    Raises:
      HyperForgetError: steps that do not rise from 0 on, or no forgotten image.
    """
    if not steps or steps[0] < 0 or any(after <= before for before, after in pairwise(steps)):
        raise HyperForgetError(f"relearning got steps {tuple(steps)}, expected rising numbers from 0 on: sort them")
    if not member.any():
        raise HyperForgetError("relearning got a set of 0 images: name classes that the split contains")
    images, labels = test[0][member], test[1][member]
    return np.asarray(_accuracies(_fine_tuned(models, shown, tuple(steps)), images, labels), np.float64)


@partial(jax.jit, static_argnames="steps")
def _fine_tuned(models: Params, shown: tuple[jax.Array, jax.Array], steps: tuple[int, ...]) -> Params:
    """Models after each number of steps: leaves [N, S, …]."""
    images, labels = shown

    def loss(params: Params) -> jax.Array:
        return classifier.cross_entropy(classifier.scores(params, images.T), labels).mean()

    def step(_: int, state: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
        params, opt_state = state
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            updates, opt_state = ADAM.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    def course(params: Params) -> Params:
        state, passed = (params, ADAM.init(params)), list[Params]()
        for before, after in pairwise((0, *steps)):
            state = jax.lax.fori_loop(before, after, step, state)
            passed.append(state[0])
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *passed)  # [S, …]

    return jax.lax.map(course, models, batch_size=MODELS_AT_ONCE)


@jax.jit
def _accuracies(models: Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Share of n images that models with leaves [N, S, …] classify correctly: [N, S].

    A program of its own, since the number of images differs between forget sets, and fine-tuning takes longer to compile.
    """

    def accuracies(of_model: Params) -> jax.Array:
        by_class = jax.vmap(classifier.scores, in_axes=(0, None))(of_model, images.T)  # [S, K, n]
        return (by_class.argmax(1) == labels[None]).mean(-1)

    return jax.lax.map(accuracies, models, batch_size=MODELS_AT_ONCE)
