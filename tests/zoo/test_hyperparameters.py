"""What varies between runs: ranges and shares of the draws, deletions, aimed runs and plain ones."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest  # type: ignore[import-untyped]

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.zoo import coverage, hyperparameters
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from tests.small_zoo import FORGETTABLE, PIVOTS, plan

pytestmark = pytest.mark.usefixtures("programs")
Numbers = np.ndarray[Any, Any]


@cache
def many_plans(config: ZooConfig) -> dict[str, Numbers]:
    """4,000 random runs."""
    draw = jax.jit(jax.vmap(lambda key: hyperparameters.draw(key, config, FORGETTABLE, 4)))
    plans = draw(jax.random.split(jax.random.key(0), 4000))
    return {name: np.asarray(values) for name, values in plans._asdict().items()}


@pytest.fixture
def plans() -> dict[str, Numbers]:
    return many_plans(ZooConfig())


def test_pivots_always_keep_all_their_images(plans: dict[str, Numbers]) -> None:
    for name in ("keep_before", "keep_after"):
        np.testing.assert_array_equal(plans[name][:, PIVOTS], 1.0)


def test_keep_rates_are_nothing_everything_or_in_range(plans: dict[str, Numbers]) -> None:
    low, high = ZooConfig().keep_rate
    rates = plans["keep_before"]
    between = rates[(rates != 0.0) & (rates != 1.0)]
    assert between.min() >= low * (1 - 1e-5)
    assert between.max() <= high * (1 + 1e-5)
    for value in (0.0, 1.0):
        assert np.any(rates[:, 2:] == value)


def test_learning_rates_and_deletion_times_are_in_range(plans: dict[str, Numbers]) -> None:
    config = ZooConfig()
    rates, times = plans["learning_rate"], plans["deletion_time"]
    assert config.learning_rate[0] * (1 - 1e-5) <= rates.min()
    assert rates.max() <= config.learning_rate[1] * (1 + 1e-5)
    happens = times[times != hyperparameters.NEVER]
    assert config.deletion_time[0] <= happens.min()
    assert happens.max() <= config.deletion_time[1]


def test_shares_of_runs_are_those_of_the_config(plans: dict[str, Numbers]) -> None:
    config, before = ZooConfig(), plans["keep_before"]
    undersampled = (before < 1.0).any(1)
    spread = 4 * 0.5 / np.sqrt(4000)  # four standard errors, at most
    assert np.mean(undersampled) == pytest.approx(config.undersample_probability, abs=spread)
    happens = plans["deletion_time"] != hyperparameters.NEVER
    assert np.mean(happens) == pytest.approx(config.deletion_probability, abs=spread)
    assert np.mean(before[before < 1.0] == 0.0) == pytest.approx(config.never_seen_probability, abs=spread)


def test_a_deletion_takes_all_images_of_at_least_one_class_and_changes_no_other(plans: dict[str, Numbers]) -> None:
    before, after = plans["keep_before"], plans["keep_after"]
    assert np.all((after == 0.0) | (after == before))
    assert np.all((after == 0.0).any(1))


def test_every_non_empty_subset_of_the_forgettable_classes_is_undersampled(plans: dict[str, Numbers]) -> None:
    members = plans["keep_before"][:, 2:] < 1.0
    codes, counts = np.unique(members @ np.array([1, 2]), return_counts=True)
    assert codes.tolist() == [0, 1, 2, 3]
    assert counts.min() > 400


def test_without_undersampling_and_deletion_the_runs_are_plain() -> None:
    plans = many_plans(ZooConfig(undersample_probability=0.0, deletion_probability=0.0))
    np.testing.assert_array_equal(plans["keep_before"], 1.0)
    assert plans["deletion_time"].min() > 1.0
    rates = jax.vmap(hyperparameters.keep_rates, in_axes=(0, None))(Hyperparameters(**plans), jnp.float32(1.0))
    np.testing.assert_array_equal(rates, 1.0)
    assert len(np.unique(plans["learning_rate"])) > 3000


def test_keep_rates_switch_at_the_deletion_and_not_before() -> None:
    run = plan((1.0, 1.0, 0.25, 1.0), (1.0, 1.0, 0.25, 0.0), when=0.5)
    for progress, last in ((0.0, 1.0), (0.499, 1.0), (0.5, 0.0), (1.0, 0.0)):
        rates = hyperparameters.keep_rates(run, jnp.float32(progress))
        np.testing.assert_array_equal(rates, [1.0, 1.0, 0.25, last])


def test_never_see_by_hand() -> None:
    run = hyperparameters.never_see((1, 3), 4e-3, 4)
    assert run.learning_rate == jnp.float32(4e-3)
    for progress in (0.0, 1.0):
        np.testing.assert_array_equal(hyperparameters.keep_rates(run, jnp.float32(progress)), [1.0, 0.0, 1.0, 0.0])


def drawn_and_aimed(
    codes: list[int], forgettable: tuple[int, ...], num_classes: int
) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """One random run, and the same run aimed at every code."""

    @jax.jit
    def both(codes: jax.Array) -> tuple[Hyperparameters, Hyperparameters]:
        config = ZooConfig(undersample_probability=1.0, deletion_probability=1.0)
        drawn = hyperparameters.draw(jax.random.key(1), config, forgettable, num_classes)
        return drawn, jax.vmap(lambda code: hyperparameters.aim(drawn, code, forgettable))(codes)

    drawn, aimed = both(jnp.array(codes, jnp.int32))
    return jax.tree.map(np.asarray, drawn)._asdict(), jax.tree.map(np.asarray, aimed)._asdict()


@pytest.mark.parametrize("forgettable", [(1, 4), (4, 0, 2)])
def test_an_aimed_run_never_sees_exactly_the_classes_that_shall_be_high(forgettable: tuple[int, ...]) -> None:
    codes = list(range(2 ** len(forgettable)))
    drawn, aimed = drawn_and_aimed(codes, forgettable, 5)
    np.testing.assert_array_equal(aimed["deletion_time"], hyperparameters.NEVER)
    np.testing.assert_array_equal(aimed["keep_before"], aimed["keep_after"])
    assert set(aimed["keep_before"].ravel().tolist()) == {0.0, 1.0}
    # a run learns what it sees
    assert coverage.combination(aimed["keep_before"], forgettable).tolist() == codes
    assert aimed["keep_before"][:, [place for place in range(5) if place not in forgettable]].all()
    assert set(aimed["learning_rate"].tolist()) == {drawn["learning_rate"].item()}


def test_a_run_without_aim_stays_as_it_is_drawn() -> None:
    drawn, left = drawn_and_aimed([-1], FORGETTABLE, 4)
    for name, value in drawn.items():
        np.testing.assert_array_equal(left[name][0], value, err_msg=name)
        assert left[name].dtype == value.dtype


def test_log_uniform_draws_have_a_uniform_logarithm() -> None:
    draws = np.asarray(hyperparameters.log_uniform(jax.random.key(1), (1e-3, 0.3), (2000,)), np.float64)
    share = np.log(draws / 1e-3) / np.log(0.3 / 1e-3)
    assert share.min() > -1e-5
    assert share.max() < 1 + 1e-5
    assert kstest(share, "uniform").pvalue > 0.01
