"""The classifier: a pure-function MLP, written for one model and vectorised by `vmap`.

    logits = W_L relu( … relu(W_1 x + b_1) … ) + b_L

Parameters are a tuple of layers, each a dict `{"w": [out, in], "b": [out]}` of float32. Weights are stored output-major, so that
the first layer of many models on the same images is one matrix product without a transpose:
`vmap(scores, in_axes=(0, None))` contracts [R, H, D] with [D, B] into [R, H, B].
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

Layer = dict[str, jax.Array]
Params = tuple[Layer, ...]


def init(key: jax.Array, sizes: Sequence[int]) -> Params:
    """Random parameters: He-uniform weights, zero biases.

    Args:
      key: a typed key.
      sizes: width of every layer, input and output included, such as (784, 2, 4).

    Returns:
      One layer per consecutive pair of sizes.
    """
    layers = []
    for layer_key, fan_in, fan_out in zip(jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True):
        layers.append({"w": initial_weights(layer_key, fan_out, fan_in), "b": jnp.zeros((fan_out,), jnp.float32)})
    return tuple(layers)


def initial_weights(key: jax.Array, fan_out: int, fan_in: int) -> jax.Array:
    """He-uniform weights [fan_out, fan_in] of one layer."""
    bound = (6.0 / fan_in) ** 0.5
    return jax.random.uniform(key, (fan_out, fan_in), jnp.float32, -bound, bound)


@jax.custom_vjp
def product(w: jax.Array, columns: jax.Array) -> jax.Array:
    """w @ columns: [O, I] by [I, B].

    Its gradient is the usual one. It is written out because XLA folds the transpose of w into a product that is four times slower for many
    small models on a CPU.
    """
    return w @ columns


def _product_forward(w: jax.Array, columns: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return w @ columns, (w, columns)


def _product_backward(factors: tuple[jax.Array, jax.Array], change: jax.Array) -> tuple[jax.Array, jax.Array]:
    w, columns = factors
    return change @ columns.T, jax.lax.optimization_barrier(w.T) @ change


product.defvjp(_product_forward, _product_backward)


def scores(params: Params, columns: jax.Array) -> jax.Array:
    """Class scores of one model, features first.

    A batch lies along the last axis, so that the small layers of many models vectorise over images.

    Args:
      params: the model.
      columns: [D, B], one image a column.

    Returns:
      [K, B].
    """
    last = params[-1]
    return product(last["w"], activations(params, columns)) + last["b"][:, None]  # [K, B]


def activations(params: Params, columns: jax.Array) -> jax.Array:
    """Units of the last hidden layer of one model, features first: [D, B] to [H, B]; the columns themselves if there is no such layer."""
    units = columns  # [D, B]
    for layer in params[:-1]:
        units = jax.nn.relu(product(layer["w"], units) + layer["b"][:, None])  # [H, B]
    return units


def logits(params: Params, images: jax.Array) -> jax.Array:
    """Class scores of one model.

    Args:
      params: the model.
      images: [B, D].

    Returns:
      [B, K].
    """
    return scores(params, images.T).T


def cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Loss of every image.

    Args:
      scores: [K, B].
      labels: [B].

    Returns:
      [B], nats.
    """
    own = jnp.take_along_axis(scores, labels[None], axis=0)[0]  # [B]
    return jax.nn.logsumexp(scores, axis=0) - own


def class_means(values: jax.Array, labels: jax.Array, num_classes: int) -> jax.Array:
    """Mean of per-image values over the images of each class.

    Args:
      values: [B].
      labels: [B], integers below num_classes.
      num_classes: K.

    Returns:
      [K]; NaN for a class without images.
    """
    member = jax.nn.one_hot(labels, num_classes, dtype=values.dtype)  # [B, K]
    return (values @ member) / member.sum(0)  # [K]


def class_scores(params: Params, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Loss and accuracy of one model on every class: the condition of a hypernetwork (section 3).

    Args:
      params: the model; K outputs.
      images: [B, D].
      labels: [B].

    Returns:
      losses: [K], mean cross-entropy in nats.
      accuracies: [K], in [0, 1].
    """
    # a GPU's default, TF32, has ten bits: losses would be off by up to 0.3%
    with jax.default_matmul_precision("float32"):
        by_class = scores(params, images.T)  # [K, B]
        num_classes = by_class.shape[0]
        losses = cross_entropy(by_class, labels)  # [B]
        hits = (by_class.argmax(0) == labels).astype(by_class.dtype)  # [B]
        return class_means(losses, labels, num_classes), class_means(hits, labels, num_classes)


logits_of_many = jax.jit(jax.vmap(logits, in_axes=(0, None)))
"""`logits` of R stacked models on the same images: [R, B, K]."""


MODELS_AT_ONCE = 64
"""Enough for an efficient product, few enough that their scores on thousands of images stay in the cache."""


@jax.jit
def class_scores_of_many(params: Params, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`class_scores` of R stacked models on the same images: two arrays [R, K]."""
    return jax.lax.map(lambda model: class_scores(model, images, labels), params, batch_size=MODELS_AT_ONCE)
