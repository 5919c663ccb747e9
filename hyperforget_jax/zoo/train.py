"""Training of a block of runs as a few large matrix products per step.

All runs of a block see the same minibatches. Undersampling and deletion are weights of images: a run uses an image while a number in
[0, 1), fixed by the two of them, is below the keep rate of the image's class. Layer 1 of the whole block is then one product
[R*H, D] x [D, B], forward and backward.

A pixel that is 0 in every training image never moves its weights, so only the D' others need take part in the steps; a snapshot has the
initial weights in the other places. Which pixels take part decides how sums are rounded: where a run must owe nothing to the images of a
class that it never uses, all of them do (`all_pixels`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import flatten, unflatten
from hyperforget_jax.zoo.exposure import exposures
from hyperforget_jax.zoo.hyperparameters import Hyperparameters, keep_rates
from hyperforget_jax.zoo.undersampling import uniforms, used_shares

ADAM = optax.scale_by_adam()


class Images(NamedTuple):
    """One split on the device: images [N, D] float32 and labels [N] int32."""

    images: jax.Array
    labels: jax.Array


class Minibatch(NamedTuple):
    """One minibatch of B images.

    Attributes:
      columns: [D', B], pixels.
      member: [K, B], 1 where an image is of a class: products with it are faster, for many runs, than gathers and scatters.
      words: [B], uint32, a random word of every image.
    """

    columns: jax.Array
    member: jax.Array
    words: jax.Array


class RunState(NamedTuple):
    """State of one run: its model, Adam's moments, and its random word [] (uint32)."""

    params: Params
    opt_state: optax.OptState
    word: jax.Array


class Snapshots(NamedTuple):
    """Models at S moments of R runs, with their scores on the validation images.

    Attributes:
      weights: [S, R, P], flattened as in `weights.layout`, in the storage's type.
      losses: [S, R, K], nats.
      accuracies: [S, R, K].
      progress: [S], shares of the run.
      exposures: [S, R, K], how much of each class the run had used by then, as a share of what a full run uses (`exposure.exposures`).
    """

    weights: jax.Array
    losses: jax.Array
    accuracies: jax.Array
    progress: jax.Array
    exposures: jax.Array


def start(key: jax.Array, sizes: tuple[int, ...]) -> RunState:
    """A run before its first step."""
    init_key, word_key = jax.random.split(key)
    params = classifier.init(init_key, sizes)
    return RunState(params, ADAM.init(params), jax.random.bits(word_key, (), jnp.uint32))


def varying(training: Images) -> tuple[Images, tuple[int, ...]]:
    """The images [N, D'] of the pixels alone that are not 0 in all of them, and the places of these pixels."""
    pixels = np.flatnonzero(np.asarray(training.images).any(0))
    return Images(training.images[:, pixels], training.labels), tuple(pixels.tolist())


def all_pixels(training: Images) -> tuple[Images, tuple[int, ...]]:
    """The images [N, D] as they are, and the places of all pixels: no image decides which of them take part."""
    return training, tuple(range(training.images.shape[1]))


def narrow(params: Params, pixels: tuple[int, ...]) -> Params:
    """The model on some pixels only."""
    first, *others = params
    return ({"w": first["w"][:, np.array(pixels)], "b": first["b"]}, *others)


def widen(params: Params, initial: Params, pixels: tuple[int, ...]) -> Params:
    """The inverse of `narrow`: the weights of the other pixels are those of `initial`."""
    first, *others = params
    still = np.setdiff1d(np.arange(initial[0]["w"].shape[1]), pixels)
    both = jnp.concatenate([first["w"], initial[0]["w"][:, still]], axis=1)  # [H, D]
    weights = both[:, np.argsort(np.concatenate([pixels, still]))]  # a gather; a scatter is slower
    return ({"w": weights, "b": first["b"]}, *others)


def loss(params: Params, batch: Minibatch, used: jax.Array) -> jax.Array:
    """Mean cross-entropy in nats over the images in use ([B] bool); 0 if none is."""
    scores = classifier.scores(params, batch.columns)  # [K, B]
    top = jax.lax.stop_gradient(scores.max(0))  # [B]
    normaliser = jnp.log(jnp.exp(scores - top[None]).sum(0)) + top  # [B]
    losses = normaliser - (scores * batch.member).sum(0)  # [B], cross-entropy
    weights = used.astype(losses.dtype)  # [B]
    return (losses * weights).sum() / jnp.maximum(weights.sum(), 1.0)


def step(run: RunState, plan: Hyperparameters, batch: Minibatch, progress: jax.Array) -> RunState:
    """One Adam step of one run; the step size falls to zero along a cosine.

    Args:
      run: state before.
      plan: the run's hyper-parameters.
      batch: the minibatch, B images.
      progress: [], share of the run that has passed.
    """
    rates = keep_rates(plan, progress)  # [K]
    used = uniforms(run.word, batch.words) < jnp.dot(rates, batch.member, precision="highest")  # [B]
    gradients = jax.grad(loss)(run.params, batch, used)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        updates, opt_state = ADAM.update(gradients, run.opt_state)
    size = plan.learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))
    params = jax.tree.map(lambda p, u: p - size * u, run.params, updates)
    return RunState(params, opt_state, run.word)


step_of_many = jax.vmap(step, in_axes=(0, 0, None, None))


