"""Which of many candidate prompts is used: successive halving on validation (arXiv 1502.07943).

Each round judges the prompts that are left by a few of their models; the best `1 / trial_factor` of them go on to the next, where each
gets more. Rounds of (24, 8, 3) prompts with (8, 24, 64) models cost the same number of models each.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig, SamplingConfig
from hyperforget_jax.unlearn.prompt_book import Floats, Integers, Page
from hyperforget_jax.unlearn.selection import judge

Generate = Callable[[jax.Array, jax.Array], Params]
"""(keys [N], prompts [N, c]) -> N stacked models: a hypernetwork, ready to be prompted."""


def plan(count: int, config: RequestConfig) -> list[tuple[int, int]]:
    """Prompts and models of each prompt in every round, for `count` candidates; one without a rival goes straight to the last round."""
    *earlier, last = config.trial_samples
    rounds = []
    for each in earlier:
        if count == 1:
            break
        rounds.append((count, each))
        count = -(-count // config.trial_factor)
    return [*rounds, (count, last)]


def num_models(count: int, config: RequestConfig) -> int:
    """Models that are sampled to judge `count` candidates."""
    return sum(prompts * each for prompts, each in plan(count, config))


def few_steps(sampling: SamplingConfig, config: RequestConfig) -> SamplingConfig:
    """The sampling of all rounds but the last, which has the run's own."""
    return replace(sampling, steps=min(config.trial_steps, sampling.steps))


def judge_prompts(
    generators: Sequence[Generate],
    prompts: Floats,
    forget: Sequence[int],
    validation: tuple[jax.Array, jax.Array],
    key: jax.Array,
    config: RequestConfig,
) -> Page:
    """Judges the candidate prompts of a forget set on validation and chooses one.

    Score of a model: its retain accuracy if its forget accuracy is at most `forget_tolerance`, otherwise 0. Of the prompts in the
    last round whose models have the highest mean score, within `score_tolerance`, the one that asks for the highest forget loss is chosen:
    clean runs are surer to be wrong about a class that they never saw than runs that lost it. A round before the last passes on the
    prompt with the highest score, then those within the tolerance, the highest forget loss first, then others by their score. Where no
    model of a round has forgotten, prompts with the lower forget accuracy come first.

    Args:
      generators: of each round of `trial_samples`; those of early rounds may take fewer sampling steps.
      prompts: [C, c].
      forget: output positions of the classes to forget.
      validation: images [n, D] and labels [n].
      key: a typed key.
      config: rounds and tolerances.
    """
    forget_loss = np.nan_to_num(prompts[:, list(forget)]).sum(1)  # [C]
    scores, models = np.zeros(len(prompts), np.float32), np.zeros(len(prompts), np.int64)
    left: Integers = np.arange(len(prompts))
    *earlier, (_, last) = plan(len(prompts), config)
    for (count, each), generate in zip(earlier, generators[:-1], strict=False):
        key, round_key = jax.random.split(key)
        score, forgotten = _mean_scores(generate, prompts[left], each, forget, validation, round_key, config)
        scores[left], models[left] = score, each
        too_low, remembered = _ranked(score, forgotten, config)
        preference = np.where(too_low, -score, -forget_loss[left])
        order = np.lexsort((preference, remembered, too_low, score < score.max()))
        left = np.sort(left[order[: -(-count // config.trial_factor)]])
    score, forgotten = _mean_scores(generators[-1], prompts[left], last, forget, validation, key, config)
    scores[left], models[left] = score, last
    too_low, remembered = _ranked(score, forgotten, config)
    best = np.lexsort((-score, -forget_loss[left], remembered, too_low))[0]
    return Page(prompts, scores, models, int(left[best]))


def _ranked(score: Any, forgotten: Any, config: RequestConfig) -> tuple[Any, Any]:
    """Which prompts [C] score too low to be chosen, and what counts of their forget accuracy: 0, unless every score is 0."""
    return score < score.max() - config.score_tolerance, np.where(score.any(), 0.0, forgotten)


def _mean_scores(
    generate: Generate,
    prompts: Floats,
    each: int,
    forget: Sequence[int],
    validation: tuple[jax.Array, jax.Array],
    key: jax.Array,
    config: RequestConfig,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Mean score and mean forget accuracy [C] of `each` models of every prompt."""
    keys = jax.random.split(key, len(prompts) * each)
    models = generate(keys, jnp.repeat(jnp.asarray(prompts), each, axis=0))
    score, forgotten, _ = judge(models, forget, validation, config.forget_tolerance)
    return score.reshape(-1, each).mean(1), forgotten.reshape(-1, each).mean(1)
