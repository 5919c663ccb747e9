"""Judging models on validation, and selecting the best of them."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig

Floats = np.ndarray[Any, np.dtype[np.float32]]


def select(
    models: Params, forget: Sequence[int], validation: tuple[jax.Array, jax.Array], config: RequestConfig
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows [best] of the models that score highest on validation, the best first, as `requests.answer` ranks them."""
    return rank(judge(models, forget, validation, config.forget_tolerance), config.num_selected)


def rank(judged: tuple[Floats, Floats, Floats], count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows of the `count` best of N models that `judge` has judged, the best first."""
    score, forgotten, losses = judged
    return np.lexsort((losses, forgotten, -score))[:count]


def class_weights(labels: np.ndarray[Any, Any], forget: Sequence[int], num_classes: int) -> tuple[Floats, Floats]:
    """How much each class weighs in a mean over the images of the retain set, and in one over those of the forget set.

    Args:
      labels: [n], output positions of the images' classes.
      forget: output positions; may be empty.
      num_classes: K.

    Returns:
      [K] each; they sum to 1, those of an empty forget set to 0.
    """
    counts = np.bincount(labels, minlength=num_classes).astype(np.float32)  # [K]
    left_out = np.isin(np.arange(num_classes), list(forget))  # [K]
    retained, forgotten = np.where(left_out, 0, counts), np.where(left_out, counts, 0)
    return retained / retained.sum(), forgotten / max(forgotten.sum(), 1)


def judge(
    models: Params, forget: Sequence[int], validation: tuple[jax.Array, jax.Array], tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Score, forget accuracy and mean loss on the retain set of N models: [N] each, over the images of the sets."""
    scores = classifier.class_scores_of_many(models, *validation)
    losses, accuracies = (np.nan_to_num(np.asarray(x)) for x in scores)  # a class without images has no weight
    retain_weights, forget_weights = class_weights(np.asarray(validation[1]), forget, losses.shape[1])
    forgotten = accuracies @ forget_weights
    score = np.where(forgotten <= tolerance, accuracies @ retain_weights, 0.0)
    return score, forgotten, losses @ retain_weights
