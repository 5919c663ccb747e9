"""SalUn, saliency unlearning: random labels, taught to the weights alone that matter most to the forget set."""

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from hyperforget_jax.baselines import random_labels, steps
from hyperforget_jax.baselines.method import Method, Problem, Range, settings
from hyperforget_jax.classifier import Params


@settings
class Salun(Method):
    """Random labels on the weights with the largest |gradient| of the forget loss; all others stay as they are.

    Attributes:
      epochs: passes.
      batch_size: images of either kind in a minibatch.
      batches: minibatches behind the gradient that decides.
      learning_rate: of SGD with momentum.
      share: of the weights that may change.
      momentum: of SGD.
      weight_decay: of SGD, on the weights that may change.
      exclude_true: whether a random label is never the image's own.
    """

    epochs: int = 10
    batch_size: int = 256
    batches: int = 64
    learning_rate: float = 0.013
    share: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    exclude_true: bool = True

    source = "arXiv 2310.12508"
    ranges = (Range("learning_rate", 1e-3, 0.3), Range("share", 0.1, 1.0))

    def unlearn(self, original: Params, problem: Problem, key: jax.Array) -> Params:
        """Masked steps of SGD on CE(D_r) + CE(D_f with random labels)."""
        mask = salient(original, problem, self.batches, self.batch_size, self.share)
        labels = steps.random_labels(key, problem.labels, problem.forget.shape[0], self.exclude_true)
        optimizer = optax.chain(
            optax.add_decayed_weights(self.weight_decay),
            optax.trace(self.momentum),
            optax.scale_by_learning_rate(self.learning_rate),
        )
        count, loss = steps.num_steps(problem, self.epochs, self.batch_size), random_labels.loss(labels)
        return steps.train(original, problem, loss, optimizer, count, self.batch_size, mask)


def salient(params: Params, problem: Problem, batches: int, batch_size: int, share: float) -> Params:
    """1 for the `share` of all weights with the largest |gradient| of the loss on the forget set, otherwise 0."""

    def gradient(number: jax.Array) -> Params:
        return jax.grad(steps.cross_entropy)(params, steps.draw(problem, number, batch_size).forgotten)

    means = jax.tree.map(lambda leaf: jnp.abs(leaf.mean(0)), jax.lax.map(gradient, jnp.arange(batches)))
    flat, unravel = ravel_pytree(means)  # [P]
    rank = jnp.argsort(jnp.argsort(-flat, stable=True), stable=True).astype(flat.dtype)
    return unravel((rank < jnp.round(share * flat.size)).astype(flat.dtype))
