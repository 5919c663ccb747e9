"""Training of a hypernetwork: one loop, read from top to bottom."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hyperforget_jax import mesh, records
from hyperforget_jax.checkpoint import Checkpoints
from hyperforget_jax.config import DiffusionConfig, TrainingConfig
from hyperforget_jax.diffusion import schedule
from hyperforget_jax.diffusion.dit import Params, Transformer
from hyperforget_jax.diffusion.objective import denoising_loss
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import TokenLayout

Floats = np.ndarray[Any, np.dtype[np.float32]]
Batch = tuple[Floats, Floats]
"""Weights [B, P] of checkpoints, and their class losses [B, K] in nats."""
Encode = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""(weights [B, P], losses [B, K]) -> (tokens [B, T, W], conditions [B, K])."""


class State(NamedTuple):
    """Everything a training step changes: parameters, their moving average, optimiser, step."""

    params: Params
    ema: Params
    optimiser: optax.OptState
    step: jax.Array


def optimiser(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with clipping, linear warm-up and cosine decay; only matrices decay."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, max(config.steps, config.warmup_steps + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(rate, b2=config.beta2, weight_decay=config.weight_decay, mask=_matrices),
    )


def train(
    folder: Path,
    key: jax.Array,
    transformer: Transformer,
    layout: TokenLayout,
    encode: Encode,
    augment: Callable[[jax.Array, jax.Array], jax.Array],
    batches: Callable[[int], Iterator[Batch]],
    held_out: Batch,
    config: TrainingConfig,
    diffusion: DiffusionConfig,
    on_steps: Callable[[int], None],
) -> Params:
    """Trains, or goes on from the last saved state; the same key gives the same parameters either way.

    Args:
      folder: gets the saved states and `learning_curve.jsonl`.
      key: root key; step s draws from a fold of s alone, so a restart draws the same.
      transformer: what is trained.
      layout: of the tokens.
      encode: checkpoints to tokens and conditions; part of the compiled step.
      augment: (key, tokens [T, W]) -> tokens of the same function.
      batches: s -> the batches of step s and those after it, B = `config.batch_size`, from training runs.
      held_out: from held-out runs; B is a multiple of `config.batch_size`. Its noise is the same each time.
      config: the optimisation.
      diffusion: the process.
      on_steps: called with the number of steps just done.

    Returns:
      The averaged parameters.

    Raises:
      HyperForgetError: the loss is not finite; names the step. The last good state stays.
    """
    init_key, step_key, held_out_key = jax.random.split(key, 3)
    devices = mesh.make(config.batch_size)
    whole, split = mesh.replicated(devices), mesh.batched(devices)
    rule = optimiser(config)
    objective = partial(
        denoising_loss,
        transformer=transformer,
        process=schedule.make(diffusion),
        config=diffusion,
        layout=layout,
    )

    def init(key: jax.Array) -> State:
        params = transformer.init(key)
        return State(params, jax.tree.map(jnp.copy, params), rule.init(params), jnp.int32(0))

    def step(state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, jax.Array]:
        augment_key, noise_key = jax.random.split(jax.random.fold_in(step_key, state.step))
        tokens, conditions = encode(*batch)  # [B, T, W], [B, K]
        tokens = jax.vmap(augment)(jax.random.split(augment_key, config.batch_size), tokens)
        tokens, conditions = jax.lax.with_sharding_constraint((tokens, conditions), split)
        loss, gradients = jax.value_and_grad(objective)(state.params, noise_key, tokens, conditions)
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            updates, moments = rule.update(gradients, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        count = state.step.astype(jnp.float32)
        decay = jnp.minimum(config.ema_decay, (1.0 + count) / (10.0 + count))
        ema = optax.incremental_update(params, state.ema, 1.0 - decay)
        return State(params, ema, moments, state.step + 1), loss

    jitted_step = jax.jit(step, donate_argnums=0)
    held_out_loss = jax.jit(objective)
    watched = jax.jit(encode)(*jax.device_put(held_out, split))
    state = jax.jit(init, out_shardings=whole)(init_key)
    curve = folder / "learning_curve.jsonl"
    with Checkpoints(folder / "states") as states:
        begun = states.latest()
        if begun is not None:
            state = states.restore(begun, state)
            on_steps(begun)
        kept = (
            [row for row in records.read_rows(curve) if row["step"] <= int(state.step)]
            if curve.exists()
            else []
        )
        records.write_rows(curve, kept)
        losses: list[jax.Array] = []
        numbers = range(int(state.step) + 1, config.steps + 1)
        for index, batch in zip(numbers, batches(int(state.step)), strict=False):
            state, loss = jitted_step(state, jax.device_put(batch, split))
            losses.append(loss)
            logs = index % config.log_every == 0 or index == config.steps
            saves = index % config.checkpoint_every == 0 or index == config.steps
            if (logs or saves) and not math.isfinite(float(loss)):
                raise HyperForgetError(
                    f"the hypernetwork's loss is {float(loss)} by step {index}: lower training.learning_rate"
                )
            if logs:
                watched_loss = held_out_loss(state.ema, jax.random.clone(held_out_key), *watched)
                row = {
                    "step": index,
                    "train_loss": float(jnp.stack(losses).mean()),
                    "validation_loss": float(watched_loss),
                }
                records.append_row(curve, row)
                on_steps(len(losses))
                losses = []
            if saves:
                with records.writing_errors(folder):
                    states.save(index, state)
    return state.ema


def _matrices(params: Params) -> Any:
    """A tree of flags: the leaves that decay, which are neither biases nor positions."""

    def decays(path: tuple[Any, ...], leaf: jax.Array) -> bool:
        return leaf.ndim >= 2 and path[-1].key not in ("bias_in", "bias_out", "position")

    return jax.tree_util.tree_map_with_path(decays, params)
