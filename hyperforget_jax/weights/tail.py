"""What the kept directions leave of an input weight, drawn as training leaves it: a linear model with noise, given the rest of the unit.

The directions beyond K that the images have are no pure noise: a unit's code and its outgoing weights explain most of a weight along
them, and what was seen decides how. So each set of seen classes has a fit of its own. What is left is normal; its size along groups of
directions differs from unit to unit, since initialisation is left along some and the noise of minibatches along others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.weights.basis import Basis, extended

Array = np.ndarray[Any, np.dtype[np.float32]]
Doubles = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Group = tuple[Flags, Params]
"""The classes [K] that some models have seen, and these models, stacked."""

GROUPS = 6
"""Most groups of directions with a size of their own."""
PER_GROUP = 32
"""Directions that a further group must have: the size along a few of them is mostly chance."""
RIDGE = 0.01
"""Ridge of the linear model, as a share of the variance of a standardised feature."""
SIZE_RIDGE = 0.05
"""The same of the model of sizes."""
TINY = 1e-6
"""Added to norms, sizes and deviations before a logarithm or a quotient."""


@dataclass(frozen=True)
class Tail:
    """Weights of the first layer along R further directions, for each of S sets of seen classes.

    With the features x of a unit (code, outgoing weights, logarithms of their norms, 1), a weight along direction r of group g is
    x . slope_r + exp(x . size_g + noise_g) deviation_r noise_r.

    Attributes:
      directions: [R, D + 1], orthonormal, orthogonal to those of the codec; in order of what the linear model leaves along them.
      exposed: [S, K], the classes that models of a set have seen.
      slope: [S, F, R].
      deviation: [S, R].
      size: [S, F, G], of the logarithm.
      spread: [S, G, G], lower-triangular root of the covariance of the logarithms' noise.
    """

    directions: Array
    exposed: Flags
    slope: Array
    deviation: Array
    size: Array
    spread: Array

    def draw(self, key: jax.Array, params: Params, first: Basis, exposed: jax.Array) -> jax.Array:
        """Input weights and biases [H, D + 1] to add to those of the first layer.

        Args:
          key: a typed key.
          params: one model without them.
          first: the code of the first layer.
          exposed: [K] bool, what the model has seen; of the S sets the one that differs in the fewest classes is used.
        """
        row = jnp.argmin((self.exposed != exposed[None]).sum(1))  # []
        slope, deviation, size, spread = (
            jnp.asarray(each)[row] for each in (self.slope, self.deviation, self.size, self.spread)
        )
        incoming = extended(params[0])  # [H, D + 1]
        known = features(incoming @ first.encode.T, params[1]["w"].T)  # [H, F]
        size_key, noise_key = jax.random.split(key)
        logarithms = jax.random.normal(size_key, (len(known), len(spread))) @ spread.T + known @ size  # [H, G]
        noise = jax.random.normal(noise_key, (len(known), len(deviation)))  # [H, R]
        along = known @ slope + jnp.exp(logarithms)[:, _groups(len(deviation))] * deviation[None] * noise  # [H, R]
        return along @ self.directions


def features(code: jax.Array, outgoing: jax.Array) -> jax.Array:
    """What the tail of a unit follows from: [H, F] of codes [H, K] and outgoing weights [H, K']."""
    norms = (jnp.log(jnp.linalg.norm(part, axis=1, keepdims=True) + TINY) for part in (code, outgoing))  # [H, 1] each
    return jnp.concatenate([code, outgoing, *norms, jnp.ones((len(code), 1))], axis=1)


def fit(first: Basis, lit: Flags, groups: Sequence[Group]) -> Tail | None:
    """The tail of the directions that some images have and the codec drops.

    Args:
      first: the code of the first layer.
      lit: [D + 1], inputs that are not 0 in every image; the last is the bias.
      groups: models by the classes that they have seen, none of them empty. A group with fewer units than twice the features is left
        out; if all are, they count as one, of models that have seen whatever one of them has.

    Returns:
      The tail; None if the codec drops nothing.
    """
    directions = _complement(first, lit)  # [R, D + 1]
    if len(directions) == 0:
        return None
    known = [(exposed, *_units(first, directions, models)) for exposed, models in groups]
    enough = [each for each in known if len(each[1]) >= 2 * each[1].shape[1]]
    if not enough:
        seen = np.any([exposed for exposed, _, _ in known], axis=0)
        enough = [(seen, *(np.concatenate(parts) for parts in zip(*(each[1:] for each in known), strict=True)))]
    slopes = [_ridge(inputs, along, RIDGE) for _, inputs, along in enough]
    left = [along - inputs @ slope for (_, inputs, along), slope in zip(enough, slopes, strict=True)]
    pooled = sum(each.T @ each / (each**2).sum() for each in left)
    _, order = np.linalg.eigh(pooled)  # [R, R], columns, ascending
    sizes = [_sizes(inputs, each @ order) for (_, inputs, _), each in zip(enough, left, strict=True)]
    return Tail(
        (order.T @ directions).astype(np.float32),
        np.stack([exposed for exposed, _, _ in enough]),
        np.stack([slope @ order for slope in slopes]).astype(np.float32),
        *(np.stack(parts).astype(np.float32) for parts in zip(*sizes, strict=True)),
    )


def _complement(first: Basis, lit: Flags) -> Doubles:
    """Orthonormal directions [R, D + 1] of the lit inputs, orthogonal to those of the code."""
    kept = first.decode.astype(np.float64)  # [D + 1, K]
    kept = kept[:, np.linalg.norm(kept, axis=0) > 0]
    kept /= np.linalg.norm(kept, axis=0)
    projector = np.diag(lit.astype(np.float64)) - kept @ kept.T
    values, vectors = np.linalg.eigh(projector)  # 1 in the complement, 0 elsewhere
    return np.ascontiguousarray(vectors[:, values > 0.5].T)


def _units(first: Basis, directions: Doubles, models: Params) -> tuple[Doubles, Doubles]:
    """Features [U, F] of every unit of stacked models, and its weights [U, R] along the directions."""
    incoming = extended(models[0])  # [M, H, D + 1]
    outgoing = jnp.swapaxes(models[1]["w"], 1, 2)  # [M, H, K']
    known = np.asarray(jax.vmap(features)(incoming @ first.encode.T, outgoing), np.float64)
    along = np.asarray(incoming, np.float64).reshape(-1, incoming.shape[2]) @ directions.T  # [U, R]
    return known.reshape(-1, known.shape[2]), along


def _ridge(inputs: Doubles, outputs: Doubles, share: float) -> Doubles:
    """Coefficients [F, n] of outputs [U, n] on inputs [U, F], whose last column is 1 and is not shrunk."""
    mean, deviation = inputs.mean(0), inputs.std(0) + TINY
    mean[-1], deviation[-1] = 0.0, 1.0
    standard = (inputs - mean) / deviation
    penalty = share * len(inputs) * np.append(np.ones(inputs.shape[1] - 1), 0.0)
    found = np.linalg.solve(standard.T @ standard + np.diag(penalty), standard.T @ outputs) / deviation[:, None]
    found[-1] -= mean @ found
    coefficients: Doubles = found
    return coefficients


def _sizes(inputs: Doubles, left: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Deviations [R], and the linear model of the logarithms of the groups' sizes: [F, G] and the root of the noise's covariance."""
    groups = _groups(left.shape[1])
    rms = np.sqrt((left**2).mean(0)) + TINY  # [R]
    squares = (left / rms) ** 2
    logarithms = np.log(np.stack([squares[:, groups == g].mean(1) for g in range(groups[-1] + 1)], axis=1) + TINY) / 2
    slope = _ridge(inputs, logarithms, SIZE_RIDGE)  # [F, G]
    noise = logarithms - inputs @ slope
    covariance = noise.T @ noise / len(noise) + TINY * np.eye(noise.shape[1])
    deviation: Doubles = np.sqrt(((left / np.exp(logarithms)[:, groups]) ** 2).mean(0)) + TINY
    return deviation, slope, np.asarray(np.linalg.cholesky(covariance), np.float64)


def _groups(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The group of each of some ordered directions; groups are of about equal number."""
    return np.arange(count) * max(1, min(GROUPS, count // PER_GROUP)) // count
