"""Membership inference from the entropy of a model's outputs (Figure 22).

The attacker fits a logistic regression on one feature, the entropy of p(y | x), that tells retained training images from test
images, and is applied to the forgotten training images. The regression is that of scikit-learn, `LogisticRegression(C=1,
class_weight="balanced")`, which minimises, with both classes of the same total weight and z = slope * entropy + intercept,

    (mean over members of log(1 + e^-z) + mean over non-members of log(1 + e^z)) / 2 + slope^2 / (2 (a + b)).
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr
from jax.typing import ArrayLike
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError

NewtonState = tuple[jax.Array, jax.Array, jax.Array]
"""The line [2], the decrement that its last step expected, and the steps taken."""
MAX_STEPS = 100
"""Bound on Newton steps; about 5 are taken, some 20 for separable entropies of a large scale."""
CONVERGED = 1e-12
"""Newton decrement of the last step, in units of the objective; the error left is its square."""
SUFFICIENT_DECREASE = 1e-4
"""Armijo's constant: the share of the predicted decrease that a step must reach, or it is halved."""
ROUNDING = 1e-14
"""Increase of the objective that may be rounding."""


@jax.jit
def _entropy(probabilities: jax.Array) -> jax.Array:
    return jnp.sum(entr(probabilities.astype(jnp.float64)), -1)


def entropy(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Entropy -sum p log p of distributions, with 0 log 0 = 0.

    Args:
      probabilities: [..., K].

    Returns:
      [...], in nats.
    """
    with jax.enable_x64(True):
        return np.asarray(_entropy(jnp.asarray(probabilities)))


def _fit_line(members: jax.Array, others: jax.Array) -> jax.Array:
    """Slope and intercept [2] of the regression on members [a] and others [b]: damped Newton."""
    ridge = 1 / (members.size + others.size)

    def objective(line: jax.Array) -> jax.Array:
        slope, intercept = line
        loss_members = jnp.mean(jax.nn.softplus(-(slope * members + intercept)))
        loss_others = jnp.mean(jax.nn.softplus(slope * others + intercept))
        value: jax.Array = (loss_members + loss_others + ridge * slope**2) / 2
        return value

    def newton_step(state: NewtonState) -> NewtonState:
        line, _, steps = state
        value, gradient = jax.value_and_grad(objective)(line)
        direction = -jnp.linalg.solve(jax.hessian(objective)(line), gradient)  # [2]
        decrement = -gradient @ direction

        def overshoots(scale: jax.Array) -> jax.Array:
            bound = value - SUFFICIENT_DECREASE * scale * decrement + ROUNDING
            return jnp.greater(objective(line + scale * direction), bound)

        scale = jax.lax.while_loop(overshoots, lambda scale: scale / 2, jnp.ones((), jnp.float64))
        return line + scale * direction, decrement, steps + 1

    def unfinished(state: NewtonState) -> jax.Array:
        _, decrement, steps = state
        return (decrement > CONVERGED) & (steps < MAX_STEPS)

    start = (jnp.zeros(2, jnp.float64), jnp.full((), jnp.inf, jnp.float64), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(unfinished, newton_step, start)[0]


@jax.jit
def _membership(retain_train: jax.Array, test: jax.Array, forget_train: jax.Array) -> jax.Array:
    def one_model(entropies: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        members, others, forgotten = entropies
        slope, intercept = _fit_line(members, others)
        return jnp.sum(slope * forgotten + intercept > 0, dtype=jnp.int32)

    counts: jax.Array = jax.lax.map(one_model, (retain_train, test, forget_train))  # [N]
    return counts


def membership_inference(
    retain_train: NDArray[np.float64], test: NDArray[np.float64], forget_train: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of forgotten training images that the attacker takes for members (Figure 22).

    Line 7 of the figure predicts on the retain set, a slip: the forget set is meant. Neither 0 nor 1 is
    ideal; compare with the reference models.

    Args:
      retain_train: [N, a], entropies of N models on the retained training images, the members.
      test: [N, b], on the test images, those of forgotten classes included: the non-members.
      forget_train: [N, c], on the forgotten training images.

    Returns:
      [N], in [0, 1].

    Raises:
      HyperForgetError: a set has no image, or an entropy is not finite.
    """
    sets = {"retain-train": retain_train, "test": test, "forget-train": forget_train}
    validate_entropies(sets)
    with jax.enable_x64(True):
        counts = _membership(*(jnp.asarray(value, jnp.float64) for value in sets.values()))
        return np.asarray(counts) / np.float64(forget_train.shape[1])


def validate_entropies(sets: Mapping[str, NDArray[np.float64]]) -> None:
    """Refuses sets of entropies that an attacker cannot use.

    Args:
      sets: what the images are, such as "test", to entropies [N, n].

    Raises:
      HyperForgetError: a set has no image, or an entropy is not finite.
    """
    for name, entropies in sets.items():
        if entropies.shape[1] == 0:
            raise HyperForgetError(f"membership inference got 0 {name} images: name classes that the split contains")
        broken = np.flatnonzero(~np.isfinite(entropies).all(axis=1))
        if broken.size:
            raise HyperForgetError(
                f"membership inference got {name} entropies that are not finite for model {broken[0]} "
                f"({broken.size} of {len(entropies)} models): drop models with NaN weights first"
            )
