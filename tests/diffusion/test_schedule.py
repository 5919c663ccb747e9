"""The forward process against formulas written out in plain floats, and its conversions against each other."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import DiffusionConfig
from hyperforget_jax.diffusion import schedule
from hyperforget_jax.diffusion.schedule import Prediction

SCHEDULES: list[Any] = ["linear", "cosine"]
PREDICTIONS: list[Prediction] = ["x0", "epsilon", "v"]


def alpha_bar(kind: Any, timesteps: int = 1000) -> np.ndarray[Any, Any]:
    return np.asarray(schedule.make(DiffusionConfig(timesteps=timesteps, schedule=kind)).alpha_bar)


def clean_noise_and_alpha_bar(kind: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Clean values and noise [1000, 4], one row for every timestep of the process."""
    clean_key, noise_key = jax.random.split(jax.random.key(0))
    clean, noise = jax.random.normal(clean_key, (1000, 4)), jax.random.normal(noise_key, (1000, 4))
    return clean, noise, jnp.asarray(alpha_bar(kind))[:, None]


def test_linear_is_the_cumulated_product_of_1_minus_beta() -> None:
    left, expected = 1.0, []
    for t in range(1000):
        left *= 1.0 - (1e-4 + (0.02 - 1e-4) * t / 999)
        expected.append(left)
    np.testing.assert_allclose(alpha_bar("linear"), expected, rtol=1e-6)


def test_linear_has_the_ends_of_ddpm() -> None:
    assert alpha_bar("linear")[0] == pytest.approx(0.9999, rel=1e-6)
    assert alpha_bar("linear")[-1] == pytest.approx(4.0358e-5, rel=1e-4)  # arXiv 2006.11239: almost no signal


def test_linear_with_fewer_timesteps_ends_as_noisy() -> None:
    assert math.log(alpha_bar("linear", 100)[-1]) == pytest.approx(math.log(4.0358e-5), rel=0.1)


def test_cosine_is_its_formula_until_the_last_beta_is_capped() -> None:
    def signal(t: int) -> float:
        return math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = [signal(t + 1) / signal(0) for t in range(999)]
    found = alpha_bar("cosine")
    np.testing.assert_allclose(found[:-1], expected, rtol=1e-5)
    assert found[-1] == pytest.approx(expected[-1] * 1e-3, rel=1e-5)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("timesteps", [1, 2, 10, 100, 1000])
def test_signal_only_falls_and_never_vanishes(kind: Any, timesteps: int) -> None:
    found = alpha_bar(kind, timesteps)
    assert found.shape == (timesteps,)
    assert found.dtype == np.float32
    assert (np.diff(found) < 0).all()
    assert 0 < found[-1] <= found[0] < 1
    assert schedule.make(DiffusionConfig(timesteps=timesteps, schedule=kind)).timesteps == timesteps


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_clean_values_and_noise_come_back_at_every_timestep(kind: Any, prediction: Prediction) -> None:
    clean, noise, left = clean_noise_and_alpha_bar(kind)
    noisy = schedule.add_noise(clean, noise, left)
    output = schedule.target(prediction, clean, noise, left)
    # where little signal is left, a rounding error of the noise grows by 1 / sqrt(abar)
    growth = np.sqrt(left) if prediction == "epsilon" else 1.0
    assert (np.abs(schedule.clean_from(prediction, output, noisy, left) - clean) * growth).max() < 2e-6
    # at the first timestep the noise is 1% of the sum or less, so a rounding error of the sum grows by 1 / sqrt(1 - abar)
    error = np.abs(schedule.noise_from(clean, noisy, left) - noise) * np.sqrt(1 - left)
    assert error.max() < 2e-6


def test_the_target_of_x0_is_the_clean_value_and_that_of_epsilon_the_noise() -> None:
    clean, noise, left = clean_noise_and_alpha_bar("linear")
    assert np.array_equal(schedule.target("x0", clean, noise, left), clean)
    assert np.array_equal(schedule.target("epsilon", clean, noise, left), noise)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_weighs_the_error_of_x0_by_the_capped_signal_to_noise_ratio(prediction: Prediction) -> None:
    """For an output that is off by 1, in plain float64: w |off|^2 = min(SNR, c) |error of x_0|^2."""
    left = alpha_bar("linear").astype(np.float64)
    error = {"x0": np.ones(1000), "epsilon": np.sqrt((1 - left) / left), "v": np.sqrt(1 - left)}[prediction]
    expected = np.minimum(left / (1 - left), 5.0) * error**2
    found = schedule.min_snr_weight(prediction, jnp.asarray(left, jnp.float32), 5.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    by_output = schedule.clean_from(prediction, jnp.ones(1000), jnp.zeros(1000), jnp.asarray(left, jnp.float32))
    np.testing.assert_allclose(np.abs(by_output), error, rtol=1e-5)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_noisy_value_and_velocity_are_a_rotation_of_clean_value_and_noise(kind: Any) -> None:
    clean, noise, left = clean_noise_and_alpha_bar(kind)
    noisy, velocity = schedule.add_noise(clean, noise, left), schedule.target("v", clean, noise, left)
    np.testing.assert_allclose(noisy**2 + velocity**2, clean**2 + noise**2, rtol=1e-5)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_unit_variance_is_preserved_at_every_timestep(kind: Any) -> None:
    clean, noise = jax.random.normal(jax.random.key(1), (2, 4000, 1))
    left = jnp.asarray(alpha_bar(kind))[None, ::100]
    variance = schedule.add_noise(clean, noise, left).var(0)
    np.testing.assert_allclose(variance, 1.0, atol=0.09)  # 4 standard errors of a variance of 4,000 draws
