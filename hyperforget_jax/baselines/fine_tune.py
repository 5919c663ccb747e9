"""Fine-tuning on the retain set: catastrophic forgetting does the work."""

import jax
import optax

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class FineTune(Method):
    """Goes on training on the retain set.

    Attributes:
      epochs: passes.
      batch_size: images in a minibatch.
      learning_rate: of Adam.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3

    source = "arXiv 1911.04933 (as a baseline)"
    ranges = (Range("learning_rate", 1e-4, 1e-1),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Minimises the cross-entropy on the retain set."""
        return steps.train(
            original,
            problem,
            lambda params, step: steps.cross_entropy(params, step.retained),
            optax.adam(self.learning_rate),
            steps.num_steps(problem, self.epochs, self.batch_size),
            self.batch_size,
        )
