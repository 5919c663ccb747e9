"""l1-sparse: fine-tuning that also prunes."""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class L1Sparse(Method):
    """Minimises CE(D_r) + alpha_t |theta|_1; alpha_t falls to 0 along a line.

    Attributes:
      epochs: passes.
      batch_size: images in a minibatch.
      learning_rate: of Adam.
      alpha: weight of the penalty at the start.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    alpha: float = 5e-4

    source = "arXiv 2304.04934"
    ranges = (Range("learning_rate", 1e-4, 1e-1), Range("alpha", 1e-5, 1e-2))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on the penalised loss."""
        count = steps.num_steps(problem, self.epochs, self.batch_size)

        def loss(params: Params, step: steps.Step) -> jax.Array:
            norm = jnp.sum(jnp.stack([jnp.abs(leaf).sum() for leaf in jax.tree.leaves(params)]))
            left = 1.0 - step.number.astype(jnp.float32) / count
            return steps.cross_entropy(params, step.retained) + self.alpha * left * norm

        return steps.train(original, problem, loss, optax.adam(self.learning_rate), count, self.batch_size)
