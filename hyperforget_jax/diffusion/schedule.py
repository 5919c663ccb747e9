"""The forward process q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) and conversions between its parts."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import DiffusionConfig

Prediction = Literal["x0", "epsilon", "v"]


class Schedule(NamedTuple):
    """Constants of the process at timesteps 0..T-1; timestep 0 is the least noisy.

    Attributes:
      alpha_bar: [T], the share of the signal's variance that is left.
    """

    alpha_bar: jax.Array

    @property
    def timesteps(self) -> int:
        """Number of timesteps T."""
        return self.alpha_bar.shape[0]


def make(config: DiffusionConfig) -> Schedule:
    """The schedule of a config, computed in float64.

    linear: beta from 1e-4 to 0.02 at T = 1,000, scaled by 1000 / T otherwise (arXiv 2006.11239).
    cosine: abar_t = f(t + 1) / f(0) with f(t) = cos^2((t/T + s) / (1 + s) * pi/2), s = 0.008 (arXiv 2102.09672).
    No beta is above 0.999.
    """
    steps = config.timesteps
    betas: np.ndarray[Any, np.dtype[np.float64]]
    if config.schedule == "linear":
        betas = np.linspace(1e-4, 0.02, steps) * (1000 / steps)
    else:
        angle = (np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2
        left = np.cos(angle) ** 2
        betas = 1.0 - left[1:] / left[:-1]
    return Schedule(jnp.asarray(np.cumprod(1.0 - np.minimum(betas, 0.999)), jnp.float32))


def add_noise(clean: jax.Array, noise: jax.Array, alpha_bar: jax.Array) -> jax.Array:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise; all arguments broadcast."""
    return jnp.sqrt(alpha_bar) * clean + jnp.sqrt(1.0 - alpha_bar) * noise


def target(prediction: Prediction, clean: jax.Array, noise: jax.Array, alpha_bar: jax.Array) -> jax.Array:
    """What the transformer learns to output: x_0, the noise, or v = sqrt(abar_t) noise - sqrt(1 - abar_t) x_0."""
    if prediction == "x0":
        return clean
    if prediction == "epsilon":
        return noise
    return jnp.sqrt(alpha_bar) * noise - jnp.sqrt(1.0 - alpha_bar) * clean


def clean_from(prediction: Prediction, output: jax.Array, noisy: jax.Array, alpha_bar: jax.Array) -> jax.Array:
    """The estimate of x_0 in the transformer's output at x_t."""
    if prediction == "x0":
        return output
    if prediction == "epsilon":
        return (noisy - jnp.sqrt(1.0 - alpha_bar) * output) / jnp.sqrt(alpha_bar)
    return jnp.sqrt(alpha_bar) * noisy - jnp.sqrt(1.0 - alpha_bar) * output


def min_snr_weight(prediction: Prediction, alpha_bar: jax.Array, ceiling: float) -> jax.Array:
    """Weight of a timestep's squared error that amounts to min(SNR, ceiling) on the error of x_0 (arXiv 2303.09556, section 3.4).

    With SNR = abar_t / (1 - abar_t): min(SNR, c) for x0, divided by SNR for epsilon, by SNR + 1 for v.
    """
    snr = alpha_bar / (1.0 - alpha_bar)
    capped = jnp.minimum(snr, ceiling)
    return {"x0": capped, "epsilon": capped / snr, "v": capped / (snr + 1.0)}[prediction]


def noise_from(clean: jax.Array, noisy: jax.Array, alpha_bar: jax.Array) -> jax.Array:
    """The noise that leads from an estimate of x_0 to x_t."""
    return (noisy - jnp.sqrt(alpha_bar) * clean) / jnp.sqrt(1.0 - alpha_bar)
