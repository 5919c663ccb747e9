"""Samplers on Gaussian data, where the best denoiser is a formula: mean and covariance must come back."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import DiffusionConfig, SamplingConfig
from hyperforget_jax.diffusion import samplers, schedule
from hyperforget_jax.diffusion.schedule import Schedule
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import TokenLayout

LAYOUT = TokenLayout(mask=np.array([[True, True, True], [True, True, False]]), kinds=(0, 1), positions=(0, 1))
MEAN = np.array([0.5, -1.0, 0.0, 2.0, 0.2])
FACTOR = np.array(
    [
        [0.9, 0.0, 0.0, 0.0, 0.0],
        [0.5, 0.8, 0.0, 0.0, 0.0],
        [0.0, -0.4, 0.6, 0.0, 0.0],
        [0.2, 0.0, 0.3, 1.1, 0.0],
        [0.0, 0.0, 0.0, -0.5, 0.7],
    ]
)
COVARIANCE = FACTOR @ FACTOR.T
COUNT = 4096
Values = np.ndarray[Any, Any]
Moments = tuple[Values, Values]


def best_denoiser(
    diffusion: DiffusionConfig, noisy: jax.Array, timesteps: jax.Array, conditions: jax.Array
) -> jax.Array:
    """E[x_0 | x_t], or the noise or velocity that goes with it, for x_0 ~ N(MEAN + condition, COVARIANCE)."""
    variances, directions = (jnp.asarray(part, jnp.float32) for part in np.linalg.eigh(COVARIANCE))
    left = schedule.make(diffusion).alpha_bar[timesteps][:, None]  # [N, 1]
    mean = jnp.asarray(MEAN, jnp.float32)[None] + conditions  # [N, 5]
    x = noisy[:, LAYOUT.mask]  # [N, 5]
    gain = jnp.sqrt(left) * variances[None] / (left * variances[None] + 1 - left)  # [N, 5]
    clean = mean + (((x - jnp.sqrt(left) * mean) @ directions) * gain) @ directions.T
    noise = (x - jnp.sqrt(left) * clean) / jnp.sqrt(1 - left)
    output = schedule.target(diffusion.prediction, clean, noise, left)
    return jnp.zeros_like(noisy).at[:, LAYOUT.mask].set(output)


@partial(jax.jit, static_argnames=("diffusion", "config"))
def sample(diffusion: DiffusionConfig, config: SamplingConfig, keys: jax.Array, conditions: jax.Array) -> jax.Array:
    denoiser = partial(best_denoiser, diffusion, conditions=conditions)
    return samplers.sample(denoiser, schedule.make(diffusion), diffusion, config, LAYOUT, keys)


def moments(tokens: jax.Array) -> Moments:
    values = np.asarray(tokens, np.float64)[:, LAYOUT.mask]
    return values.mean(0), np.cov(values, rowvar=False)


@pytest.mark.parametrize("timesteps", [1, 2, 10, 1000])
def test_as_many_steps_as_timesteps_visit_each_once_from_the_noisiest(timesteps: int) -> None:
    assert samplers.visited(timesteps, SamplingConfig(steps=timesteps)).tolist() == list(range(timesteps - 1, -1, -1))


@pytest.mark.parametrize(("timesteps", "steps"), [(1000, 50), (1000, 999), (1000, 2), (10, 7), (10, 9)])
def test_fewer_steps_go_from_the_noisiest_to_the_cleanest_without_repeats(timesteps: int, steps: int) -> None:
    found = samplers.visited(timesteps, SamplingConfig(steps=steps))
    assert len(found) == steps
    assert (found[0], found[-1]) == (timesteps - 1, 0)
    assert (np.diff(found) < 0).all()
    assert np.ptp(np.diff(found)) <= 1


@pytest.mark.parametrize("prediction", ["x0", "epsilon", "v"])
@pytest.mark.parametrize(
    ("kind", "steps", "eta"),
    [("ddpm", 1000, 0.0), ("ddim", 1000, 0.0), ("ddim", 1000, 1.0), ("ddim", 50, 0.0), ("dpm", 50, 0.0)],
)
def test_gaussian_data_come_back_with_mean_and_covariance(kind: Any, steps: int, eta: float, prediction: Any) -> None:
    diffusion = DiffusionConfig(prediction=prediction)
    config = SamplingConfig(sampler=kind, steps=steps, eta=eta, temperature=1.0)
    keys = jax.random.split(jax.random.key(0), COUNT)
    mean, covariance = moments(sample(diffusion, config, keys, jnp.zeros((COUNT, 1))))
    variances = np.diag(COVARIANCE)
    standard_error = np.sqrt((np.outer(variances, variances) + COVARIANCE**2) / COUNT)
    discretisation = 0.02 if steps == 1000 else 0.04  # of the largest variance
    np.testing.assert_array_less(np.abs(mean - MEAN), 4 * np.sqrt(variances / COUNT) + 0.01)
    np.testing.assert_array_less(np.abs(covariance - COVARIANCE), 4 * standard_error + discretisation * variances.max())


@pytest.mark.parametrize(("kind", "steps"), [("ddpm", 1000), ("ddim", 50)])
def test_temperature_leaves_the_mean_and_scales_every_deviation(kind: Any, steps: int) -> None:
    """The best denoiser of Gaussian data is linear, and so is a sample in the noise that it is made of."""
    keys = jax.random.split(jax.random.key(6), COUNT)
    warm, cold = (
        moments(sample(DiffusionConfig(), config, jax.random.clone(keys), jnp.zeros((COUNT, 1))))
        for config in (SamplingConfig(sampler=kind, steps=steps, temperature=each) for each in (1.0, 0.5))
    )
    np.testing.assert_allclose(cold[1], warm[1] / 4, atol=2e-3 * float(np.diag(COVARIANCE).max()))
    np.testing.assert_array_less(np.abs(cold[0] - MEAN), 2 * np.sqrt(np.diag(COVARIANCE) / COUNT) + 0.02)


@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_with_all_of_the_fresh_noise_is_ddpm(steps: int) -> None:
    keys, conditions = jax.random.split(jax.random.key(5), 16), jnp.zeros((16, 1))
    ddpm = SamplingConfig(sampler="ddpm", steps=steps)
    ddim = SamplingConfig(sampler="ddim", steps=steps, eta=1.0)
    theirs = sample(DiffusionConfig(), ddpm, jax.random.clone(keys), conditions)
    np.testing.assert_allclose(sample(DiffusionConfig(), ddim, keys, conditions), theirs, atol=2e-3)


def test_the_condition_moves_the_mean() -> None:
    config = SamplingConfig(sampler="ddim", steps=50)
    conditions = jnp.repeat(jnp.array([-3.0, 3.0]), COUNT // 2)[:, None]
    tokens = sample(DiffusionConfig(), config, jax.random.split(jax.random.key(1), COUNT), conditions)
    low, high = moments(tokens[: COUNT // 2])[0], moments(tokens[COUNT // 2 :])[0]
    np.testing.assert_allclose(high - low, 6.0, atol=0.1)


@pytest.mark.parametrize("kind", ["ddpm", "ddim", "dpm"])
def test_a_model_depends_on_its_own_key_and_condition_alone(kind: Any) -> None:
    config = SamplingConfig(sampler=kind, steps=7)
    conditions = jnp.linspace(-1.0, 1.0, 9)[:, None]
    together = sample(DiffusionConfig(), config, jax.random.split(jax.random.key(2), 9), conditions)
    alone = sample(DiffusionConfig(), config, jax.random.split(jax.random.key(2), 9)[3:5], conditions[3:5])
    np.testing.assert_allclose(alone, together[3:5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["ddpm", "ddim", "dpm"])
@pytest.mark.parametrize("prediction", ["x0", "epsilon", "v"])
def test_padding_stays_exactly_zero_and_nothing_else_does(kind: Any, prediction: Any) -> None:
    diffusion, config = DiffusionConfig(prediction=prediction), SamplingConfig(sampler=kind, steps=7)
    keys = jax.random.split(jax.random.key(3), 4)
    tokens = np.asarray(sample(diffusion, config, keys, jnp.zeros((4, 1))))
    assert (tokens[:, ~LAYOUT.mask] == 0).all()
    assert (tokens[:, LAYOUT.mask] != 0).all()


@pytest.mark.parametrize(("kind", "eta"), [("ddpm", 0.0), ("ddim", 0.0), ("ddim", 0.5), ("dpm", 0.0)])
@pytest.mark.parametrize("steps", [20, 7])
def test_on_the_way_the_states_are_those_of_the_forward_process(kind: Any, eta: float, steps: int) -> None:
    """All data are one value, and the denoiser knows it; at timestep 0 it answers x_0's noisy neighbour, to show it."""
    value, diffusion = 3.0, DiffusionConfig(timesteps=20)
    process = schedule.make(diffusion)

    def denoiser(noisy: jax.Array, timesteps: jax.Array) -> jax.Array:
        return jnp.where(LAYOUT.mask[None], jnp.where(timesteps[:, None, None] == 0, noisy, value), 0.0)

    keys = jax.random.split(jax.random.key(4), COUNT)
    config = SamplingConfig(sampler=kind, steps=steps, eta=eta, temperature=1.0)
    seen = samplers.sample(denoiser, process, diffusion, config, LAYOUT, keys)
    mean, covariance = moments(seen)
    left = float(process.alpha_bar[0])
    error = 4 * np.sqrt(2 / COUNT)
    np.testing.assert_allclose(mean, np.sqrt(left) * value, atol=4 * np.sqrt((1 - left) / COUNT))
    np.testing.assert_allclose(covariance / (1 - left), np.eye(5), atol=error)


