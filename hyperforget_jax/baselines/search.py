"""Settings of a baseline by an equal-budget search on validation images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.baselines.method import M, Method, Problem, answers
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError

TOLERANCE = 0.01
"""Mean forget accuracy up to which a candidate has forgotten."""
MODELS_AT_ONCE = 64
"""Unlearned models that one call makes."""


class Candidate(NamedTuple):
    """One candidate of a search.

    Attributes:
      settings: what the search varied.
      retain_accuracy: mean over models, on validation.
      forget_accuracy: likewise.
    """

    settings: dict[str, float]
    retain_accuracy: float
    forget_accuracy: float

    @property
    def score(self) -> float:
        """Retain accuracy if it has forgotten, otherwise minus the forget accuracy: forgetting comes first."""
        return self.retain_accuracy if self.forget_accuracy <= TOLERANCE else -self.forget_accuracy


def search(
    method: M,
    originals: Params,
    problem: Problem,
    keys: jax.Array,
    validation: tuple[jax.Array, jax.Array],
    candidates: int,
    seed: int,
) -> tuple[M, list[Candidate]]:
    """The best of some settings, drawn log-uniformly from the method's ranges; its own are the first candidate.

    Args:
      method: with its default settings.
      originals: S stacked models.
      problem: what to forget.
      keys: [S].
      validation: images [n, D] and labels [n] that candidates are judged on.
      candidates: how many, the same for every method; a method without ranges has one.
      seed: of the draws.

    Returns:
      The method with the best settings (of equal ones the first), and all candidates in the order of their draws.

    Raises:
      HyperForgetError: fewer than one candidate, or every candidate gives models that are not finite.
    """
    if candidates < 1:
        raise HyperForgetError(f"a search got {candidates} candidates, expected at least 1: raise the budget")
    drawn = draws(method, candidates if method.ranges else 1, seed)
    count = len(next(iter(drawn.values()))) if drawn else 1
    at_once = max(1, min(count, MODELS_AT_ONCE // len(originals[-1]["b"])))
    found = list[Candidate]()
    for rows in np.arange(-(-count // at_once) * at_once).reshape(-1, at_once) % count:
        stack = stacked(method, {name: values[rows] for name, values in drawn.items()}, at_once)
        retain, forget = accuracies(answers(stack, originals, problem, keys), validation, problem.forget)
        for row, *scores in zip(rows.tolist(), retain.tolist(), forget.tolist(), strict=True):
            if row == len(found):
                found.append(Candidate({name: float(values[row]) for name, values in drawn.items()}, *scores))
    finite = [each for each in found if np.isfinite([each.retain_accuracy, each.forget_accuracy]).all()]
    if not finite:
        raise HyperForgetError(f"all {count} candidates of a search are not finite: lower the ranges of its settings")
    best = max(finite, key=lambda each: each.score)
    changed: Any = replace(cast(Any, method), **best.settings)
    return changed, found


def draws(method: Method, candidates: int, seed: int) -> Mapping[str, NDArray[np.float32]]:
    """Values [C] of every setting that is searched."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, low, high in method.ranges:
        values = np.exp(rng.uniform(np.log(low), np.log(high), candidates))
        values[0] = getattr(method, name)
        found[name] = values.astype(np.float32)
    return found


def stacked(method: M, values: Mapping[str, NDArray[np.float32]], count: int) -> M:
    """A method whose traced settings have a leading axis [C]."""
    everywhere: Any = jax.tree.map(lambda leaf: jnp.full((count,), leaf, jnp.float32), method)
    return replace(everywhere, **{name: jnp.asarray(each) for name, each in values.items()})


@jax.jit
def _accuracies(models: Params, images: jax.Array, labels: jax.Array, forget: jax.Array) -> jax.Array:
    def of_model(params: Params) -> jax.Array:
        scores = classifier.scores(params, images.T)  # [K, n]
        hits = (scores.argmax(0) == labels).astype(jnp.float32)
        hits = jnp.where(jnp.isfinite(scores).all(0), hits, jnp.nan)
        of_forgotten = forget[labels].astype(jnp.float32)
        both = jnp.stack([1.0 - of_forgotten, of_forgotten])  # [2, n]
        return both @ hits / jnp.maximum(both.sum(1), 1.0)

    return jax.vmap(jax.vmap(of_model))(models).mean(1)  # [C, 2]


def accuracies(
    models: Params, images: tuple[jax.Array, jax.Array], forget: jax.Array
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Retain and forget accuracy [C] of models [C, S, …], the mean over S; NaN where an output is not finite."""
    found = np.asarray(_accuracies(models, *images, forget), np.float64)
    return found[:, 0], found[:, 1]
