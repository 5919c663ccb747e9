"""Successive halving keeps the best of planted scores and samples as many models as planned; a book is read as it was written."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig, SamplingConfig
from hyperforget_jax.unlearn import halving, prompt_book
from hyperforget_jax.unlearn.prompt_book import Page

BRIGHTNESS = np.linspace(0.0, 1.0, 200)
IMAGES = np.concatenate([np.outer(BRIGHTNESS, [1, 0]), np.outer(BRIGHTNESS, [0, 1])])
DATA = jnp.asarray(IMAGES, jnp.float32), jnp.repeat(jnp.arange(2), 200)
"""Class 0 lights pixel 0, class 1, to forget, pixel 1; no image is of class 2."""
COUNT = 24
FORGET = [1]


class Planted:
    """Makes models that know a share of class 0, the first number of their prompt and a little noise; notes what it was asked."""

    def __init__(self, noise: float = 0.0, remembers: bool = False) -> None:
        self.noise, self.remembers, self.prompts = noise, remembers, list[np.ndarray[Any, Any]]()
        self.draws = list[float]()

    def __call__(self, keys: jax.Array, prompts: jax.Array) -> Params:
        self.prompts.append(np.asarray(prompts))
        uniform = jax.vmap(jax.random.uniform)(keys)
        self.draws += np.asarray(uniform).tolist()
        known = prompts[:, 0] + self.noise * (uniform - 0.5)  # [N]
        weights = jnp.array([[1.0, 0.0], [0.0, 2.0 if self.remembers else 0.0], [0.0, 0.0]])
        zero = jnp.zeros(len(keys))
        bias = jnp.stack([zero, zero, 1.0 - known], axis=1)  # class 0 wins where its pixel is above 1 - known
        return ({"w": jnp.tile(weights[None], (len(keys), 1, 1)), "b": bias},)


def candidates(order: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Prompts whose first loss is what their models know, in some order; all ask for the same forget loss."""
    known = np.linspace(0.2, 0.9, COUNT, dtype=np.float32)[order]
    return np.stack([known, np.full(COUNT, 3.0, np.float32)], axis=1)


def rounds(each: Planted, config: RequestConfig) -> list[Planted]:
    return [each] * len(config.trial_samples)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_planted_prompts_is_kept_and_the_plan_is_followed(seed: int) -> None:
    config, generate = RequestConfig(), Planted(noise=0.02)
    prompts = candidates(np.random.default_rng(seed).permutation(COUNT))
    page = halving.judge_prompts(rounds(generate, config), prompts, FORGET, DATA, jax.random.key(seed), config)
    assert page.chosen == prompts[:, 0].argmax()
    assert [len(each) for each in generate.prompts] == [24 * 8, 8 * 24, 3 * 64]
    assert sum(map(len, generate.prompts)) == halving.num_models(COUNT, config) == 576
    assert len(set(generate.draws)) == 576  # every model has a key of its own
    order = np.argsort(-prompts[:, 0])
    assert page.models[order].tolist() == [64] * 3 + [24] * 5 + [8] * 16
    assert np.abs(page.scores - prompts[:, 0]).max() < 0.05


def test_the_default_plan_costs_a_fifth_of_judging_every_prompt_by_64_models_at_all_steps() -> None:
    config, sampling = RequestConfig(), SamplingConfig()
    *early, last = (count * each for count, each in halving.plan(COUNT, config))
    steps = sum(early) * halving.few_steps(sampling, config).steps + last * sampling.steps
    assert steps / (COUNT * 64 * sampling.steps) < 0.2


