"""SSD, selective synaptic dampening: weights that matter to the forget set more than to all images are made smaller; nothing is trained."""

import jax
import jax.numpy as jnp

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class Ssd(Method):
    """Where F_f > alpha F_D, a weight is multiplied by min(lambda F_D / F_f, 1); F are means of squared minibatch gradients.

    Attributes:
      batches: minibatches behind each mean.
      batch_size: images in a minibatch.
      alpha: how much more a weight must matter to the forget set (selection).
      strength: lambda, how much is left of it (dampening).
    """

    batches: int = 64
    batch_size: int = 64
    alpha: float = 10.0
    strength: float = 1.0

    source = "arXiv 2308.07707"
    ranges = (Range("alpha", 0.1, 100.0), Range("strength", 0.01, 1.0))
    cannot = (
        "in a layer of few units every weight matters to all classes, so that none can be dampened for one class alone"
    )

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The dampened model."""
        of_forgotten, of_retained = importances(original, problem, self.batches, self.batch_size)
        share = problem.retained.astype(jnp.float32) / problem.order.shape[0]
        present = jnp.where(share < 1.0, 1.0, 0.0)

        def dampened(weights: jax.Array, forgotten: jax.Array, retained: jax.Array) -> jax.Array:
            everything = share * retained + (1.0 - share) * forgotten
            factor = jnp.minimum(self.strength * everything / jnp.maximum(forgotten, 1e-30), 1.0)
            chosen = present * forgotten > self.alpha * everything
            return jnp.where(chosen, weights * factor, weights)

        return jax.tree.map(dampened, original, of_forgotten, of_retained)


def importances(params: Params, problem: Problem, batches: int, batch_size: int) -> tuple[Params, Params]:
    """Mean squared minibatch gradients of the forget set and of the retain set, shaped as the model."""

    def squares(number: jax.Array) -> tuple[Params, Params]:
        step = steps.draw(problem, number, batch_size)
        gradients = (jax.grad(steps.cross_entropy)(params, batch) for batch in (step.forgotten, step.retained))
        forgotten, retained = (jax.tree.map(jnp.square, gradient) for gradient in gradients)
        return forgotten, retained

    found = jax.lax.map(squares, jnp.arange(batches))
    forgotten, retained = (jax.tree.map(lambda leaf: leaf.mean(0), each) for each in found)
    return forgotten, retained
