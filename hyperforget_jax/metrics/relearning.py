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
    return np.asarray(_curves(models, shown, test, jnp.asarray(member), tuple(steps)), np.float64)


@partial(jax.jit, static_argnames="steps")
def _curves(
    models: Params,
    shown: tuple[jax.Array, jax.Array],
    test: tuple[jax.Array, jax.Array],
    member: jax.Array,
    steps: tuple[int, ...],
) -> jax.Array:
    (images, labels), (test_images, test_labels) = shown, test

    def loss(params: Params) -> jax.Array:
        return classifier.cross_entropy(classifier.scores(params, images.T), labels).mean()

    def step(_: int, state: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
        params, opt_state = state
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            updates, opt_state = ADAM.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    def curve(params: Params) -> jax.Array:
        state, accuracies = (params, ADAM.init(params)), []
        for before, after in pairwise((0, *steps)):
            state = jax.lax.fori_loop(before, after, step, state)
            hits = (classifier.scores(state[0], test_images.T).argmax(0) == test_labels) & member  # [n]
            accuracies.append(hits.sum() / member.sum())
        return jnp.stack(accuracies)  # [S]

    return jax.lax.map(curve, models, batch_size=MODELS_AT_ONCE)
