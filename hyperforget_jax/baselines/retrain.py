"""Retraining: a new model, trained on the retain set alone; what every other method is held against."""

import jax
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class Retrain(Method):
    """Trains from random weights on the retain set.

    Attributes:
      epochs: passes.
      batch_size: images in a minibatch.
      learning_rate: of Adam, falling to zero along a cosine.
    """

    epochs: int = 25
    batch_size: int = 256
    learning_rate: float = 4e-3

    source = "the definition of exact unlearning"
    exact = True
    ranges = (Range("learning_rate", 1e-3, 2e-2),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """The model at the end of a run that never saw the forget set."""
        return from_scratch(classifier.init(key, sizes_of(original)), problem, self)


def from_scratch(start: Params, problem: Problem, settings: Retrain) -> Params:
    """A model trained on the retain set, from given random weights."""
    count = steps.num_steps(problem, settings.epochs, settings.batch_size)
    adam = optax.adam(optax.cosine_decay_schedule(1.0, count))  # a schedule needs a number; the rate is traced
    optimizer = optax.chain(adam, optax.scale(settings.learning_rate))
    return steps.train(
        start,
        problem,
        lambda params, step: steps.cross_entropy(params, step.retained),
        optimizer,
        count,
        settings.batch_size,
    )


def sizes_of(params: Params) -> tuple[int, ...]:
    """Width of every layer of a model, input and output included."""
    return (params[0]["w"].shape[1], *(layer["w"].shape[0] for layer in params))
