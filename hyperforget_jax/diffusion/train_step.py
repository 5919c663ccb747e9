"""One optimiser step of a hypernetwork, as a pure function of (state, batch)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp
import optax

from hyperforget_jax.config import DiffusionConfig, TrainingConfig
from hyperforget_jax.diffusion import conditioning, schedule
from hyperforget_jax.diffusion.conditioning import Condition, Dropout
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.diffusion.losses import Functional, denoising_loss
from hyperforget_jax.weights.layout import TokenLayout

Batch = Any
"""A pytree of arrays whose leading axis is that of the batch: what the loader reads."""
Prepare = Callable[[jax.Array, Batch], tuple[jax.Array, Condition]]
"""(key, batch) -> (clean tokens [B, T, W], their condition), augmented."""


class Objective(Protocol):
    """What is minimised, and from where."""

    def init(self, key: jax.Array) -> Params:
        """The parameters before the first step."""
        ...

    def loss(self, params: Params, key: jax.Array, batch: Batch) -> jax.Array:
        """The loss [] of a batch."""
        ...


@dataclass(frozen=True)
class Task:
    """The objective of a hypernetwork: to denoise tokens.

    Attributes:
      transformer: what is trained.
      layout: of its tokens.
      prepare: batches to tokens and conditions; part of the compiled step.
      diffusion: the process and the objective.
      kinds: columns of each kind of a condition.
      functional: how differently models answer; None: only tokens count.
    """

    transformer: Transformer
    layout: TokenLayout
    prepare: Prepare
    diffusion: DiffusionConfig
    kinds: tuple[int, ...]
    functional: Functional | None = None

    def init(self, key: jax.Array) -> Params:
        """New parameters."""
        return self.transformer.init(key)

    def loss(self, params: Params, key: jax.Array, batch: Batch) -> jax.Array:
        """Denoising error [] of a batch, some classes of whose conditions are dropped."""
        prepare_key, drop_key, noise_key = jax.random.split(key, 3)
        tokens, condition = self.prepare(prepare_key, batch)
        chex.assert_shape(tokens, (None, self.layout.num_tokens, self.layout.width))
        diffusion = self.diffusion
        rates = diffusion.class_dropout, diffusion.kind_dropout, diffusion.full_dropout
        if any(rates):
            condition = conditioning.drop(drop_key, condition, Dropout(*rates, self.kinds))
        return denoising_loss(
            params,
            noise_key,
            tokens,
            condition,
            transformer=self.transformer,
            process=schedule.make(diffusion),
            config=diffusion,
            layout=self.layout,
            functional=self.functional,
        )


class State(NamedTuple):
    """Everything a training step changes: parameters, their moving average, optimiser, step."""

    params: Params
    ema: Params
    opt_state: optax.OptState
    step: jax.Array


def rule(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with clipping, linear warm-up and cosine decay; only matrices decay."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, max(config.steps, config.warmup_steps + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(rate, b2=config.beta2, weight_decay=config.weight_decay, mask=_matrices),
    )


def init(key: jax.Array, task: Objective, config: TrainingConfig) -> State:
    """The state before the first step."""
    params = task.init(key)
    return State(params, jax.tree.map(jnp.copy, params), rule(config).init(params), jnp.int32(0))


def step(
    state: State, batch: Batch, key: jax.Array, *, task: Objective, config: TrainingConfig
) -> tuple[State, jax.Array]:
    """One step: gradients, clipping, AdamW, and the moving average with warm-up.

    Args:
      state: before.
      batch: B examples, taken in `grad_accum_steps` parts after one another; their gradients are averaged.
      key: root key; step s draws from fold_in(key, s), so a restart draws the same.
      task: what is learned.
      config: the optimisation.

    Returns:
      The state after, and the loss [].
    """
    keys = jax.random.split(jax.random.fold_in(key, state.step), config.grad_accum_steps)
    value_and_gradient = jax.value_and_grad(task.loss)

    def add(total: Any, part: tuple[jax.Array, Batch]) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, value_and_gradient(state.params, *part)), None

    if config.grad_accum_steps == 1:
        mean, gradients = value_and_gradient(state.params, keys[0], batch)
    else:
        # every part has examples of every device
        parts = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, config.grad_accum_steps, *x.shape[1:]), 0, 1), batch)
        nothing = (jnp.float32(0.0), jax.tree.map(jnp.zeros_like, state.params))
        total, _ = jax.lax.scan(add, nothing, (keys, parts))
        mean, gradients = jax.tree.map(lambda x: x / config.grad_accum_steps, total)
    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        updates, opt_state = rule(config).update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    count = state.step.astype(jnp.float32)
    decay = jnp.minimum(config.ema_decay, (1.0 + count) / (10.0 + count))
    ema = optax.incremental_update(params, state.ema, 1.0 - decay)
    return State(params, ema, opt_state, state.step + 1), mean


def _matrices(params: Params) -> Any:
    """A tree of flags: the leaves that decay, which are neither biases, positions nor learned constants."""

    def decays(path: tuple[Any, ...], leaf: jax.Array) -> bool:
        return leaf.ndim >= 2 and not path[-1].key.startswith(("bias", "position"))

    return jax.tree_util.tree_map_with_path(decays, params)