# DPM-Solver++(2M), held against DDIM, the exact flow and the paper's algorithm.

VARIANCE = 1.5


def uneven(timesteps: int) -> Schedule:
    """A process whose log signal-to-noise ratio falls from 3 to 0, faster and faster."""
    u = np.linspace(0, 1, timesteps)
    return Schedule(jnp.asarray(1 / (1 + np.exp(-2 * (3 - 2 * u - u**2))), jnp.float32))


def from_noise(kind: Any, steps: int, process: Schedule, denoiser: samplers.Denoiser) -> tuple[Values, Values]:
    """The noise [16, T, W] that a sampler of x_0 starts from, and what it makes of it."""
    keys = jax.random.split(jax.random.key(7), 16)
    noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, steps), LAYOUT.mask.shape))(keys)
    config = SamplingConfig(sampler=kind, steps=steps, temperature=1.0)
    diffusion = DiffusionConfig(timesteps=process.timesteps)
    tokens = samplers.sample(denoiser, process, diffusion, config, LAYOUT, jax.random.clone(keys))
    return np.asarray(jnp.where(LAYOUT.mask[None], noise, 0.0), np.float64), np.asarray(tokens, np.float64)


def gain(alpha_bar: Any) -> Any:
    """E[x_0 | x_t] / x_t for data N(0, VARIANCE)."""
    return alpha_bar**0.5 * VARIANCE / (alpha_bar * VARIANCE + 1 - alpha_bar)


