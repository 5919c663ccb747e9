"""The best prompt of a hypernetwork that is conditioned on exposure: candidates by losses, with exposures and age beside them."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn import halving, prompts, requests
from hyperforget_jax.zoo.statistics import ZooStatistics

CONFIG = RequestConfig(prompts="best", forget_levels=2, retain_quantiles=(0.5,), retain_factors=(1.0,))
LOSSES = np.array([[0.1, 0.2, 5.0], [0.2, 0.1, 7.0], [0.1, 0.1, 0.1]], np.float32)
ZOO = ZooStatistics(
    losses=LOSSES,
    accuracies=np.array([[1, 1, 0], [1, 1, 0], [1, 1, 1]], np.float32),
    exposures=np.array([[1, 1, 0.1], [1, 1, 0], [1, 1, 1]], np.float32),
    progress=np.ones(3, np.float32),
    run=np.arange(3),
)
"""Two checkpoints do not know class 2, one of which saw a little of it."""


def test_candidates_are_those_of_losses_and_ask_for_exposures_and_age() -> None:
    plain = prompts.of_request(ZOO, (2,), CONFIG, with_exposure=False)
    np.testing.assert_array_equal(plain, LOSSES[:2])
    asked = prompts.of_request(ZOO, (2,), CONFIG, with_exposure=True)
    np.testing.assert_array_equal(asked, np.concatenate([LOSSES[:2], [[1, 1, 0, 1]] * 2], axis=1))
    assert asked.dtype == np.float32


def test_losses_are_left_open_where_too_few_checkpoints_match_or_the_request_is_refused() -> None:
    asked = prompts.of_request(ZOO, (1, 2), CONFIG, with_exposure=True)
    np.testing.assert_array_equal(asked, [[np.nan] * 3 + [1, 0, 0, 1]])
    with pytest.raises(HyperForgetError, match="0 checkpoints of the zoo match"):
        prompts.of_request(ZOO, (1, 2), CONFIG, with_exposure=False)


def test_all_models_share_the_chosen_candidate_whole_and_the_prompt_is_its_losses() -> None:
    """Models that know class 0 and 1 only where exposure 0 to class 2 is asked with a high loss on it."""
    seen = []

    def generate(keys: jax.Array, asked: jax.Array) -> Params:
        seen.append(np.asarray(asked))
        works = (asked[:, 2] > 6.0) & (asked[:, 5] == 0.0)  # [N]
        weights = jnp.where(works, 1.0, 0.0)[:, None, None] * jnp.diag(jnp.array([1.0, 1.0, 0.0]))[None]
        return ({"w": weights, "b": jnp.zeros((len(keys), 3))},)

    images = jnp.eye(3)
    data = images, jnp.arange(3)
    request = requests.UnlearningRequest((9,), (7, 8, 9))
    config = replace(CONFIG, samples=4, trial_samples=(2,), num_selected=2)
    candidates = prompts.of_request(ZOO, request.positions, config, with_exposure=True)
    key = jax.random.key(0)
    page = halving.judge_prompts([generate], candidates, request.positions, data, requests.judging_key(key), config)
    found = requests.answer(generate, page, request, data, key, config)
    assert found.chosen == 1
    np.testing.assert_array_equal(seen[-1], np.tile(candidates[1], (4, 1)))
    np.testing.assert_array_equal(found.prompt, LOSSES[1])
    np.testing.assert_allclose(found.candidate_scores, [0.5, 1.0])
