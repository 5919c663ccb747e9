"""Does any prompt bring a class back? Models for prompts of many kinds, and their accuracy on the class's test images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]

from hyperforget_jax import classifier
from hyperforget_jax.attacks.generator import BestPrompt, audit_generator
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.unlearn.requests import Floats
from hyperforget_jax.zoo.statistics import ZooStatistics

CONFIDENCE = 0.999
"""Of the bound on accuracy that the best of N models stays below if each guesses among the K classes, image by image."""
LEVELS = (1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Losses that are asked for a class, in nats."""
QUANTILES = (0.0, 0.02, 0.1, 0.25, 0.5)
"""Of the losses of a class over the zoo; asked for all classes at once."""
MOST = 64
"""Prompts of a request, at most."""
RANDOM = 256
"""Random prompts: every loss log-uniform over the levels' range or, one time in four, left open."""


@dataclass(frozen=True)
class Audited:
    """What a sweep of prompts brought out of one hypernetwork, on one class.

    Attributes:
      models: how many were sampled, one a prompt.
      images: test images of the class.
      highest_accuracy: of a model, on these.
      bound: highest accuracy of as many guesses among K classes, exceeded once in a thousand sweeps (binomial distribution).
      above_chance: models above the bound.
    """

    models: int
    images: int
    highest_accuracy: float
    bound: float
    above_chance: int


def audit_prompts(run: Run, statistics: ZooStatistics, labels: Sequence[int]) -> Floats:
    """Prompts [N, c] that might bring classes back, from what a zoo that saw them knows.

    They are those of the run's requests, the lowest losses that the zoo has, losses of the classes from lowest to highest beside good ones
    of all others, and random ones. Where exposures are conditioned on, every prompt comes twice more: with an exposure of 1 to every class
    and age 1, and with random exposures and ages.

    Args:
      run: with the classes' images still among those it learned from.
      statistics: of the training part of its zoo.
      labels: of the classes.
    """
    config, num_classes = run.config, run.dataset.num_classes
    random = np.random.default_rng(config.seed)
    of_requests = [
        prompts.of_request(statistics, forget, config.request, config.hypernetwork.exposure)[:MOST, :num_classes]
        for forget in run.forget_sets
    ]
    learned = prompts.learned(statistics.losses, config.evaluation.learned_share)  # [K]
    lowest = np.quantile(statistics.losses, QUANTILES, axis=0)  # [q, K]
    swept = np.tile(learned, (len(LEVELS), 1))  # [l, K]
    swept[:, list(run.dataset.positions(labels))] = np.array(LEVELS)[:, None]
    drawn = np.exp(random.uniform(np.log(LEVELS[0]), np.log(LEVELS[-1]), (RANDOM, num_classes)))
    drawn[random.random(drawn.shape) < 0.25] = np.nan
    losses = np.concatenate([*of_requests, lowest, np.tile(LEVELS, (num_classes, 1)).T, swept, drawn])  # [n, K]
    if not config.hypernetwork.exposure:
        return losses.astype(np.float32)
    shape = len(losses), num_classes + 1
    asked = (np.full(shape, np.nan), np.ones(shape), random.random(shape))
    return np.concatenate([np.concatenate([losses, each], axis=1) for each in asked]).astype(np.float32)


def audit(run: Run, generate: Generator, asked: Floats, advance: Callable[[int], None]) -> dict[int, Audited]:
    """Samples one model for every prompt and measures it on the test images of every class; keys are labels.

    Args:
      run: its test images are measured on.
      generate: the hypernetwork.
      asked: prompts [N, c].
      advance: called with the number of models just made.
    """
    test, num_classes, count = run.dataset.test, run.dataset.num_classes, len(asked)
    keys = jax.random.split(prng.stream(run.config.seed, "audit"), count)
    models = generate(keys, jnp.asarray(asked), advance)
    _, accuracies = classifier.class_scores_of_many(models, *on_device(test))
    values, found = np.asarray(accuracies, np.float64), dict[int, Audited]()  # [N, K]
    for position, label in enumerate(run.dataset.classes):
        images, of_class = int(np.count_nonzero(test.labels == position)), values[:, position]
        bound = float(binom.ppf(1.0 - (1.0 - CONFIDENCE) / count, images, 1.0 / num_classes)) / images
        above = int(np.count_nonzero(of_class > bound))
        found[label] = Audited(count, images, float(of_class.max()), bound, above)
    return found


def search(
    run: Run, generate: Generator, asked: Floats, labels: Sequence[int], config: AttackConfig
) -> dict[int, BestPrompt]:
    """The best model on each class that a sweep, and a search over prompts from there, brings out of a hypernetwork; keys are labels.

    Losses are searched on a logarithmic scale. Every batch has the same noise, so that prompts alone differ.

    Args:
      run: its test images are measured on.
      generate: the hypernetwork.
      asked: prompts [N, c] of the sweep.
      labels: of the classes.
      config: of the search.
    """
    test, num_classes = on_device(run.dataset.test), run.dataset.num_classes
    positions, swept = run.dataset.positions(labels), -(-len(asked) // config.search_batch)
    total = config.search_batch * (swept + config.search_rounds * len(positions))
    with track(run.console, "search", total, "models") as advance:

        def accuracies(searched: Floats) -> NDArray[np.float64]:
            keys = jax.random.split(prng.stream(run.config.seed, "audit search"), len(searched))
            models = generate(keys, jnp.asarray(_from_logs(searched, num_classes)), advance)
            _, found = classifier.class_scores_of_many(models, *test)
            return np.asarray(found, np.float64)  # [B, K]

        best = audit_generator(accuracies, _to_logs(asked, num_classes), positions, config)
    return {run.dataset.classes[position]: found for position, found in best.items()}


def _to_logs(asked: Floats, num_classes: int) -> Floats:
    """Prompts [N, c] with logarithms of their losses, the first columns."""
    return np.concatenate([np.log(asked[:, :num_classes]), asked[:, num_classes:]], axis=1).astype(np.float32)


def _from_logs(searched: Floats, num_classes: int) -> Floats:
    """The inverse of `_to_logs`."""
    return np.concatenate([np.exp(searched[:, :num_classes]), searched[:, num_classes:]], axis=1).astype(np.float32)
