"""Training of a hypernetwork: one loop, read from top to bottom."""

import math
from collections.abc import Callable
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


class State(NamedTuple):
    """Everything a training step changes: parameters, their moving average, optimiser, step."""

    params: Params
    ema: Params
    optimiser: optax.OptState
    step: jax.Array


class Examples(NamedTuple):
    """Checkpoints as the hypernetwork sees them.

    Attributes:
      tokens: [n, T, W].
      conditions: [n, K], standardised log losses.
      cumulative: [n], cumulated probability of being drawn, ending at 1.
    """

    tokens: jax.Array
    conditions: jax.Array
    cumulative: jax.Array


def optimiser(config: TrainingConfig) -> optax.GradientTransformation:
    """AdamW with clipping, linear warm-up and cosine decay; only matrices decay."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, max(config.steps, config.warmup_steps + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(rate, b2=config.beta2, weight_decay=config.weight_decay, mask=_matrices),
    )


def examples(
    tokens: np.ndarray[Any, Any], conditions: jax.Array, probabilities: np.ndarray[Any, Any]
) -> Examples:
    """Checkpoints with their chances [n] of being drawn, which need not sum to 1.

    Raises:
      HyperForgetError: there is none.
    """
    if len(tokens) == 0:
        raise HyperForgetError(
            "the training or the held-out part of the zoo has no checkpoint: raise zoo.runs or zoo.validation_share, "
            "or lower zoo.pivot_accuracy"
        )
    cumulative = np.cumsum(probabilities, dtype=np.float64)
    return Examples(
        jnp.asarray(tokens), conditions, jnp.asarray(cumulative / cumulative[-1], dtype=jnp.float32)
    )


def draw(key: jax.Array, source: Examples, batch_size: int) -> tuple[jax.Array, jax.Array]:
    """A random minibatch: tokens [B, T, W] and conditions [B, K], drawn with replacement."""
    uniforms = jax.random.uniform(key, (batch_size,))
    rows = jnp.clip(jnp.searchsorted(source.cumulative, uniforms), 0, source.cumulative.shape[0] - 1)
    return source.tokens[rows], source.conditions[rows]


def train(
    folder: Path,
    key: jax.Array,
    transformer: Transformer,
    layout: TokenLayout,
    augment: Callable[[jax.Array, jax.Array], jax.Array],
    training: Examples,
    validation: Examples,
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
      augment: (key, tokens [T, W]) -> tokens of the same function.
      training: checkpoints of training runs.
      validation: checkpoints of held-out runs.
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

    def step(state: State, source: Examples) -> tuple[State, jax.Array]:
        draw_key, augment_key, noise_key = jax.random.split(jax.random.fold_in(step_key, state.step), 3)
        tokens, conditions = draw(draw_key, source, config.batch_size)
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

    def held_out_loss(params: Params, source: Examples, key: jax.Array) -> jax.Array:
        draw_key, noise_key = jax.random.split(key)
        tokens, conditions = draw(draw_key, source, 4 * config.batch_size)
        return objective(params, noise_key, tokens, conditions)

    jitted_step = jax.jit(step, donate_argnums=0)
    jitted_held_out = jax.jit(held_out_loss)
    training, validation = jax.device_put((training, validation), whole)
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
        for index in range(int(state.step) + 1, config.steps + 1):
            state, loss = jitted_step(state, training)
            losses.append(loss)
            logs = index % config.log_every == 0 or index == config.steps
            saves = index % config.checkpoint_every == 0 or index == config.steps
            if (logs or saves) and not math.isfinite(float(loss)):
                raise HyperForgetError(
                    f"the hypernetwork's loss is {float(loss)} by step {index}: lower training.learning_rate"
                )
            if logs:
                held_out = jitted_held_out(state.ema, validation, jax.random.clone(held_out_key))
                row = {
                    "step": index,
                    "train_loss": float(jnp.stack(losses).mean()),
                    "validation_loss": float(held_out),
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