def test_one_round_judges_every_prompt_and_a_prompt_alone_goes_straight_to_the_last() -> None:
    config, generate = RequestConfig(trial_samples=(5,)), Planted()
    page = halving.judge_prompts([generate], candidates(np.arange(COUNT)), FORGET, DATA, jax.random.key(0), config)
    assert (page.chosen, page.models.tolist()) == (COUNT - 1, [5] * COUNT)
    alone = Planted()
    config = RequestConfig()
    page = halving.judge_prompts(
        rounds(alone, config), candidates(np.arange(COUNT))[:1], FORGET, DATA, jax.random.key(0), config
    )
    assert (page.chosen, page.models.tolist(), len(alone.draws)) == (0, [64], 64)


def test_early_rounds_use_their_own_generators_and_the_last_decides() -> None:
    """Early rounds that are wrong about the order of the kept prompts do not change the choice among these."""

    class Backwards(Planted):
        def __call__(self, keys: jax.Array, prompts: jax.Array) -> Params:
            return super().__call__(keys, prompts.at[:, 0].set(1.0 - prompts[:, 0]))

    config = RequestConfig(trial_samples=(2, 4), trial_factor=2)
    quick, whole = Backwards(), Planted()
    page = halving.judge_prompts([quick, whole], candidates(np.arange(COUNT)), FORGET, DATA, jax.random.key(0), config)
    assert page.chosen == 11  # the best of the lower half, which the early round kept
    assert [len(quick.draws), len(whole.draws)] == [COUNT * 2, 12 * 4]


def test_within_the_tolerance_the_last_round_chooses_the_higher_forget_loss() -> None:
    config = RequestConfig(trial_samples=(2, 4), score_tolerance=0.1)
    prompts = candidates(np.arange(COUNT))
    prompts[-3, 1] = 9.0  # third of the best, 0.06 below the first
    page = halving.judge_prompts(rounds(Planted(), config), prompts, FORGET, DATA, jax.random.key(0), config)
    assert page.chosen == COUNT - 3
    strict = RequestConfig(trial_samples=(2, 4), score_tolerance=0.0)
    page = halving.judge_prompts(rounds(Planted(), strict), prompts, FORGET, DATA, jax.random.key(0), strict)
    assert page.chosen == COUNT - 1


def test_early_rounds_keep_what_the_last_may_choose_and_the_best() -> None:
    """Twelve prompts score higher than the one that asks for more, and 8 of 24 go on: it does if the tolerance lets it be chosen."""
    prompts = candidates(np.arange(COUNT))
    prompts[COUNT - 13, 1] = 9.0  # 0.365 below the best
    for tolerance, chosen in ((0.38, COUNT - 13), (0.35, COUNT - 1)):
        config = RequestConfig(trial_samples=(2, 4), score_tolerance=tolerance)
        page = halving.judge_prompts(rounds(Planted(), config), prompts, FORGET, DATA, jax.random.key(0), config)
        assert (page.chosen, page.models[-1], (page.models == 4).sum()) == (chosen, 4, 8)


def test_where_nothing_forgets_every_score_is_zero_and_a_prompt_is_chosen_all_the_same() -> None:
    config, prompts = RequestConfig(), candidates(np.arange(COUNT))
    prompts[:, 0] = 0.5
    prompts[5, 1] = 9.0
    generate = Planted(remembers=True)
    page = halving.judge_prompts(rounds(generate, config), prompts, FORGET, DATA, jax.random.key(0), config)
    assert not page.scores.any()
    assert page.chosen == 5  # all remember alike, it asks for the highest forget loss


def test_a_book_is_read_as_it_was_written(tmp_path: Path) -> None:
    page = Page(candidates(np.arange(COUNT)), np.ones(COUNT, np.float32), np.arange(COUNT), 7)
    for book in ({}, {"forget-2": page, "forget-2-3": page._replace(chosen=3, prompts=page.prompts[:, :1])}):
        prompt_book.save(book, tmp_path)
        read = prompt_book.load(tmp_path)
        assert read.keys() == book.keys()
        for name, expected in book.items():
            assert read[name].chosen == expected.chosen
            for ours, theirs in zip(read[name][:3], expected[:3], strict=True):
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