def minibatches(key: jax.Array, num_images: int, batch_size: int, steps: int) -> jax.Array:
    """Rows [steps, B] of consecutive minibatches, reshuffled every epoch; an epoch's remainder is dropped."""
    per_epoch = num_images // batch_size
    keys = jax.random.split(key, -(-steps // per_epoch))
    orders = jax.vmap(lambda k: jax.random.permutation(k, num_images))(keys)  # [E, N]
    return orders[:, : per_epoch * batch_size].reshape(-1, batch_size)[:steps]


def train_runs(
    run_keys: jax.Array,
    order_key: jax.Array,
    plans: Hyperparameters,
    train: Images,
    validation: Images,
    *,
    sizes: tuple[int, ...],
    pixels: tuple[int, ...],
    batch_size: int,
    snapshots: int,
    steps_per_snapshot: int,
    dtype: str,
) -> Snapshots:
    """Trains R runs on common minibatches and scores them at regular moments.

    Args:
      run_keys: [R], one typed key a run.
      order_key: key of the minibatch order and of the images' random words, common to the block.
      plans: leaves [R, …].
      train: training split, of the pixels that vary: images [N, D'].
      validation: the split that labels the checkpoints, of all pixels: images [n, D].
      sizes: width of every layer, D first.
      pixels: [D'], places of the training images' pixels among the D, as `varying` gives them.
      batch_size: B.
      snapshots: S; the last is the end of the run.
      steps_per_snapshot: steps from one snapshot to the next.
      dtype: type of the stored weights, such as "float32"; it is the rounded model that is scored.
    """
    num_images = train.labels.shape[0]
    steps = snapshots * steps_per_snapshot
    batch_key, word_key = jax.random.split(order_key)
    rows = minibatches(batch_key, num_images, batch_size, steps)
    words = jax.random.bits(word_key, (num_images,), jnp.uint32)  # [N]
    times = jnp.arange(steps, dtype=jnp.float32) / steps

    def one_step(runs: RunState, at: tuple[jax.Array, jax.Array]) -> tuple[RunState, None]:
        rows, progress = at
        member = jax.nn.one_hot(train.labels[rows], sizes[-1], axis=0)
        batch = Minibatch(train.images[rows].T, member, words[rows])
        return step_of_many(runs, plans, batch, progress), None

    def one_snapshot(
        runs: RunState, at: tuple[jax.Array, jax.Array]
    ) -> tuple[RunState, tuple[jax.Array, jax.Array, jax.Array]]:
        runs, _ = jax.lax.scan(one_step, runs, at)
        wide = jax.vmap(partial(widen, pixels=pixels))(runs.params, initial)
        stored = jax.vmap(flatten)(wide).astype(dtype)  # [R, P]
        rounded = jax.vmap(partial(unflatten, sizes=sizes))(stored.astype(jnp.float32))
        return runs, (stored, *classifier.class_scores_of_many(rounded, *validation))

    runs = jax.vmap(start, in_axes=(0, None))(run_keys, sizes)
    initial = runs.params
    models = jax.vmap(partial(narrow, pixels=pixels))(initial)
    runs = RunState(models, jax.vmap(ADAM.init)(models), runs.word)
    shape = (snapshots, steps_per_snapshot)
    _, (weights, losses, accuracies) = jax.lax.scan(
        one_snapshot, runs, (rows.reshape(*shape, -1), times.reshape(shape))
    )
    progress = (jnp.arange(snapshots, dtype=jnp.float32) + 1) / snapshots
    before, after = (
        used_shares(runs.word, words, train.labels, rates) for rates in (plans.keep_before, plans.keep_after)
    )
    return Snapshots(weights, losses, accuracies, progress, exposures(before, after, plans.deletion_time, progress))


RUNS: Any
MOMENTS: Any
WHOLE: Any
RUNS, MOMENTS, WHOLE = PartitionSpec(sharding.DATA), PartitionSpec(None, sharding.DATA), PartitionSpec()


@partial(
    jax.jit, static_argnames=("devices", "sizes", "pixels", "batch_size", "snapshots", "steps_per_snapshot", "dtype")
)
def train_block(
    run_keys: jax.Array,
    order_key: jax.Array,
    plans: Hyperparameters,
    train: Images,
    validation: Images,
    *,
    devices: Mesh,
    **shape: Any,
) -> Snapshots:
    """`train_runs` on the devices of a mesh: each trains its share of the runs and waits for no other.

    Args:
      run_keys: [R]; R is a multiple of the number of devices.
      order_key: see `train_runs`.
      plans: leaves [R, …].
      train: on every device.
      validation: on every device.
      devices: the mesh.
      **shape: the keyword arguments of `train_runs`.
    """
    one_device: Callable[..., Snapshots] = partial(train_runs, **shape)
    program = jax.shard_map(
        one_device,
        mesh=devices,
        in_specs=(RUNS, WHOLE, RUNS, WHOLE, WHOLE),
        out_specs=Snapshots(MOMENTS, MOMENTS, MOMENTS, WHOLE, MOMENTS),
        check_vma=False,  # runs start from constants, which count as replicated
    )
    return program(run_keys, order_key, plans, train, validation)


def validate_batch_size(name: str, batch_size: int, num_images: int) -> None:
    """Refuses a minibatch larger than the training split; `name` is the config field's."""
    if batch_size > num_images:
        raise HyperForgetError(
            f"{name} is {batch_size}, the training split has {num_images} images: choose at most that"
        )


def plan_steps(num_images: int, batch_size: int, epochs: float, snapshots: int) -> int:
    """Steps per snapshot of a run of `epochs` passes, at least 1."""
    return max(1, round(epochs * (num_images // batch_size) / snapshots))
