"""What the hypernetwork minimises: the mean squared error of its prediction at a random timestep (equation 5)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hyperforget_jax.config import DiffusionConfig
from hyperforget_jax.diffusion import schedule
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.diffusion.schedule import Schedule
from hyperforget_jax.weights.layout import TokenLayout

Functional = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""(key, predicted tokens [B, T, W], true ones) -> [B], how differently the models answer; see `probe.error`."""


def denoising_loss(
    params: Params,
    key: jax.Array,
    tokens: jax.Array,
    condition: Condition,
    *,
    transformer: Transformer,
    process: Schedule,
    config: DiffusionConfig,
    layout: TokenLayout,
    functional: Functional | None,
) -> jax.Array:
    """E w(t) |target - prediction|^2 per existing coordinate, timesteps uniform on 0..T-1; w = 1 or min-SNR.

    With a functional error f, plus `functional_weight` E min(SNR, c) / c f(prediction of x_0, x_0): where the noise leaves one model to
    be found, it shall answer like the true one; where it leaves many, their mean is no model.

    Args:
      params: the transformer's parameters.
      key: draws timesteps and noise.
      tokens: [B, T, W], clean.
      condition: of the B models, some classes of it dropped or not.
      transformer: predicts.
      process: the forward process.
      config: what is predicted.
      layout: tells padding, which is neither noised nor counted.
      functional: how differently models answer; None: only tokens count.

    Returns:
      [].
    """
    time_key, noise_key, functional_key = jax.random.split(key, 3)
    timesteps = jax.random.randint(time_key, tokens.shape[:1], 0, process.timesteps)  # [B]
    alpha_bar = process.alpha_bar[timesteps][:, None, None]  # [B, 1, 1]
    noise = jnp.where(layout.mask[None], jax.random.normal(noise_key, tokens.shape), 0.0)  # [B, T, W]
    noisy = schedule.add_noise(tokens, noise, alpha_bar)  # [B, T, W]
    output = transformer.apply(params, noisy, timesteps, condition)  # [B, T, W]
    error = output - schedule.target(config.prediction, tokens, noise, alpha_bar)  # [B, T, W]
    squares = jnp.square(error).sum((1, 2))  # [B]
    if config.weighting == "min_snr":
        weights = schedule.min_snr_weight(config.prediction, alpha_bar[:, 0, 0], config.min_snr_ceiling)  # [B]
        squares = squares * weights
    loss = squares.mean() / int(layout.mask.sum())
    if functional is None:
        return loss
    clean = schedule.clean_from(config.prediction, output, noisy, alpha_bar)  # [B, T, W]
    share = schedule.min_snr_weight("x0", alpha_bar[:, 0, 0], config.min_snr_ceiling) / config.min_snr_ceiling
    return loss + config.functional_weight * (share * functional(functional_key, clean, tokens)).mean()
