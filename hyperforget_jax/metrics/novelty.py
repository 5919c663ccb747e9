"""Novelty: how far a model is from the nearest one of the zoo, whatever its symmetries, and which mistakes two models share.

A generator that recites its zoo has samples at distance 0 and with the mistakes of a checkpoint. The measure to hold both against is that
of runs which the generator was not trained on, held-out ones or clean ones.
"""

from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MODELS_AT_ONCE = 1024
"""Models of which `canonical` holds the weights in float64: 45 MB for 784-7-10."""
COSTS_AT_ONCE = 2**22
"""Distances between two units that `nearest_distance` holds in float64: 34 MB."""


class Canonical(NamedTuple):
    """N models with one hidden layer, free of rescaling and softmax shift; the order of the units is left open.

    Attributes:
      units: [N, H, W], incoming weights (or their code) and outgoing weights of every hidden unit.
      biases: [N, K], of the output.
    """

    units: Floats
    biases: Floats


def canonical(models: Params, encode: Floats | None) -> Canonical:
    """What is left of models when rescaling and softmax shift are divided out (see `weights.symmetry`).

    Outgoing weights and output biases are centred over the classes, and every unit has |incoming| = |outgoing|. A unit of which either
    vanishes adds nothing to a class and becomes zero.

    Args:
      models: N stacked models with one hidden layer.
      encode: [C, D + 1], the map from incoming weights and bias to a code, such as `weights.basis.Basis.encode`: distances then are
        those of the pre-activations that a unit has on images; None: the weights and the bias themselves.

    Returns:
      Units [N, H, C + K], or [N, H, D + 1 + K] without a map, and biases [N, K].

    Raises:
      HyperForgetError: the models have more or fewer hidden layers than one.
    """
    if len(models) != 2:
        raise HyperForgetError(
            f"novelty got models with {len(models) - 1} hidden layers, and only the units of one layer have an exact "
            "matching: compare the predictions of deeper models, by shared_mistakes"
        )
    parts = [
        _canonical(jax.tree.map(lambda leaf, start=start: leaf[start : start + MODELS_AT_ONCE], models), encode)
        for start in range(0, len(models[-1]["b"]), MODELS_AT_ONCE)
    ]
    return Canonical(*map(np.concatenate, zip(*parts, strict=True)))


def _canonical(models: Params, encode: Floats | None) -> Canonical:
    first, last = ({name: np.asarray(leaf, np.float64) for name, leaf in layer.items()} for layer in models)
    incoming = np.concatenate([first["w"], first["b"][:, :, None]], axis=2)  # [N, H, D + 1]
    if encode is not None:
        incoming = incoming @ encode.T.astype(np.float64)  # [N, H, C]
    outgoing = (last["w"] - last["w"].mean(1, keepdims=True)).swapaxes(1, 2)  # [N, H, K]
    norm_in = np.linalg.norm(incoming, axis=2, keepdims=True)  # [N, H, 1]
    norm_out = np.linalg.norm(outgoing, axis=2, keepdims=True)  # [N, H, 1]
    balanced = [incoming * _root_ratio(norm_out, norm_in), outgoing * _root_ratio(norm_in, norm_out)]
    units, biases = np.concatenate(balanced, axis=2), last["b"] - last["b"].mean(1, keepdims=True)
    return Canonical(units.astype(np.float32), biases.astype(np.float32))


def _root_ratio(numerator: Doubles, denominator: Doubles) -> Doubles:
    """The square root of the ratio, 0 where the denominator vanishes."""
    ratio: Doubles = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    return np.sqrt(ratio)


def nearest_distance(models: Canonical, zoo: Canonical) -> Doubles:
    """Distance of every model to its nearest of the zoo, exact.

    The squared distance of two models is that of their output biases plus the least sum of squared distances between units that
    any matching of the hidden units reaches. Optimal matchings are sought in the order of a lower bound on them, until the bound
    exceeds the least distance so far.

    Args:
      models: N models.
      zoo: M models, of the same `canonical` form.

    Returns:
      [N]; infinity for a model with NaN.
    """
    count, hidden, width = models.units.shape
    own = models.units.reshape(-1, width)  # [N * H, W]
    at_once = max(1, COSTS_AT_ONCE // (count * hidden**2))
    best = np.full(count, np.inf)  # squared
    for start in range(0, len(zoo.biases), at_once):
        units, biases = (leaf[start : start + at_once] for leaf in zoo)
        others = units.swapaxes(0, 1).reshape(-1, width)  # [H * m, W]
        costs = _squared_distances(own, others).reshape(count, hidden, hidden, -1)  # [N, H, H, m]
        apart = _squared_distances(models.biases, biases)  # [N, m]
        bounds = apart + _least_matching(costs)
        for row, bound in enumerate(bounds):
            hopeful = np.flatnonzero(bound < best[row])
            for other in hopeful[np.argsort(bound[hopeful])]:
                if bound[other] >= best[row]:
                    break
                cost = costs[row, :, :, other]
                best[row] = min(best[row], apart[row, other] + cost[linear_sum_assignment(cost)].sum())
    return np.sqrt(best)


def _squared_distances(points: Floats, others: Floats) -> Doubles:
    """Of every point [A, W] to every other [B, W]: [A, B], in float64, since small differences of large squares remain."""
    a, b = points.astype(np.float64), others.astype(np.float64)
    products = a @ b.T  # [A, B]
    products *= -2
    products += (a**2).sum(1)[:, None]
    products += (b**2).sum(1)[None]
    return np.maximum(products, 0, out=products)


def _least_matching(costs: Doubles) -> Doubles:
    """A lower bound [N, m] on the cost of matchings [N, H, H, m]: the least of each row, then of each column of what remains."""
    rows = costs.min(2, keepdims=True)  # [N, H, 1, m]
    bound: Doubles = rows.sum((1, 2)) + (costs - rows).min(1).sum(1)
    return bound


def shared_mistakes(
    predictions: ArrayLike, references: ArrayLike, labels: ArrayLike, member: NDArray[np.bool_]
) -> Doubles:
    """Of the images that either of two models gets wrong, the share that both get wrong, for every pair (as in arXiv 2402.13144).

    Args:
      predictions: [N, n], classes by argmax.
      references: [M, n], those of the models to compare with.
      labels: [n].
      member: [n], the images that count. Take those of the retain set: on the forget set every model is meant to err.

    Returns:
      [N, M], in [0, 1]; 1 where neither errs, so that a copy always has 1.

    Raises:
      HyperForgetError: the set has no image.
    """
    if not member.any():
        raise HyperForgetError("shared mistakes got a set of 0 images: name classes that the split contains")
    truth = np.asarray(labels)[None, member]  # [1, n]
    guesses = (np.asarray(classes)[:, member] for classes in (predictions, references))
    wrong, reference_wrong = ((guess != truth).astype(np.float64) for guess in guesses)
    both = wrong @ reference_wrong.T  # [N, M]
    either = wrong.sum(1)[:, None] + reference_wrong.sum(1)[None] - both  # [N, M]
    share: Doubles = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    return share
