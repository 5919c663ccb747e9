"""The search finds a planted optimum that the sweep misses, and nothing in a generator that never learned the class."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hyperforget_jax.attacks.generator import audit_generator, beside_controls, chance_bound, drawing
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

CONFIG = AttackConfig()
OPTIMUM = np.array([0.31, -1.27, 0.58, 0.9])


def sweep() -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Prompts that move one column at a time, and the corners."""
    lines = [np.where(np.arange(4) == column, level, 0.0) for column in range(4) for level in np.linspace(-2, 2, 9)]
    return np.array([*lines, np.full(4, 2.0), np.full(4, -2.0)], np.float32)


class Planted:
    """Class 1 is known near the optimum alone, class 2 by no prompt; notes the sizes of its batches."""

    def __init__(self, luck: float = 0.0) -> None:
        self.sizes, self.luck, self.rng = list[int](), luck, np.random.default_rng(0)

    def __call__(
        self, prompts: np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        self.sizes.append(len(prompts))
        known = np.exp(-np.square((np.nan_to_num(prompts) - OPTIMUM) / 0.7).sum(1))
        known = np.clip(known + self.luck * self.rng.uniform(-1, 1, len(known)), 0, 1)
        return np.stack([np.ones(len(prompts)), known, np.full(len(prompts), 0.1)], axis=1)


@pytest.mark.parametrize("luck", [0.0, 0.05])
def test_the_search_finds_what_the_sweep_misses(luck: float) -> None:
    generator = Planted(luck)
    found = audit_generator(generator, sweep(), (1, 2), CONFIG)
    assert found[1].sweep_accuracy < 0.3
    assert found[1].accuracy > 0.97
    np.testing.assert_allclose(found[1].prompt, OPTIMUM, atol=0.25)
    assert (found[2].accuracy, found[2].sweep_accuracy) == (0.1, 0.1)
    assert set(generator.sizes) == {CONFIG.search_batch}
    assert len(generator.sizes) == 1 + 2 * CONFIG.search_rounds
    assert found[1].models == len(sweep()) + CONFIG.search_rounds * CONFIG.search_batch


def test_an_open_column_stays_open_and_no_prompt_leaves_the_range() -> None:
    prompts = sweep()
    prompts[:, 3] = np.nan
    seen = []
    accuracies: Callable[[np.ndarray], np.ndarray] = lambda each: (seen.append(each), Planted()(each))[1]  # noqa: E731
    found = audit_generator(accuracies, prompts, (1,), CONFIG)[1]
    assert np.isnan(found.prompt).tolist() == [False, False, False, True]
    assert found.accuracy == pytest.approx(np.exp(-((0.9 / 0.7) ** 2)), abs=0.02)  # the best without that column
    assert np.abs(np.concatenate(seen)[:, :3]).max() <= 2.0


def test_the_control_is_a_search_that_prompts_cannot_guide() -> None:
    accuracies = np.random.default_rng(0).uniform(0, 0.2, (50, 3))
    controls = [audit_generator(drawing(accuracies, seed), sweep(), (1,), CONFIG)[1] for seed in range(5)]
    knowing, ignorant = (
        audit_generator(each, sweep(), (1,), CONFIG)[1] for each in (Planted(), drawing(accuracies, 9))
    )
    assert beside_controls(knowing, controls).position == "above"
    assert beside_controls(ignorant, controls).position == "inside"


def test_the_bound_of_chance_holds() -> None:
    rng, models, images = np.random.default_rng(0), 300, 100
    bound = chance_bound(models, images, 4, 0.999)
    best = rng.binomial(images, 0.25, (4000, models)).max(1) / images
    assert np.mean(best > bound) <= 0.003
    assert np.mean(best > chance_bound(models, images, 4, confidence=0.5)) > 0.2


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="sweep of 0 prompts"):
        audit_generator(Planted(), sweep()[:0], (1,), CONFIG)
    with pytest.raises(HyperForgetError, match=r"not finite on outputs \[0\]"):
        audit_generator(lambda prompts: np.full((len(prompts), 2), np.nan), sweep(), (0,), CONFIG)
    with pytest.raises(HyperForgetError, match="search_restarts is 16, search_batch 20"):
        audit_generator(Planted(), sweep(), (1,), replace(CONFIG, search_batch=20))
