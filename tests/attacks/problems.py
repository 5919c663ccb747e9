"""Two small problems with known answers, and models for them, trained in one program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import Images
from hyperforget_jax.classifier import Params

FORGET = 3
NUM_CLASSES = 4
ADAM = optax.adam(0.02)


@partial(jax.jit, static_argnames=("sizes", "steps"))
def train(keys: jax.Array, images: Images, used: jax.Array, sizes: tuple[int, ...], steps: int) -> Params:
    """Models [N, …] trained on the images in use ([n], 0 or 1), full batch."""

    def one_model(key: jax.Array) -> Params:
        def loss(params: Params) -> jax.Array:
            losses = classifier.cross_entropy(classifier.scores(params, images[0].T), images[1])
            return (losses * used).sum() / used.sum()

        def step(_: int, state: tuple[Params, optax.OptState]) -> tuple[Params, optax.OptState]:
            params, opt_state = state
            with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
                updates, opt_state = ADAM.update(jax.grad(loss)(params), opt_state)
            return optax.apply_updates(params, updates), opt_state

        params = classifier.init(key, sizes)
        return jax.lax.fori_loop(0, steps, step, (params, ADAM.init(params)))[0]

    return jax.vmap(one_model)(keys)


def known_and_never_seen(
    images: Images, sizes: tuple[int, ...], steps: int, known: int, never_seen: int
) -> tuple[Params, Params]:
    """Models trained on everything, and others without the class FORGET."""
    used = jnp.ones(len(images[1]), jnp.float32)
    retained = (images[1] != FORGET).astype(jnp.float32)
    first, second = jax.random.split(jax.random.key(0))
    return (
        train(jax.random.split(first, known), images, used, sizes, steps),
        train(jax.random.split(second, never_seen), images, retained, sizes, steps),
    )


def take(models: Params, rows: slice) -> Params:
    return jax.tree.map(lambda leaf: leaf[rows], models)


CENTRES = np.zeros((NUM_CLASSES, 40))
CENTRES[0, 0] = CENTRES[1, 1] = CENTRES[2, 2] = 5.0
CENTRES[FORGET] = CENTRES[2]
CENTRES[FORGET, 3] = 5.0


def clusters(seed: int, each: int) -> Images:
    """Gaussian clusters in 40 dimensions: class 3 differs from class 2 in a coordinate that no other class needs."""
    labels = np.tile(np.arange(NUM_CLASSES), each)
    points = np.random.default_rng(seed).normal(CENTRES[labels]).astype(np.float32)
    return jnp.asarray(points), jnp.asarray(labels, jnp.int32)


def noise(seed: int, each: int) -> Images:
    """Points without any structure: labels can be remembered, not learned."""
    labels = np.tile(np.arange(NUM_CLASSES), each)
    points = np.random.default_rng(seed).normal(size=(len(labels), 64)).astype(np.float32)
    return jnp.asarray(points), jnp.asarray(labels, jnp.int32)


def of_class(images: Images, label: int) -> Images:
    rows = np.flatnonzero(np.asarray(images[1]) == label)
    return images[0][rows], images[1][rows]


def with_edited_output(models: Params, train: Images) -> Params:
    """Models whose hidden units know FORGET, and that answer it no more.

    Its output row is pushed away by half a unit, and its bias until no training image is left.
    """
    *earlier, last = models
    pushed = (*earlier, {"w": last["w"].at[:, FORGET].add(-0.5), "b": last["b"]})
    logits = np.asarray(classifier.logits_of_many(pushed, of_class(train, FORGET)[0]))  # [N, n, K]
    lead = logits[..., FORGET] - np.delete(logits, FORGET, axis=-1).max(-1)  # [N, n]
    bias = last["b"].at[:, FORGET].add(-jnp.asarray(lead.max(1)) - 0.1)
    return (*earlier, {"w": pushed[-1]["w"], "b": bias})
