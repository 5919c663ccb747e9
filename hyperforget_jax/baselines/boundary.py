"""Boundary unlearning: forgotten images move over the nearest decision boundary (shrink), or to a class of their own (expand)."""

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines import steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params

MOMENTUM = 0.9


@settings
class BoundaryShrink(Method):
    """Fine-tunes on forgotten images with the wrong class that is nearest to each; the retain set is not used.

    Attributes:
      epochs: passes, over as many images as all classes have.
      batch_size: images in a minibatch.
      learning_rate: of SGD with momentum 0.9.
      reach: length of the step by the sign of the gradient (FGSM) that finds the nearest class, in pixel values.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-5
    reach: float = 0.1

    source = "arXiv 2303.11570"
    ranges = (Range("learning_rate", 1e-5, 0.3),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of SGD on the relabelled forget set."""

        def loss(params: Params, step: steps.Step) -> jax.Array:
            labels = nearest_wrong(original, step.forgotten, self.reach)
            return step.present * steps.cross_entropy(params, step.forgotten._replace(labels=labels))

        count = steps.num_steps(problem, self.epochs, self.batch_size)
        return steps.train(original, problem, loss, optax.sgd(self.learning_rate, MOMENTUM), count, self.batch_size)


@settings
class BoundaryExpand(Method):
    """Teaches forgotten images a further class, which is dropped afterwards; the retain set is not used.

    Attributes:
      epochs: passes, over as many images as all classes have.
      batch_size: images in a minibatch.
      learning_rate: of SGD with momentum 0.9.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-5

    source = "arXiv 2303.11570"
    ranges = (Range("learning_rate", 1e-5, 0.3),)

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Steps of SGD on a model with one more output, then the model without it."""
        *hidden, last = original
        extra = classifier.initial_weights(key, 1, last["w"].shape[1])
        wider = (
            *hidden,
            {
                "w": jnp.concatenate([last["w"], extra]),
                "b": jnp.concatenate([last["b"], jnp.zeros_like(last["b"][:1])]),
            },
        )

        def loss(params: Params, step: steps.Step) -> jax.Array:
            shadow = jnp.full_like(step.forgotten.labels, len(last["b"]))
            return step.present * steps.cross_entropy(params, step.forgotten._replace(labels=shadow))

        count = steps.num_steps(problem, self.epochs, self.batch_size)
        trained = steps.train(wider, problem, loss, optax.sgd(self.learning_rate, MOMENTUM), count, self.batch_size)
        return (*trained[:-1], jax.tree.map(lambda leaf: leaf[:-1], trained[-1]))


def nearest_wrong(params: Params, batch: steps.Minibatch, reach: float) -> jax.Array:
    """The most likely class [B] but the image's own, after a step of the image that raises its loss."""

    def loss(columns: jax.Array) -> jax.Array:
        return steps.cross_entropy(params, batch._replace(columns=columns))

    moved = batch.columns + reach * jnp.sign(jax.grad(loss)(batch.columns))  # [D, B]
    scores = classifier.scores(params, moved)  # [K, B]
    own = jnp.arange(scores.shape[0])[:, None] == batch.labels[None]
    return jnp.where(own, -jnp.inf, scores).argmax(0).astype(batch.labels.dtype)
