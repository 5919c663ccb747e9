"""Audit of a generator: the best model on a forgotten class that any prompt of a sweep, and a search from there, can still make.

The search is the cross-entropy method with restarts: from each of the best prompts of the sweep, prompts are drawn from a Gaussian with a
diagonal covariance, which is refitted to the best ones; half of the starts are dropped after every round, and those left get more prompts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]

from hyperforget_jax.attacks.result import AttackResult, Doubles, beside_reference
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

Floats = NDArray[np.float32]
Accuracies = Callable[[Floats], Any]
"""(prompts [B, c]) -> accuracies [B, K] on every class of the models made for them, one a prompt; B is always `search_batch`."""


@dataclass(frozen=True)
class BestPrompt:
    """What an audit found for one class.

    Attributes:
      prompt: [c], of the best model.
      accuracy: of that model on the class.
      sweep_prompt: [c], of the best model of the sweep.
      sweep_accuracy: of that model.
      models: how many were made, of the sweep and of the search.
    """

    prompt: Floats
    accuracy: float
    sweep_prompt: Floats
    sweep_accuracy: float
    models: int


def audit_generator(
    accuracies: Accuracies, sweep: Floats, classes: Sequence[int], config: AttackConfig
) -> dict[int, BestPrompt]:
    """The best prompt for every class, by the sweep and a search from its best prompts.

    Columns are searched in units of their standard deviation over the sweep and within its range: give them on the scale on which they
    matter, such as logarithms of losses. A column that a prompt leaves open (NaN) stays open.

    Args:
      accuracies: makes one model a prompt and measures it.
      sweep: prompts [S, c].
      classes: output positions of the forgettable classes.
      config: batch, restarts, rounds and widths.

    Returns:
      Output position -> what was found.

    Raises:
      HyperForgetError: there is no prompt, more than one start for two prompts of a batch, or an accuracy is not finite.
    """
    if len(sweep) == 0:
        raise HyperForgetError("an audit got a sweep of 0 prompts, expected at least 1: list prompts to start from")
    if 2 * config.search_restarts > config.search_batch:
        raise HyperForgetError(
            f"search_restarts is {config.search_restarts}, search_batch {config.search_batch}: choose a batch of at least 2 prompts a start"
        )
    batch = config.search_batch
    rows = np.arange(-(-len(sweep) // batch) * batch).reshape(-1, batch) % len(sweep)
    swept = np.concatenate([np.asarray(accuracies(sweep[each]), np.float64) for each in rows])[: len(sweep)]  # [S, K]
    lost = [position for position in classes if not np.isfinite(swept[:, position]).all()]
    if lost:
        raise HyperForgetError(
            f"an audit got accuracies that are not finite on outputs {lost}: name classes that the split contains"
        )
    return {position: _search(accuracies, sweep, swept[:, position], position, config) for position in classes}


def _search(accuracies: Accuracies, sweep: Floats, swept: Doubles, position: int, config: AttackConfig) -> BestPrompt:
    """From the best prompts of a sweep [S, c], whose models have accuracies [S] on the class at a position."""
    rng = np.random.default_rng(config.seed)
    unit, low, high = _spread(sweep), np.fmin.reduce(sweep, axis=0), np.fmax.reduce(sweep, axis=0)  # [c]
    order = np.argsort(-swept, kind="stable")
    best, best_score = sweep[order[0]], float(swept[order[0]])
    means = sweep[order[: config.search_restarts]].astype(np.float64)  # [starts, c]
    widths = np.tile(config.search_width * unit, (len(means), 1))
    reached = swept[order[: len(means)]]
    for _ in range(config.search_rounds):
        each = config.search_batch // len(means)
        drawn = means[:, None] + widths[:, None] * rng.standard_normal((len(means), each, sweep.shape[1]))
        prompts = np.clip(drawn, low, high).astype(np.float32)  # [starts, each, c]
        flat = prompts.reshape(-1, sweep.shape[1])
        measured = np.asarray(accuracies(np.resize(flat, (config.search_batch, sweep.shape[1]))), np.float64)
        scores = measured[: len(flat), position].reshape(-1, each)
        if scores.max() > best_score:
            best, best_score = flat[scores.argmax()], float(scores.max())
        count = max(2, round(config.search_elite * each))
        elite = np.take_along_axis(prompts, np.argsort(-scores, axis=1, kind="stable")[:, :count, None], axis=1)
        means = elite.mean(1, dtype=np.float64)
        widths = np.maximum(elite.std(1, dtype=np.float64), config.search_least_width * unit)
        reached = np.maximum(reached, scores.max(1))
        kept = np.argsort(-reached, kind="stable")[: -(-len(means) // 2)]
        means, widths, reached = means[kept], widths[kept], reached[kept]
    models = len(sweep) + config.search_rounds * config.search_batch
    return BestPrompt(best, best_score, sweep[order[0]], float(swept[order[0]]), models)


def _spread(sweep: Floats) -> Doubles:
    """Standard deviation [c] of every column over the prompts that do not leave it open; 0 where all do."""
    known = np.isfinite(sweep)
    count = np.maximum(known.sum(0), 1)
    values = np.where(known, sweep, 0.0).astype(np.float64)
    mean = values.sum(0) / count
    return np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)


def beside_controls(found: BestPrompt, controls: Sequence[BestPrompt]) -> AttackResult:
    """The best accuracy of an audit beside those of audits of generators that know nothing of the class, such as `drawing`."""
    accuracies = np.array([each.accuracy for each in controls], np.float64)
    return beside_reference("generator", np.array([found.accuracy], np.float64), accuracies)


def drawing(reference_accuracies: Doubles, seed: int) -> Accuracies:
    """A generator as a control: it draws one of M reference models whatever the prompt; the best of its draws is what luck finds.

    Args:
      reference_accuracies: [M, K], of the reference models on every class.
      seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    return lambda prompts: reference_accuracies[rng.integers(len(reference_accuracies), size=len(prompts))]


def chance_bound(models: int, images: int, num_classes: int, confidence: float) -> float:
    """Accuracy that the best of many models stays below if each guesses among K classes, image by image (binomial distribution).

    Args:
      models: how many.
      images: of the class.
      num_classes: K.
      confidence: chance that all stay at or below the bound, such as 0.999.
    """
    each = -math.expm1(math.log(confidence) / models)  # chance of one model to be above
    return float(binom.isf(each, images, 1.0 / num_classes)) / images
