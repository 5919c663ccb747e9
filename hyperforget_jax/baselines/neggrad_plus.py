"""NegGrad+: descent on the retain set and ascent on the forget set at once."""

import jax
import optax

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class NegGradPlus(Method):
    """Minimises a CE(D_r) - (1 - a) CE(D_f).

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      learning_rate: of Adam.
      retain_weight: a, between 0 and 1.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    retain_weight: float = 0.95

    source = "arXiv 2302.09880 (as a baseline)"
    ranges = (Range("learning_rate", 1e-4, 3e-2), Range("retain_weight", 0.9, 0.9999))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on the weighted difference of both losses."""

        def loss(params: Params, step: steps.Step) -> jax.Array:
            up = step.present * steps.cross_entropy(params, step.forgotten)
            return self.retain_weight * steps.cross_entropy(params, step.retained) - (1 - self.retain_weight) * up

        count = steps.num_steps(problem, self.epochs, self.batch_size)
        return steps.train(original, problem, loss, optax.adam(self.learning_rate), count, self.batch_size)
