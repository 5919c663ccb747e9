"""A student of a hypernetwork: its transformer, trained on until few denoising steps make what many made.

It is trained end to end through its own steps. From the noise of a lesson it shall make the hypernetwork's own sample, never a mean of
samples, since hidden units are exchangeable and a mean of them is none; and the decoded model shall reach the class losses that are asked
for, on images that the zoo's runs were not trained on.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.config import Config, DistillationConfig, SamplingConfig
from hyperforget_jax.data import Dataset
from hyperforget_jax.diffusion import conditioning, samplers, schedule
from hyperforget_jax.diffusion.conditioning import Condition, Conditioning, Dropout
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Start, condition_of, denoiser, exposed
from hyperforget_jax.errors import HyperForgetError

Doubles = np.ndarray[Any, np.dtype[np.float64]]


class Lesson(NamedTuple):
    """What the hypernetwork made of B draws of noise.

    Attributes:
      noise: [B, T, W], at the sampling temperature.
      condition: of the B models.
      exposed: [B, K] bool, the classes that the models are to have used.
      tokens: [B, T, W], the hypernetwork's samples from that noise.
    """

    noise: jax.Array
    condition: Condition
    exposed: jax.Array
    tokens: jax.Array


class Images(NamedTuple):
    """Images on which the student's models are judged, and how their losses there tell those on validation, which prompts are about.

    Attributes:
      images: [n, D].
      labels: [n], output positions.
      slope: [K], of the standardised log loss on validation over that on these images, among the zoo's models.
      offset: [K].
    """

    images: jax.Array
    labels: jax.Array
    slope: jax.Array
    offset: jax.Array


@dataclass(frozen=True)
class Distillation:
    """The objective of a student.

    Attributes:
      teacher: where it starts; its samples are in the lessons.
      sampling: the student's few, deterministic steps.
      judged_on: images.
      config: weights of the two parts.
    """

    teacher: Hypernetwork
    sampling: SamplingConfig
    judged_on: Images
    config: DistillationConfig

    def init(self, key: jax.Array) -> Params:
        """The teacher's parameters."""
        del key
        return jax.tree.map(jnp.asarray, self.teacher.params)

    def loss(self, params: Params, key: jax.Array, batch: Lesson) -> jax.Array:
        """Squared distance to the hypernetwork's tokens, per coordinate, plus that to the losses asked for, per column, weighted: []."""
        codec, diffusion = self.teacher.codec, self.teacher.diffusion
        keys = jax.random.split(key, len(batch.noise))  # [B]
        denoise = denoiser(self.teacher, params, batch.condition, 1.0)
        process = schedule.make(diffusion)
        tokens = samplers.from_noise(
            denoise, process, diffusion, self.sampling, codec.layout, batch.noise, keys
        )  # [B, T, W]
        to_teacher = jnp.square(tokens - batch.tokens).sum((1, 2)).mean() / int(codec.layout.mask.sum())
        models = jax.vmap(codec.fill)(keys, jax.vmap(codec.decode)(tokens), batch.exposed)
        images, labels, slope, offset = self.judged_on
        losses = jax.vmap(class_losses, in_axes=(0, None, None))(models, images, labels)  # [B, K]
        count = losses.shape[1]
        reached = slope[None] * conditioning.standardise(self.teacher.condition, losses) + offset[None]  # [B, K]
        asked, target = (part[:, :count] for part in (batch.condition.asked, batch.condition.target))  # [B, K]
        to_prompt = (asked * jnp.square(reached - target)).sum() / jnp.maximum(asked.sum(), 1.0)
        return to_teacher + self.config.loss_weight * to_prompt


def class_losses(model: classifier.Params, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean loss [K] of one model on the images of every class, in nats; 0 for a class without any, through which no gradient goes."""
    scores = classifier.scores(model, images.T)  # [K, n]
    member = jax.nn.one_hot(labels, scores.shape[0], dtype=scores.dtype)  # [n, K]
    return (classifier.cross_entropy(scores, labels) @ member) / jnp.maximum(member.sum(0), 1.0)


def calibrate(
    condition: Conditioning, models: classifier.Params, on_validation: Doubles, images: jax.Array, labels: jax.Array
) -> Images:
    """Fits how the loss of a class on validation follows from that on other images: least squares in standardised logarithms.

    Args:
      condition: how these are made.
      models: N stacked models of the zoo.
      on_validation: [N, K], their class losses there, in nats.
      images: [n, D], others.
      labels: [n].
    """
    one = jax.jit(lambda model: class_losses(model, images, labels))
    here = jax.lax.map(one, models, batch_size=classifier.MODELS_AT_ONCE)  # [N, K]
    x, y = (
        np.asarray(conditioning.standardise(condition, jnp.asarray(values, jnp.float32)), np.float64)
        for values in (here, on_validation)
    )
    spread = np.maximum(x.var(0), 1e-12)  # [K]
    slope = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / spread
    offset = y.mean(0) - slope * x.mean(0)
    return Images(images, labels, jnp.asarray(slope, jnp.float32), jnp.asarray(offset, jnp.float32))


def validate_distillation(config: Config, dataset: Dataset) -> None:
    """Refuses a student without images to be judged on, or with a single number to be asked for, before any work."""
    if config.distillation.steps == 0:
        return
    if config.hypernetwork.metric != "class_losses":
        raise HyperForgetError(
            f"hypernetwork.metric is {config.hypernetwork.metric}, and a student learns class losses: set distillation.steps to 0"
        )
    learned = set(range(dataset.num_classes)) - set(dataset.positions(config.task.purged))
    if absent := learned - set(dataset.distillation.labels.tolist()):
        raise HyperForgetError(
            f"data.distillation_size {config.data.distillation_size} holds out no image of class {dataset.classes[min(absent)]} for the "
            "student: raise it, or set distillation.steps to 0"
        )


def lesson(
    teacher: Hypernetwork,
    sampling: SamplingConfig,
    dropout: Dropout,
    key: jax.Array,
    prompts: jax.Array,
    start: Start | None,
    whole: jax.Array,
) -> Lesson:
    """What a hypernetwork makes of new noise.

    Args:
      teacher: samples.
      sampling: its own sampler, steps and temperature.
      dropout: how often a column is not asked for.
      key: draws noise, and what is not asked for.
      prompts: [B, C].
      start: the B models that DiHyFo-1 updates; None for DiHyFo-2.
      whole: [B] bool, prompts of which everything is asked.
    """
    noise_key, drop_key = jax.random.split(key)
    keys = jax.random.split(noise_key, len(prompts))
    condition = condition_of(teacher, prompts, start)
    dropped = conditioning.drop(drop_key, condition, dropout)
    target, asked = (
        jnp.where(whole[:, None], all_of_it, part)
        for all_of_it, part in ((condition.target, dropped.target), (condition.asked, dropped.asked))
    )
    condition = condition._replace(target=target, asked=asked)
    noise = samplers.noise(sampling, teacher.codec.layout, keys)  # [B, T, W]
    denoise = denoiser(teacher, teacher.params, condition, sampling.guidance_scale)
    process = schedule.make(teacher.diffusion)
    tokens = samplers.from_noise(denoise, process, teacher.diffusion, sampling, teacher.codec.layout, noise, keys)
    return Lesson(noise, condition, exposed(teacher, prompts), tokens)
