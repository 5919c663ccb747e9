"""A scrub: a hypernetwork learns to do under every condition what it did under the guarded one (after UnCLe, arXiv 2509.17530).

Conditions that want no scrubbed class are their own guarded ones: there the lesson is what the hypernetwork does already.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.config import SamplingConfig
from hyperforget_jax.diffusion import conditioning, samplers, schedule
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.guard import Guard, hold
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, denoiser


class Lesson(NamedTuple):
    """B samples under guarded conditions.

    Attributes:
      tokens: [B, T, W], the hypernetwork's samples.
      asked: the condition as it was asked.
      guarded: the condition held to the guard.
    """

    tokens: jax.Array
    asked: Condition
    guarded: Condition


@dataclass(frozen=True)
class Scrubbing:
    """The objective of a scrub.

    Attributes:
      teacher: the hypernetwork as it was, without a guard.
    """

    teacher: Hypernetwork

    def init(self, key: jax.Array) -> Params:
        """The teacher's parameters."""
        del key
        return jax.tree.map(jnp.asarray, self.teacher.params)

    def loss(self, params: Params, key: jax.Array, batch: Lesson) -> jax.Array:
        """Mean squared difference [] per coordinate between the answer to what was asked and the teacher's to what is guarded."""
        teacher, layout = self.teacher, self.teacher.codec.layout
        process = schedule.make(teacher.diffusion)
        time_key, noise_key = jax.random.split(key)
        timesteps = jax.random.randint(time_key, batch.tokens.shape[:1], 0, process.timesteps)  # [B]
        alpha_bar = process.alpha_bar[timesteps][:, None, None]  # [B, 1, 1]
        noise = jnp.where(layout.mask[None], jax.random.normal(noise_key, batch.tokens.shape), 0.0)  # [B, T, W]
        noisy = schedule.add_noise(batch.tokens, noise, alpha_bar)  # [B, T, W]
        wanted = teacher.transformer.apply(teacher.params, noisy, timesteps, batch.guarded)  # [B, T, W]
        answer = teacher.transformer.apply(params, noisy, timesteps, batch.asked)  # [B, T, W]
        return jnp.square(answer - wanted).sum((1, 2)).mean() / int(layout.mask.sum())


def lesson(teacher: Hypernetwork, guard: Guard, sampling: SamplingConfig, key: jax.Array, prompts: jax.Array) -> Lesson:
    """What a hypernetwork makes for guarded prompts.

    Args:
      teacher: samples.
      guard: bounds.
      sampling: sampler and steps.
      key: of the noise.
      prompts: [B, C], as they are asked; NaN is open.
    """
    asked, guarded = (conditioning.ask(teacher.condition, each) for each in (prompts, hold(guard, prompts)))
    keys = jax.random.split(key, len(prompts))
    denoise = denoiser(teacher, teacher.params, guarded, sampling.guidance_scale)
    process = schedule.make(teacher.diffusion)
    tokens = samplers.sample(denoise, process, teacher.diffusion, sampling, teacher.codec.layout, keys)
    return Lesson(tokens, asked, guarded)
