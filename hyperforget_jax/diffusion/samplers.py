"""Models from noise: DDPM with fixed variances, DDIM and DPM-Solver++(2M), as one jitted program."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import DiffusionConfig, SamplingConfig
from hyperforget_jax.diffusion import schedule
from hyperforget_jax.diffusion.schedule import Schedule
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import TokenLayout

Denoiser = Callable[[jax.Array, jax.Array], jax.Array]
State = tuple[jax.Array, jax.Array]
"""Noisy tokens and the estimate of x_0 of the step before, both [N, T, W]."""


def visited(timesteps: int, config: SamplingConfig) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Timesteps [S] that a sampler visits, from T-1 down, evenly spaced; all of them if S = T. The last is 0, or one step from clean."""
    last = 0.0 if config.spacing == "even" else timesteps / config.steps - 1
    return np.linspace(timesteps - 1, last, config.steps).round().astype(np.int32)


def few_steps(steps: int, config: SamplingConfig) -> SamplingConfig:
    """How a student is sampled: deterministic equal steps that end at the clean model, without guidance, at the same temperature."""
    return replace(config, sampler="ddim", steps=steps, spacing="trailing", eta=0.0, guidance_scale=1.0)


def extrapolations(log_snr: jax.Array) -> jax.Array:
    """Shares [S] of the last change of x_0 that DPM-Solver++(2M) adds to x_0: 1 / (2 r_i) of arXiv 2211.01095, Algorithm 2.

    With h_i the step from the i-th timestep to the next: h_i / (2 h_{i-1}); 0, which is a step of first order, in the first step and in
    the last, whose h is infinite.

    Args:
      log_snr: [S], lambda = log(sqrt(abar) / sqrt(1 - abar)) at the visited timesteps.
    """
    h = jnp.diff(log_snr)  # [S - 1]
    between = h[1:] / (2 * h[:-1])
    return jnp.pad(between, 1)[: len(log_snr)]  # of one step: [0]


def sample(
    denoiser: Denoiser,
    process: Schedule,
    diffusion: DiffusionConfig,
    config: SamplingConfig,
    layout: TokenLayout,
    keys: jax.Array,
) -> jax.Array:
    """Draws one model per key; not jitted itself, so that callers jit it with what they decode.

    Args:
      denoiser: as of `from_noise`.
      process: the forward process.
      diffusion: what the transformer predicts.
      config: sampler, steps and temperature.
      layout: of the tokens.
      keys: [N], typed; a model depends on its own key and condition alone, not on its neighbours.

    Returns:
      Tokens [N, T, W].
    """
    start = noise(config, layout, jax.vmap(lambda k: jax.random.fold_in(k, config.steps))(keys))
    return from_noise(denoiser, process, diffusion, config, layout, start, keys)


def noise(config: SamplingConfig, layout: TokenLayout, keys: jax.Array) -> jax.Array:
    """Noise [N, T, W] at the temperature, one draw per key; 0 where no token is."""
    draws = jax.vmap(lambda k: jax.random.normal(k, layout.mask.shape))(keys)  # [N, T, W]
    return jnp.where(layout.mask[None], config.temperature * draws, 0.0)


def from_noise(
    denoiser: Denoiser,
    process: Schedule,
    diffusion: DiffusionConfig,
    config: SamplingConfig,
    layout: TokenLayout,
    start: jax.Array,
    keys: jax.Array,
) -> jax.Array:
    """Leads noise to models.

    ddpm: x_s ~ N(posterior mean of q(x_s | x_t, x_0), beta_t (1 - abar_s) / (1 - abar_t)) (arXiv 2006.11239, section 3.2).
    ddim: x_s = sqrt(abar_s) x_0 + sqrt(1 - abar_s - sigma^2) noise + sigma fresh, x_0 and noise estimated at x_t, sigma = eta times
      the deviation of ddpm (arXiv 2010.02502, equations 12 and 16).
    dpm: ddim without fresh noise, at x_0 + (x_0 - x_0 of the step before) / (2 r) in place of x_0 (arXiv 2211.01095, Algorithm 2).

    Args:
      denoiser: (noisy [N, T, W], timesteps [N]) -> the transformer's output under the N models' conditions.
      process: the forward process.
      diffusion: what the transformer predicts.
      config: sampler, steps and temperature, by which every draw of noise is multiplied.
      layout: of the tokens.
      start: noise [N, T, W].
      keys: [N], typed, of fresh noise on the way, which deterministic samplers do not draw.

    Returns:
      Tokens [N, T, W].
    """

    def denoise(state: State, at: tuple[jax.Array, ...]) -> tuple[State, None]:
        (noisy, before), (index, timestep, following, share) = state, at
        here = process.alpha_bar[timestep]
        there = jnp.where(following < 0, 1.0, process.alpha_bar[following])
        output = denoiser(noisy, jnp.full(noisy.shape[:1], timestep))
        clean = schedule.clean_from(diffusion.prediction, output, noisy, here)
        alpha = here / there  # of the one step, or of the steps that are skipped
        deviation = jnp.sqrt((1 - alpha) * (1 - there) / (1 - here))
        if config.sampler == "ddpm":
            mean = (jnp.sqrt(there) * (1 - alpha) * clean + jnp.sqrt(alpha) * (1 - there) * noisy) / (1 - here)
        else:
            deviation = config.eta * deviation
            direction = jnp.sqrt(jnp.maximum(1 - there - deviation**2, 0.0))
            towards = clean + share * (clean - before) if config.sampler == "dpm" else clean
            mean = jnp.sqrt(there) * towards + direction * schedule.noise_from(towards, noisy, here)
        if config.sampler == "dpm" or (config.sampler == "ddim" and config.eta == 0.0):
            return (mean, clean), None
        fresh = noise(config, layout, jax.vmap(lambda k: jax.random.fold_in(k, index))(keys))
        return (mean + deviation * fresh, clean), None

    timesteps = visited(process.timesteps, config)
    following = np.append(timesteps[1:], -1).astype(np.int32)
    left = process.alpha_bar[timesteps]
    shares = extrapolations(0.5 * jnp.log(left / (1 - left)))
    places = np.arange(config.steps, dtype=np.int32)
    steps = (*map(jnp.asarray, (places, timesteps, following)), shares)
    (tokens, _), _ = jax.lax.scan(denoise, (start, jnp.zeros_like(start)), steps)
    return tokens


def validate_sampling(diffusion: DiffusionConfig, config: SamplingConfig) -> None:
    """Refuses a number of steps that the process does not have."""
    if not 1 <= config.steps <= diffusion.timesteps:
        raise HyperForgetError(
            f"sampling.steps is {config.steps}: choose 1 to diffusion.timesteps = {diffusion.timesteps}"
        )