def error(kind: Any, steps: int) -> float:
    """Distance from the exact flow for noise of size 1. The flow keeps x_t / (standard deviation of x_t) down to timestep 0;
    E[x_0 | x_t] comes last, as in every sampler.
    """
    process = uneven(1025)
    noise, tokens = from_noise(kind, steps, process, lambda x, t: gain(process.alpha_bar[t])[:, None, None] * x)
    last, first = (float(process.alpha_bar[t]) for t in (0, -1))
    spread = np.sqrt((last * VARIANCE + 1 - last) / (first * VARIANCE + 1 - first))
    return float(np.abs(tokens - gain(last) * spread * noise).max() / np.abs(noise).max())


@pytest.mark.parametrize(("kind", "order"), [("ddim", 1), ("dpm", 2)])
def test_twice_the_steps_halve_ddims_error_and_quarter_that_of_dpm(kind: Any, order: int) -> None:
    found = [error(kind, steps + 1) for steps in (8, 16, 32)]
    np.testing.assert_allclose(np.log2(np.divide(found[:-1], found[1:])), order, atol=0.15)


def test_at_ten_steps_dpm_is_several_times_nearer_to_the_flow() -> None:
    assert error("dpm", 10) < error("ddim", 10) / 3


@pytest.mark.parametrize("steps", [2, 3, 7])
def test_dpm_is_algorithm_2_of_the_paper(steps: int) -> None:
    """As printed in arXiv 2211.01095, in float64, with steps of different length; the clean model, at sigma 0, is the last x_0."""
    process = schedule.make(DiffusionConfig())
    noise, tokens = from_noise("dpm", steps, process, lambda x, t: gain(process.alpha_bar[t])[:, None, None] * x)
    left = np.asarray(process.alpha_bar, np.float64)[samplers.visited(process.timesteps, SamplingConfig(steps=steps))]
    alpha, sigma = np.sqrt(left), np.sqrt(1 - left)
    lam = np.log(alpha / sigma)
    x, data = noise, [gain(left[0]) * noise]
    for i in range(1, steps):
        h, predicted = lam[i] - lam[i - 1], data[-1]
        if i > 1:
            r = (lam[i - 1] - lam[i - 2]) / h
            predicted = (1 + 1 / (2 * r)) * data[-1] - 1 / (2 * r) * data[-2]
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (np.exp(-h) - 1) * predicted
        data.append(gain(left[i]) * x)
    np.testing.assert_allclose(tokens, data[-1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2])
def test_without_a_step_between_first_and_last_dpm_is_ddim(steps: int) -> None:
    process = uneven(1025)
    ddim, dpm = (
        from_noise(kind, steps, process, lambda x, t: gain(process.alpha_bar[t])[:, None, None] * x)[1]
        for kind in ("ddim", "dpm")
    )
    np.testing.assert_array_equal(dpm, ddim)
    assert np.abs(ddim[:, LAYOUT.mask]).min() > 0


@pytest.mark.parametrize("kind", ["ddim", "dpm"])
def test_an_x0_that_is_the_same_at_every_step_is_the_answer(kind: Any) -> None:
    x0 = jnp.where(LAYOUT.mask, jnp.array([[0.5, -1.0, 0.0], [2.0, 0.2, 0.0]]), 0.0)
    _, tokens = from_noise(kind, 7, uneven(1025), lambda x, _: jnp.broadcast_to(x0, x.shape))
    np.testing.assert_array_equal(tokens, np.broadcast_to(np.asarray(x0), tokens.shape))


@pytest.mark.parametrize("steps", [0, -1, 11])
def test_steps_that_the_process_does_not_have_are_refused(steps: int) -> None:
    with pytest.raises(HyperForgetError, match=rf"^sampling\.steps is {steps}: choose 1 to diffusion\.timesteps = 10$"):
        samplers.validate_sampling(DiffusionConfig(timesteps=10), SamplingConfig(steps=steps))


@pytest.mark.parametrize("steps", [1, 10])
def test_steps_within_the_process_pass(steps: int) -> None:
    samplers.validate_sampling(DiffusionConfig(timesteps=10), SamplingConfig(steps=steps))
