"""A request names the classes to forget; the answer is models that never learned them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig, TaskConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo import coverage

Floats = np.ndarray[Any, np.dtype[np.float32]]
Generate = Callable[[jax.Array, jax.Array], Params]
"""(keys [N], class losses [N, K]) -> N stacked models: a hypernetwork, ready to be prompted."""


@dataclass(frozen=True)
class Answer:
    """What a request got.

    Attributes:
      candidates: [C, K], the prompts tried.
      candidate_scores: [C], mean score of each one's samples on validation (see `answer`).
      chosen: row of the prompt in use.
      models: N stacked models, all samples of that prompt.
      selected: [best], rows of the models selected on validation, the best first.
    """

    candidates: Floats
    candidate_scores: Floats
    chosen: int
    models: Params
    selected: np.ndarray[Any, np.dtype[np.int64]]


def validate_task(task: TaskConfig, classes: Sequence[int]) -> None:
    """Refuses a task that cannot be asked, before any work.

    Raises:
      HyperForgetError: too many forgettable classes, unknown class, a class twice, an empty or complete forget set,
        a pivot to forget, no request.
    """
    forgettable = len(classes) - len(task.pivots)
    if forgettable > coverage.MAX_CLASSES:
        raise HyperForgetError(
            f"{forgettable} classes may be forgotten, and every combination of them is counted: name at least "
            f"{len(classes) - coverage.MAX_CLASSES} pivots, so that at most {coverage.MAX_CLASSES} may"
        )
    for name, group in (("pivots", task.pivots), *(("a forget set", forget) for forget in task.forget_sets)):
        unknown = sorted(set(group) - set(classes))
        if unknown:
            raise HyperForgetError(
                f"{name} names class {unknown[0]}, the dataset has {_set(classes)}: choose among these"
            )
        if len(set(group)) < len(group):
            raise HyperForgetError(f"{name} {_set(group)} names a class twice: name each once")
    if len({frozenset(forget) for forget in task.forget_sets}) < len(task.forget_sets):
        raise HyperForgetError("task.forget_sets names one set twice: name each once")
    if not task.forget_sets:
        raise HyperForgetError(
            "task.forget_sets is empty: name at least one set of classes, such as {2}"
        )
    for forget in task.forget_sets:
        if not forget:
            raise HyperForgetError("a forget set is empty: name at least one class to forget")
        if set(forget) == set(classes):
            raise HyperForgetError(
                f"the forget set {_set(forget)} is every class: leave at least one to retain"
            )
        pivots = sorted(set(forget) & set(task.pivots))
        if pivots:
            raise HyperForgetError(
                f"the forget set {_set(forget)} holds the pivot {pivots[0]}, and pivots {_set(task.pivots)} are never "
                "forgotten: take it out of task.pivots or out of the request"
            )


def answer(
    generate: Generate,
    prompts: Floats,
    forget: Sequence[int],
    validation: tuple[jax.Array, jax.Array],
    key: jax.Array,
    config: RequestConfig,
) -> Answer:
    """Tries the candidate prompts on validation, samples N models with the best, and selects a few.

    A model is score its retain accuracy if its forget accuracy is at most `forget_tolerance`, else nothing. Of the prompts whose
    samples score highest on average, within `score_tolerance`, the one that asks for the highest forget loss is used: models that never
    saw a class are surer to be wrong about it than those that lost it. The models score most are selected, at a tie those that
    forget more, then those with the lower retain loss.

    Args:
      generate: the hypernetwork.
      prompts: [C, K], class losses in nats.
      forget: output positions of the classes to forget; none asks for models that know every class.
      validation: images [n, D] and labels [n].
      key: a typed key.
      config: numbers of samples.
    """
    try_key, sample_key = jax.random.split(key)
    each = config.samples_per_candidate
    tried = generate(
        jax.random.split(try_key, len(prompts) * each), jnp.repeat(jnp.asarray(prompts), each, axis=0)
    )
    judged = _judge(tried, forget, validation, config.forget_tolerance)
    score, forgotten, _ = (x.reshape(-1, each).mean(1) for x in judged)  # [C] each
    too_little = score < score.max() - config.score_tolerance
    remembered = np.where(score.any(), 0.0, forgotten)  # counts only where nothing is score anything
    asked = prompts[:, list(forget)].sum(1)
    chosen = int(np.lexsort((-score, -asked, remembered, too_little))[0])
    prompt = jnp.tile(jnp.asarray(prompts[chosen])[None], (config.samples, 1))
    models = generate(jax.random.split(sample_key, config.samples), prompt)
    return Answer(prompts, score, chosen, models, select(models, forget, validation, config))


def select(
    models: Params, forget: Sequence[int], validation: tuple[jax.Array, jax.Array], config: RequestConfig
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows [best] of the models that score highest on validation, the best first, as `answer` ranks them."""
    score, forgotten, losses = _judge(models, forget, validation, config.forget_tolerance)
    return np.lexsort((losses, forgotten, -score))[: config.num_selected]


def shares(labels: np.ndarray[Any, Any], forget: Sequence[int], num_classes: int) -> tuple[Floats, Floats]:
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


def _judge(
    models: Params, forget: Sequence[int], validation: tuple[jax.Array, jax.Array], tolerance: float
) -> tuple[Floats, Floats, Floats]:
    """Score, forget accuracy and mean loss on the retain set of N models: [N] each, over the images of the sets."""
    losses, accuracies = (np.asarray(x) for x in classifier.class_scores_of_many(models, *validation))
    retain_share, forget_share = shares(np.asarray(validation[1]), forget, losses.shape[1])
    forgotten = accuracies @ forget_share
    score = np.where(forgotten <= tolerance, accuracies @ retain_share, 0.0)
    return score, forgotten, losses @ retain_share


def _set(classes: Sequence[int]) -> str:
    return "{" + ", ".join(str(label) for label in classes) + "}"
