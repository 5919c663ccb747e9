"""Training of a block of runs as a few large matrix products per step.

All runs of a block see the same minibatches. Undersampling and deletion are weights of images: each run draws one uniform number per
image, once, and uses an image while that number is below its class's keep rate. Layer 1 of the whole block
is then one product [B, D] x [D, R*H], forward and backward.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo.protocol import Hyperparameters, keep_rates

ADAM = optax.scale_by_adam()


class Images(NamedTuple):
    """One split on the device: images [N, D] float32 and labels [N] int32."""

    images: jax.Array
    labels: jax.Array


class Run(NamedTuple):
    """State of one run: its network, Adam's moments, and its uniform number [N] for every image."""

    params: Params
    moments: optax.OptState
    uniforms: jax.Array


class Snapshots(NamedTuple):
    """Networks at S moments of R runs, with their scores on the validation images.

    Attributes:
      params: leaves [S, R, …].
      losses: [S, R, K], nats.
      accuracies: [S, R, K].
      progress: [S], shares of the run.
    """

    params: Params
    losses: jax.Array
    accuracies: jax.Array
    progress: jax.Array


def start(key: jax.Array, sizes: tuple[int, ...], num_images: int) -> Run:
    """A run before its first step."""
    init_key, image_key = jax.random.split(key)
    params = classifier.init(init_key, sizes)
    return Run(params, ADAM.init(params), jax.random.uniform(image_key, (num_images,)))


def loss(params: Params, batch: Images, used: jax.Array) -> jax.Array:
    """Mean cross-entropy in nats over the images in use ([B] bool); 0 if none is."""
    losses = classifier.cross_entropy(classifier.logits(params, batch.images), batch.labels)  # [B]
    weights = used.astype(losses.dtype)  # [B]
    return (losses * weights).sum() / jnp.maximum(weights.sum(), 1.0)


def step(run: Run, plan: Hyperparameters, batch: Images, rows: jax.Array, progress: jax.Array) -> Run:
    """One Adam step of one run; the step size falls to zero along a cosine.

    Args:
      run: state before.
      plan: the run's hyper-parameters.
      batch: the minibatch, B images.
      rows: [B], places of those images in the training split.
      progress: [], share of the run that has passed.
    """
    used = run.uniforms[rows] < keep_rates(plan, progress)[batch.labels]  # [B]
    gradients = jax.grad(loss)(run.params, batch, used)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        updates, moments = ADAM.update(gradients, run.moments)
    size = plan.learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
    params = jax.tree.map(lambda p, u: p - size * u, run.params, updates)
    return Run(params, moments, run.uniforms)


step_of_many = jax.vmap(step, in_axes=(0, 0, None, None, None))


def minibatches(key: jax.Array, num_images: int, batch_size: int, steps: int) -> jax.Array:
    """Rows [steps, B] of consecutive minibatches, reshuffled every epoch; an epoch's remainder is dropped."""
    per_epoch = num_images // batch_size
    keys = jax.random.split(key, -(-steps // per_epoch))
    orders = jax.vmap(lambda k: jax.random.permutation(k, num_images))(keys)  # [E, N]
    return orders[:, : per_epoch * batch_size].reshape(-1, batch_size)[:steps]


@partial(jax.jit, static_argnames=("sizes", "batch_size", "snapshots", "steps_per_snapshot"))
def train_block(
    run_keys: jax.Array,
    order_key: jax.Array,
    plans: Hyperparameters,
    train: Images,
    validation: Images,
    *,
    sizes: tuple[int, ...],
    batch_size: int,
    snapshots: int,
    steps_per_snapshot: int,
) -> Snapshots:
    """Trains R runs on common minibatches and scores them at regular moments.

    Args:
      run_keys: [R], one typed key a run.
      order_key: key of the minibatch order, common to the block.
      plans: leaves [R, …].
      train: training split.
      validation: the split that labels the checkpoints.
      sizes: width of every layer.
      batch_size: B.
      snapshots: S; the last is the end of the run.
      steps_per_snapshot: steps from one snapshot to the next.
    """
    num_images = train.labels.shape[0]
    steps = snapshots * steps_per_snapshot
    rows = minibatches(order_key, num_images, batch_size, steps)
    times = jnp.arange(steps, dtype=jnp.float32) / steps

    def one_step(runs: Run, at: tuple[jax.Array, jax.Array]) -> tuple[Run, None]:
        rows, progress = at
        batch = Images(train.images[rows], train.labels[rows])
        return step_of_many(runs, plans, batch, rows, progress), None

    def one_snapshot(
        runs: Run, at: tuple[jax.Array, jax.Array]
    ) -> tuple[Run, tuple[Params, jax.Array, jax.Array]]:
        runs, _ = jax.lax.scan(one_step, runs, at)
        losses, accuracies = classifier.class_scores_of_many(runs.params, *validation)
        return runs, (runs.params, losses, accuracies)

    runs = jax.vmap(start, in_axes=(0, None, None))(run_keys, sizes, num_images)
    shape = (snapshots, steps_per_snapshot)
    _, (params, losses, accuracies) = jax.lax.scan(
        one_snapshot, runs, (rows.reshape(*shape, -1), times.reshape(shape))
    )
    return Snapshots(params, losses, accuracies, (jnp.arange(snapshots, dtype=jnp.float32) + 1) / snapshots)


def check_batch(name: str, batch_size: int, num_images: int) -> None:
    """Refuses a minibatch larger than the training split; `name` is the config field's."""
    if batch_size > num_images:
        raise HyperForgetError(
            f"{name} is {batch_size}, the training split has {num_images} images: choose at most that"
        )


def plan_steps(num_images: int, batch_size: int, epochs: float, snapshots: int) -> int:
    """Steps per snapshot of a run of `epochs` passes, at least 1."""
    return max(1, round(epochs * (num_images // batch_size) / snapshots))
