"""Our contender of `experiments.benchmarks.hypernetwork`: one optimiser step after another, and sampled classifiers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.timing import Work
from hyperforget_jax import classifier
from hyperforget_jax.config import Config
from hyperforget_jax.diffusion import conditioning, dit, targets, train_step
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Start, generator
from hyperforget_jax.diffusion.train_step import State
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import prng
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import TokenLayout

Batch = tuple[jax.Array, Condition]
"""Clean tokens [B, T, W] and their condition."""
PERTURBATION = 0.02
"""Deviation of the noise that takes parameters away from zero."""


@dataclass(frozen=True)
class Setting:
    """A hypernetwork at one size.

    Attributes:
      config: of the transformer, its training and its sampling.
      codec: of the classifiers.
      num_losses: K, losses in a condition.
    """

    config: Config
    codec: Codec
    num_losses: int

    @property
    def layout(self) -> TokenLayout:
        """Of the tokens."""
        return self.codec.layout

    @property
    def transformer(self) -> Transformer:
        """What is trained and sampled."""
        return dit.make(self.config.hypernetwork, self.config.diffusion, self.layout, self.num_losses, self.num_losses)

    def key(self, name: str) -> jax.Array:
        """Key of one of the things that are random."""
        return prng.stream(self.config.seed, f"bench_hypernet/{name}")

    def changed(self, **fields: Any) -> "Setting":
        """The same with other fields of the hypernetwork's config."""
        hypernetwork = replace(self.config.hypernetwork, **fields)
        return replace(self, config=replace(self.config, hypernetwork=hypernetwork))


def setting_of(job: Run, models: int) -> Setting:
    """The setting of a run, its codec fitted on some random classifiers and the training images."""
    draws = jax.random.split(prng.stream(job.config.seed, "bench_hypernet/codec"), models)
    random = jax.jit(jax.vmap(partial(classifier.init, sizes=job.sizes)))(draws)
    coder = codec.fit(job.config.codec, job.sizes, random, job.dataset.train.images, job.dataset.train.labels)
    return Setting(job.config, coder, targets.width(job.config.hypernetwork, job.sizes[-1]))


def describe(setting: Setting) -> dict[str, Any]:
    """What the hypernetwork is, JSON-ready."""
    config, layout = setting.config, setting.layout
    shapes = jax.eval_shape(setting.transformer.init, setting.key("init"))
    return {
        "kind": config.hypernetwork.kind,
        "conditioning": config.hypernetwork.conditioning,
        "width": config.hypernetwork.hidden_size,
        "depth": config.hypernetwork.depth,
        "heads": config.hypernetwork.num_heads,
        "dtype": config.hypernetwork.dtype,
        "parameters": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)),
        "tokens": layout.num_tokens,
        "token_width": layout.width,
        "losses": setting.num_losses,
        "batch_size": config.training.batch_size,
        "sampled_at_once": config.sampling.batch_size,
        "sampler": f"{config.sampling.sampler} {config.sampling.steps}",
    }


def batch(setting: Setting, size: int) -> Batch:
    """Random tokens of the layout under random conditions, those of DiHyFo-1 with a random start."""
    token_key, loss_key = jax.random.split(setting.key("batch"))
    mask = jnp.asarray(setting.layout.mask)[None, None]
    tokens, start = jnp.where(mask, jax.random.normal(token_key, (2, size, *mask.shape[2:])), 0.0)
    target, current = jax.random.normal(loss_key, (2, size, setting.num_losses))
    condition = Condition(target, jnp.ones_like(target))
    if setting.config.hypernetwork.kind == "dihyfo1":
        condition = condition._replace(current=current, start=start)
    return tokens, condition


def task(setting: Setting) -> train_step.Task:
    """What is learned: batches are tokens already, so that PyTorch gets the same."""

    return train_step.Task(
        setting.transformer, setting.layout, lambda key, batch: batch, setting.config.diffusion, (setting.num_losses,)
    )


def stepper(setting: Setting) -> Callable[[State, Batch, jax.Array], tuple[State, jax.Array]]:
    """The jitted step; it takes the state's memory for that of its result."""
    step = partial(train_step.step, task=task(setting), config=setting.config.training)
    return jax.jit(step, donate_argnums=0)


def start(setting: Setting) -> State:
    """The state before the first step."""
    init = partial(train_step.init, task=task(setting), config=setting.config.training)
    return jax.jit(init)(setting.key("init"))


def perturbed(setting: Setting) -> Params:
    """Parameters plus a little noise, so that none is zero as adaLN-Zero is at its start."""
    start_key, noise_key = jax.random.split(setting.key("perturbed"))
    leaves, tree = jax.tree.flatten(jax.jit(setting.transformer.init)(start_key))
    pairs = zip(jax.random.split(noise_key, len(leaves)), leaves, strict=True)
    noisy = [leaf + PERTURBATION * jax.random.normal(key, leaf.shape) for key, leaf in pairs]
    return jax.tree.unflatten(tree, noisy)


def training(setting: Setting, steps: int) -> Work:
    """Trains on from where it was, on the same batch each step."""
    step, examples = stepper(setting), batch(setting, setting.config.training.batch_size)
    state, key = start(setting), setting.key("steps")

    def work() -> State:
        nonlocal state
        for _ in range(steps):
            state, _ = step(state, examples, key)
        return state

    return work


def sampling(setting: Setting) -> Work:
    """Samples and decodes one batch of classifiers, at random prompts."""
    config, num_losses = setting.config, setting.num_losses
    count = config.sampling.batch_size
    loss_key, model_key, noise_key = jax.random.split(setting.key("sampling"), 3)
    losses = jnp.exp(jax.random.normal(loss_key, (count, num_losses)))  # nats
    statistics = conditioning.fit(jax.device_get(losses), config.hypernetwork.loss_floor)
    generate = generator(
        Hypernetwork(perturbed(setting), setting.transformer, setting.codec, statistics, config.diffusion),
        config.sampling,
    )
    draws, begin = jax.random.split(noise_key, count), None
    if config.hypernetwork.kind == "dihyfo1":
        seeds = jax.random.split(model_key, count)
        begin = Start(jax.vmap(partial(classifier.init, sizes=setting.codec.sizes))(seeds), losses)
    return lambda: generate(jax.random.clone(draws), losses, lambda _: None, begin)
