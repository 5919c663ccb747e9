"""SCRUB: a student leaves the original on the forget set and stays with it on the retain set, in turns."""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class Scrub(Method):
    """Max steps raise KL(original || student) on the forget set; min steps lower gamma CE + alpha KL on the retain set.

    Attributes:
      epochs: passes over the retain set, min steps all.
      max_epochs: the first so many of them begin with max steps.
      max_steps: max steps in each.
      batch_size: images in a minibatch.
      learning_rate: of Adam.
      alpha: weight of the divergence in min steps.
      gamma: weight of the cross-entropy there.
      temperature: of both softmaxes (T).
    """

    epochs: int = 5
    max_epochs: int = 3
    max_steps: int = 10
    batch_size: int = 256
    learning_rate: float = 5e-4
    alpha: float = 0.5
    gamma: float = 1.0
    temperature: float = 2.0

    source = "arXiv 2302.09880"
    ranges = (Range("learning_rate", 1e-4, 3e-2), Range("alpha", 1e-3, 1.0))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of one Adam, whose state goes on through both kinds."""
        each = steps.num_steps(problem, 1, self.batch_size)
        count = self.max_epochs * self.max_steps + self.epochs * each
        loss = self.loss(original, each)
        return steps.train(original, problem, loss, optax.adam(self.learning_rate), count, self.batch_size)

    def loss(self, original: Params, min_steps: int) -> steps.Loss:
        """The loss of a step: each of the first `max_epochs` passes has `max_steps` max steps, then `min_steps` min steps."""
        cycle = self.max_steps + min_steps

        def divergence(params: Params, batch: steps.Minibatch) -> jax.Array:
            teacher, student = (classifier.scores(model, batch.columns) for model in (original, params))
            return steps.divergence(teacher, student, self.temperature)

        def of_step(params: Params, step: steps.Step) -> jax.Array:
            away = -step.present * divergence(params, step.forgotten)
            near = self.gamma * steps.cross_entropy(params, step.retained)
            near += self.alpha * divergence(params, step.retained)
            maximises = (step.number < self.max_epochs * cycle) & (step.number % cycle < self.max_steps)
            return jnp.where(maximises, away, near)

        return of_step
