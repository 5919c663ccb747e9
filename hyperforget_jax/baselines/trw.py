"""TRW, tilted re-weighting: on forgotten images the original's answers without the forgotten classes, tilted to similar classes.

Reconstructed from the abstract of arXiv 2506.20893: a retrained model answers a forgotten image by the classes that look like it.
"""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params

HIDDEN = -1e9
"""Score of a class that a target leaves out."""


@settings
class Trw(Method):
    """Minimises CE(D_r) + KL(target || student) on the forget set.

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      learning_rate: of Adam.
      beta: strength of the tilt exp(beta s) by the similarity s of two classes; 0: plain re-weighting.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    beta: float = 1.0

    source = "arXiv 2506.20893"
    reconstructed = True
    ranges = (Range("learning_rate", 1e-4, 3e-2), Range("beta", 0.1, 10.0))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on the sum of both losses."""

        def loss(params: Params, step: steps.Step) -> jax.Array:
            target = tilted(original, step.forgotten, problem.forget, self.beta)
            found = classifier.scores(params, step.forgotten.columns)
            return steps.cross_entropy(params, step.retained) + step.present * steps.divergence(target, found)

        count = steps.num_steps(problem, self.epochs, self.batch_size)
        return steps.train(original, problem, loss, optax.adam(self.learning_rate), count, self.batch_size)


def tilted(original: Params, batch: steps.Minibatch, forget: jax.Array, beta: float) -> jax.Array:
    """Scores [K, B] of the target: the original's, plus beta times the similarity to the image's own class, without forgotten classes."""
    similarities = class_similarity(original)[:, batch.labels]  # [K, B]
    scores = classifier.scores(original, batch.columns) + beta * similarities  # [K, B]
    return jnp.where(forget[:, None], HIDDEN, scores)


def class_similarity(params: Params) -> jax.Array:
    """Cosine [K, K] between the output weights of every two classes, centred over the classes."""
    vectors = params[-1]["w"] - params[-1]["w"].mean(0, keepdims=True)  # [K, H]
    unit = vectors / jnp.maximum(jnp.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit @ unit.T
