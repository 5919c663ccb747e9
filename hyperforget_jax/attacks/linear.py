"""Hidden units of models, and linear classifiers on them."""

from functools import partial

import jax
import jax.numpy as jnp

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Layer, Params

POWER_STEPS = 30
"""Power iterations for the largest curvature of a fit."""
MARGIN = 1.05
"""Factor on the curvature that they find, which is a lower bound."""


def hidden_units(params: Params, images: jax.Array) -> jax.Array:
    """Activations [n, H] of the last hidden layer of one model; the images [n, D] themselves if there is no such layer."""
    return classifier.activations(params, images.T).T  # [n, H]


@jax.jit
def hidden_units_of_many(models: Params, images: jax.Array) -> jax.Array:
    """`hidden_units` of N stacked models: [N, n, H]."""
    return jax.lax.map(lambda params: hidden_units(params, images), models, batch_size=classifier.MODELS_AT_ONCE)


@partial(jax.jit, static_argnames=("num_classes", "steps"))
def fit(features: jax.Array, labels: jax.Array, num_classes: int, penalty: float, steps: int) -> Layer:
    """Multinomial logistic regression on standardised features: an output layer.

    It minimises the summed cross-entropy times `penalty` plus |weights, bias|^2 / 2, as scikit-learn's `LogisticRegression(C=penalty,
    fit_intercept=False)` does on features with a column of ones, by Nesterov's method for a strongly convex function. Since features are
    standardised, the scale of a hidden unit has no say.

    Args:
      features: [n, H].
      labels: [n].
      num_classes: K.
      penalty: C.
      steps: of the method.

    Returns:
      A layer on the features as they are: weights [K, H], bias [K]. Units that are constant have the weight 0.
    """
    count = features.shape[0]
    mean, spread = features.mean(0), features.std(0)  # [H]
    scale = jnp.where(spread > 0, 1 / jnp.where(spread > 0, spread, 1.0), 0.0)
    inputs = jnp.concatenate([(features - mean[None]) * scale[None], jnp.ones((count, 1), features.dtype)], axis=1)
    targets = jax.nn.one_hot(labels, num_classes, dtype=features.dtype)  # [n, K]
    ridge = 1 / (penalty * count)

    def gradient(weights: jax.Array) -> jax.Array:
        errors = jax.nn.softmax(inputs @ weights) - targets  # [n, K]
        return inputs.T @ errors / count + ridge * weights  # [H + 1, K]

    def power(_: int, vector: jax.Array) -> jax.Array:
        product = inputs.T @ (inputs @ vector)
        return product / jnp.linalg.norm(product)

    irregular = jnp.sin(1 + jnp.arange(inputs.shape[1], dtype=features.dtype))  # orthogonal to no likely eigenvector
    direction = jax.lax.fori_loop(0, POWER_STEPS, power, irregular)
    largest = MARGIN * jnp.square(inputs @ direction).sum() / count
    curvature = 0.5 * largest + ridge  # the cross-entropy's second derivative by the logits is at most 1/2
    momentum = 1 - 2 / (jnp.sqrt(curvature / ridge) + 1)

    def step(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        weights, ahead = state
        moved = ahead - gradient(ahead) / curvature
        return moved, moved + momentum * (moved - weights)

    start = jnp.zeros((inputs.shape[1], num_classes), features.dtype)
    weights, _ = jax.lax.fori_loop(0, steps, step, (start, start))
    scaled = weights[:-1] * scale[:, None]  # [H, K]
    return {"w": scaled.T, "b": weights[-1] - mean @ scaled}
