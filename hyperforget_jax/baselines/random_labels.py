"""Random labels: forgotten images are taught wrong answers, beside the retain set."""

import jax
import optax

from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class RandomLabels(Method):
    """Minimises the cross-entropy on the retain set and on the forget set with random labels, one for each image.

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      learning_rate: of Adam.
      exclude_true: whether a random label is never the image's own (Amnesiac Unlearning); else it is any class (SalUn's code).
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-3
    exclude_true: bool = True

    source = "arXiv 2010.10981"
    ranges = (Range("learning_rate", 1e-4, 3e-2),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on the sum of both losses."""
        labels = steps.random_labels(key, problem.labels, problem.forget.shape[0], self.exclude_true)
        count = steps.num_steps(problem, self.epochs, self.batch_size)
        return steps.train(original, problem, loss(labels), optax.adam(self.learning_rate), count, self.batch_size)


def loss(labels: jax.Array) -> steps.Loss:
    """CE(D_r) + CE(D_f with other labels [n])."""

    def of_step(params: Params, step: steps.Step) -> jax.Array:
        relabelled = step.forgotten._replace(labels=labels[step.forgotten.rows])
        return steps.cross_entropy(params, step.retained) + step.present * steps.cross_entropy(params, relabelled)

    return of_step
