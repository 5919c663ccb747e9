"""Values of the bottleneck, from zero by cross-entropy; keys are frozen, so images select once, before training."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.bottleneck import model
from hyperforget_jax.bottleneck.model import Bottleneck
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError


class Images(NamedTuple):
    """Images by what they select.

    Attributes:
      selected: [C, N, k], see `model.selections`.
      labels: [N], below K.
    """

    selected: jax.Array
    labels: jax.Array


class Fitted(NamedTuple):
    """A trained bottleneck.

    Attributes:
      bottleneck: the one of the best pass.
      curve: validation accuracy after each pass.
    """

    bottleneck: Bottleneck
    curve: tuple[float, ...]


def slopes(values: jax.Array, chosen: jax.Array, label: jax.Array, temperature: float) -> jax.Array:
    """Gradient of one image's cross-entropy with respect to its logits times t: (softmax(logits) - one-hot(label)).

    The gradient of each of its C k values is this divided by C k t.

    Args:
      values: [C J, K].
      chosen: [C k].
      label: ().
      temperature: t.

    Returns:
      [K].
    """
    logits = model.decode(values, chosen, temperature)  # [K]
    return jax.nn.softmax(logits) - jax.nn.one_hot(label, len(logits), dtype=jnp.float32)  # [K]


def step(values: jax.Array, chosen: jax.Array, labels: jax.Array, config: BottleneckConfig) -> jax.Array:
    """One step of gradient descent on a batch's summed cross-entropy; only values that the batch selects move.

    The step is `learning_rate` C k t times the gradient: an image moves the values of its pairs by the learning rate times its slope.

    Args:
      values: [C J, K].
      chosen: [B, C k].
      labels: [B].
      config: learning rate and temperature.

    Returns:
      [C J, K].
    """
    slope = jax.vmap(slopes, in_axes=(None, 0, 0, None))(values, chosen, labels, config.temperature)  # [B, K]
    change = -config.learning_rate * slope  # [B, K]
    return values.at[chosen].add(jnp.broadcast_to(change[:, None], (*chosen.shape, change.shape[1])))


@functools.partial(jax.jit, static_argnames="config", donate_argnums=0)
def epoch(
    values: jax.Array, key: jax.Array, chosen: jax.Array, labels: jax.Array, config: BottleneckConfig
) -> jax.Array:
    """One pass over the training images in random order; a last batch that is not full is left out.

    Args:
      values: [C J, K].
      key: draws the order.
      chosen: [N, C k].
      labels: [N].
      config: batch size, learning rate, decay.

    Returns:
      [C J, K].
    """
    size = min(config.value_batch, len(labels))
    steps = len(labels) // size
    order = jax.random.permutation(key, len(labels))[: steps * size].reshape(steps, size)  # [steps, B]

    def move(values: jax.Array, batch: jax.Array) -> tuple[jax.Array, None]:
        return step(values, chosen[batch], labels[batch], config), None

    moved, _ = jax.lax.scan(move, values, order)
    return (1.0 - config.value_decay) * moved


def fit(key: jax.Array, bottleneck: Bottleneck, train: Images, validation: Images, config: BottleneckConfig) -> Fitted:
    """Trains all values until validation accuracy no longer rises.

    Args:
      key: draws the order of the images.
      bottleneck: its values are where training starts.
      train: images that values learn from.
      validation: images that say when to stop; values never learn from them.
      config: how values are learned.

    Returns:
      The bottleneck with the values of the best pass, and the curve.

    Raises:
      HyperForgetError: there is no validation image, or a label is not from 0 to K - 1.
    """
    num_classes = bottleneck.values.shape[-1]
    if not len(validation.labels):
        raise HyperForgetError("bottleneck training got 0 validation images: hold some training images out")
    labels = jnp.concatenate([train.labels, validation.labels])
    least, largest = int(labels.min()), int(labels.max())
    if least < 0 or largest >= num_classes:
        raise HyperForgetError(
            f"labels lie from {least} to {largest}, expected labels from 0 to {num_classes - 1}: number the classes from 0"
        )
    shape = bottleneck.values.shape
    chosen = model.rows(train.selected, shape[1])  # [N, C k]
    values = jnp.array(model.table(bottleneck))  # [C J, K]
    best, curve = bottleneck, list[float]()
    for number in range(config.value_epochs):
        values = epoch(values, jax.random.fold_in(key, number), chosen, train.labels, config)
        tried = bottleneck._replace(values=jnp.array(values).reshape(shape))
        curve.append(accuracy(tried, validation, config))
        if curve[-1] == max(curve) and curve.index(curve[-1]) == number:
            best = tried
        elif number - curve.index(max(curve)) >= config.patience:
            break
    return Fitted(best, tuple(curve))


def accuracy(bottleneck: Bottleneck, images: Images, config: BottleneckConfig) -> float:
    """Share of images that are classified correctly, equal logits by chance."""
    return float(model.hits(model.logits_of(bottleneck, images.selected, config), images.labels).mean())
