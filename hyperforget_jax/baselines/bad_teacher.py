"""Bad Teacher: the student follows the original on the retain set and a model that knows nothing on the forget set."""

import jax
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.baselines.retrain import sizes_of
from hyperforget_jax.classifier import Params


@settings
class BadTeacher(Method):
    """Minimises KL(original || student) on the retain set and KL(random model || student) on the forget set.

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      learning_rate: of Adam.
      temperature: of both softmaxes.
    """

    epochs: int = 1
    batch_size: int = 256
    learning_rate: float = 1e-4
    temperature: float = 1.0

    source = "arXiv 2205.08096"
    ranges = (Range("learning_rate", 1e-4, 3e-2),)
    cannot = "the random teacher's answers contain the forgotten classes as often as others"

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of Adam on the sum of both divergences."""
        teachers = original, classifier.init(key, sizes_of(original))
        count, optimizer = steps.num_steps(problem, self.epochs, self.batch_size), optax.adam(self.learning_rate)
        return steps.train(original, problem, loss(*teachers, self.temperature), optimizer, count, self.batch_size)


def loss(competent: Params, incompetent: Params, temperature: float) -> steps.Loss:
    """KL(competent || student) on the retain set + KL(incompetent || student) on the forget set."""

    def apart(teacher: Params, params: Params, batch: steps.Minibatch) -> jax.Array:
        followed, found = (classifier.scores(each, batch.columns) for each in (teacher, params))
        return steps.divergence(followed, found, temperature)

    def of_step(params: Params, step: steps.Step) -> jax.Array:
        near = apart(competent, params, step.retained)
        return near + step.present * apart(incompetent, params, step.forgotten)

    return of_step
