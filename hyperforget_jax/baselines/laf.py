"""Label-agnostic forgetting: features of forgotten images are driven away from where they were; no label is used.

Reconstructed from arXiv 2404.00506. The original describes features by two variational autoencoders; here each is a Gaussian, which suits
hidden layers of a few units. Its repair on a few labelled images is left out.
"""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params

RIDGE = 1e-3
"""Share of the mean variance that is added to every variance of a Gaussian."""


@settings
class Laf(Method):
    """Minimises |h - h_0|^2 on the retain set, in variances of h_0, less the distance of forgotten features from their Gaussian.

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      learning_rate: of Adam.
      away: weight of the second term.
      far: squared Mahalanobis distance, per unit, beyond which a forgotten image counts no more.
    """

    epochs: int = 5
    batch_size: int = 256
    learning_rate: float = 1e-3
    away: float = 0.1
    far: float = 100.0

    source = "arXiv 2404.00506"
    reconstructed = True
    ranges = (Range("learning_rate", 1e-4, 1e-1), Range("away", 1e-2, 10.0))
    cannot = "without labels nothing says which answer a forgotten image should get: features leave their place and may keep their class"

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam; the output layer stays as it is."""
        spread = gaussian(original, steps.draw(problem, jnp.asarray(0), problem.order.shape[0]))
        count = steps.num_steps(problem, self.epochs, self.batch_size)
        extractor = (*jax.tree.map(jnp.ones_like, original[:-1]), jax.tree.map(jnp.zeros_like, original[-1]))
        optimizer, descended = optax.adam(self.learning_rate), loss(original, spread, self.away, self.far)
        return steps.train(original, problem, descended, optimizer, count, self.batch_size, extractor)


def loss(original: Params, spread: tuple[jax.Array, jax.Array], away: float, far: float) -> steps.Loss:
    """What `Laf` minimises, given the Gaussian of forgotten features: mean [H] and precision [H, H]."""
    mean, precision = spread

    def of_step(params: Params, step: steps.Step) -> jax.Array:
        before, after = (classifier.activations(model, step.retained.columns) for model in (original, params))  # [H, B]
        kept = jnp.square(after - before).mean() / jnp.maximum(before.var(), 1e-6)
        moved = classifier.activations(params, step.forgotten.columns) - mean[:, None]  # [H, B]
        distances = (moved * (precision @ moved)).mean(0)  # [B]
        return kept - away * step.present * jnp.minimum(distances, far).mean()

    return of_step


def gaussian(params: Params, step: steps.Step) -> tuple[jax.Array, jax.Array]:
    """Mean [H] and precision [H, H] of the features of forgotten images."""
    features = classifier.activations(params, step.forgotten.columns)  # [H, n]
    mean = features.mean(1)
    centred = features - mean[:, None]
    covariance = centred @ centred.T / features.shape[1]
    ridge = RIDGE * jnp.maximum(jnp.trace(covariance) / len(covariance), 1e-6)
    return mean, jnp.linalg.inv(covariance + ridge * jnp.eye(len(covariance), dtype=covariance.dtype))
