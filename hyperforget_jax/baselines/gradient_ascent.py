"""Gradient ascent: the loss on the forget set is raised."""

import jax
import optax

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class GradientAscent(Method):
    """Ascends the cross-entropy on the forget set; the retain set is not used.

    Attributes:
      num_steps: steps.
      batch_size: images in a minibatch.
      learning_rate: of gradient descent without momentum.
      clip_norm: largest norm of a gradient; longer ones are scaled down.
    """

    num_steps: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-2
    clip_norm: float = 1.0

    source = "arXiv 2010.10981; clipped as in 2109.13398"
    ranges = (Range("learning_rate", 1e-3, 1.0),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Minimises the negative cross-entropy on the forget set, by clipped gradients."""
        return steps.train(
            original,
            problem,
            lambda params, step: -step.present * steps.cross_entropy(params, step.forgotten),
            optax.chain(optax.clip_by_global_norm(self.clip_norm), optax.sgd(self.learning_rate)),
            self.num_steps,
            self.batch_size,
        )
