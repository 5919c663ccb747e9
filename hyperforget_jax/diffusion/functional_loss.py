"""What a predicted model answers on a few training images, beside what the model it should be answers there.

The error of tokens counts all weights alike, whatever they do together; this one counts what they do. docs/hypernetworks.md has what it
is score.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params as Models
from hyperforget_jax.weights.codec import Codec

IMAGES = 256
"""Most training images of a class to draw from: they become constants of the compiled step."""
Images = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int32]]


class Probe(NamedTuple):
    """Images to compare models on, and how far apart models are there.

    Attributes:
      images: [K, n, D], as many of every class.
      variance: [], of a logit over the zoo's models.
    """

    images: jax.Array
    variance: jax.Array


def fit(models: Models, images: Images, labels: Labels) -> Probe:
    """The first images of every class, and the variance of N stacked models' logits on them.

    Args:
      models: N models of the zoo.
      images: [n, D], training images.
      labels: [n], of K classes.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    count = min(IMAGES, int(sizes.min()))
    rows = np.stack([np.flatnonzero(labels == label)[:count] for label in classes])  # [K, n]
    chosen = jnp.asarray(images[rows])  # [K, n, D]
    variance = jax.jit(lambda x: jnp.var(_logits(models, x)))(chosen)
    return Probe(chosen, variance)


def error(probe: Probe, codec: Codec, count: int, key: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
    """Mean squared difference of logits [B], centred over the classes, in units of their variance over the zoo.

    Args:
      probe: images.
      codec: of the tokens.
      count: images of every class, drawn anew by the key, the same for all B models.
      key: a typed key.
      predicted: [B, T, W].
      true: [B, T, W].
    """
    rows = jax.random.randint(key, (probe.images.shape[0], count, 1), 0, probe.images.shape[1])  # [K, count, 1]
    images = jnp.take_along_axis(probe.images, rows, axis=1)  # [K, count, D]
    ours, theirs = (_logits(jax.vmap(codec.decode)(tokens), images) for tokens in (predicted, true))
    return jnp.square(ours - jax.lax.stop_gradient(theirs)).mean((1, 2)) / probe.variance


def _logits(models: Models, images: jax.Array) -> jax.Array:
    """Logits [B, K, n'] of B models on images [K, n, D], centred over the classes."""
    columns = images.reshape(-1, images.shape[-1]).T  # [D, n']
    scores = jax.vmap(classifier.scores, in_axes=(0, None))(models, columns)  # [B, K, n']
    return scores - scores.mean(1, keepdims=True)
