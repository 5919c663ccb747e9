"""Minimum-norm interpolation: the output layer of least norm that fits the retain set on the original's features."""

import jax
import jax.numpy as jnp

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class MinimumNorm(Method):
    """Replaces the output layer by the ridge regression of one-hot labels on hidden units of retained images, in the limit of least norm.

    Attributes:
      images: retained images that are fitted, drawn with replacement.
      ridge: penalty, as a share of the mean squared activation; towards 0: the interpolation of least norm.
      scale: factor on the outputs, which are near 0 and 1, so that they serve as scores.
    """

    images: int = 4096
    ridge: float = 1e-4
    scale: float = 10.0

    source = "arXiv 2505.22601 (its idea for an output layer; the original treats the whole network)"
    reconstructed = True
    ranges = (Range("ridge", 1e-6, 1e-1),)
    cannot = "only layers wider than the number of classes have features left over to fit the retain set alone"

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The closed-form solution; hidden layers stay as they are."""
        batch = steps.draw(problem, jnp.asarray(0), self.images).retained
        features = extended(classifier.activations(original, batch.columns))  # [H + 1, n]
        targets = jax.nn.one_hot(batch.labels, problem.forget.shape[0], axis=0, dtype=features.dtype)  # [K, n]
        gram = features @ features.T / self.images  # [H + 1, H + 1]
        gram += self.ridge * (jnp.trace(gram) / len(gram)) * jnp.eye(len(gram), dtype=gram.dtype)
        weights = jnp.linalg.solve(gram, features @ targets.T / self.images).T  # [K, H + 1]
        return (*original[:-1], {"w": self.scale * weights[:, :-1], "b": self.scale * weights[:, -1]})


def extended(features: jax.Array) -> jax.Array:
    """Features [H, n] with a constant one: [H + 1, n]."""
    return jnp.concatenate([features, jnp.ones_like(features[:1])])
