"""What gradient-based baselines share: minibatches of either kind, losses, and the loop of steps."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax import classifier
from hyperforget_jax.baselines.method import Problem
from hyperforget_jax.classifier import Params


class Minibatch(NamedTuple):
    """B images, features first.

    Attributes:
      rows: [B], of the problem's images.
      columns: [D, B].
      labels: [B].
    """

    rows: jax.Array
    columns: jax.Array
    labels: jax.Array


class Step(NamedTuple):
    """What one step of training sees.

    Attributes:
      number: [], from 0 on.
      retained: a minibatch of the retain set.
      forgotten: one of the forget set; of anything if that is empty.
      present: [], 1 if there is anything to forget, otherwise 0.
    """

    number: jax.Array
    retained: Minibatch
    forgotten: Minibatch
    present: jax.Array


Loss = Callable[[Params, Step], jax.Array]
"""(model, what the step sees) -> scalar."""


def draw(problem: Problem, number: jax.Array, batch_size: int) -> Step:
    """The minibatches of a step, drawn with replacement."""
    of_step = jax.random.fold_in(problem.draws, number)
    uniform = jax.random.uniform(of_step, (2, batch_size), jnp.float32)
    total = problem.order.shape[0]
    counts = jnp.stack([problem.retained, total - problem.retained])  # [2]
    places = jnp.floor(uniform * counts.astype(jnp.float32)[:, None]).astype(jnp.int32)  # [2, B]
    places = jnp.minimum(places, jnp.maximum(counts - 1, 0)[:, None])
    first = jnp.stack([jnp.zeros_like(problem.retained), problem.retained])  # [2]
    rows = problem.order[jnp.minimum(places + first[:, None], total - 1)]  # [2, B]
    retained, forgotten = (minibatch(problem, each) for each in rows)
    return Step(number, retained, forgotten, (counts[1] > 0).astype(jnp.float32))


def minibatch(problem: Problem, rows: jax.Array) -> Minibatch:
    """The images of some rows [B]."""
    return Minibatch(rows, problem.images[rows].T, problem.labels[rows])


def train(
    params: Params,
    problem: Problem,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    steps: int,
    batch_size: int,
    mask: Params | None = None,
) -> Params:
    """Descends a loss for some steps.

    Args:
      params: one model, where to start.
      problem: images of the minibatches.
      loss: of a step.
      optimizer: an optax transformation.
      steps: how many.
      batch_size: images of either kind in a step.
      mask: 1 for weights that may change, 0 for others, shaped as `params`; None: all may. Updates are masked last, so that neither
        weight decay nor momentum moves the others.
    """

    def step(state: tuple[Params, optax.OptState], number: jax.Array) -> tuple[tuple[Params, optax.OptState], None]:
        params, opt_state = state
        gradient = jax.grad(loss)(params, draw(problem, number, batch_size))
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            updates, opt_state = optimizer.update(gradient, opt_state, params)
        if mask is not None:
            updates = jax.tree.map(jnp.multiply, updates, mask)
        return (optax.apply_updates(params, updates), opt_state), None

    numbers = jnp.arange(steps)
    return jax.lax.scan(step, (params, optimizer.init(params)), numbers)[0][0]


def num_steps(problem: Problem, epochs: int, batch_size: int) -> int:
    """Steps of so many passes over as many images as there are, at least one a pass."""
    return epochs * max(1, problem.order.shape[0] // batch_size)


def cross_entropy(params: Params, batch: Minibatch) -> jax.Array:
    """Mean loss in nats."""
    return classifier.cross_entropy(classifier.scores(params, batch.columns), batch.labels).mean()


def divergence(teacher: jax.Array, student: jax.Array, temperature: float = 1.0) -> jax.Array:
    """Mean KL(teacher || student) in nats, times the squared temperature, as in distillation.

    Args:
      teacher: scores [K, B]; no gradient flows into it.
      student: scores [K, B].
      temperature: of both softmaxes.
    """
    target = jax.nn.log_softmax(jax.lax.stop_gradient(teacher) / temperature, axis=0)  # [K, B]
    found = jax.nn.log_softmax(student / temperature, axis=0)  # [K, B]
    return (jnp.exp(target) * (target - found)).sum(0).mean() * temperature**2


def random_labels(key: jax.Array, labels: jax.Array, num_classes: int, exclude_true: bool) -> jax.Array:
    """A class drawn uniformly for every image [n], the same in every pass; another than its own if `exclude_true`."""
    if not exclude_true:
        return jax.random.randint(key, labels.shape, 0, num_classes, labels.dtype)
    shift = jax.random.randint(key, labels.shape, 1, num_classes, labels.dtype)
    return (labels + shift) % num_classes
