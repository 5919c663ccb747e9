"""Training of a hypernetwork: one loop, read from top to bottom."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hyperforget_jax.config import TrainingConfig
from hyperforget_jax.diffusion import train_step
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.train_step import Batch, Objective
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, sharding
from hyperforget_jax.runtime.checkpoints import Checkpoints
from hyperforget_jax.runtime.metric_writer import MetricWriter


class Watch(NamedTuple):
    """A measurement that a training repeats, such as prompt alignment.

    Attributes:
      name: of its curve.
      every: steps between two.
      measure: averaged parameters on one device, which the next step takes back -> its values.
    """

    name: str
    every: int
    measure: Callable[[Params], dict[str, float]]


def train(
    folder: Path,
    key: jax.Array,
    task: Objective,
    batches: Callable[[int], Iterator[Batch]],
    val_batch: Batch,
    config: TrainingConfig,
    on_steps: Callable[[int], None],
    watch: Watch | None = None,
    made_from: Mapping[str, Any] | None = None,
) -> Params:
    """Trains, or goes on from the last saved state; the same key gives the same parameters either way.

    Every process of a cluster calls it with the same arguments and a folder that all of them see; process 0 writes the curves.

    Args:
      folder: gets the saved states, `learning_curve.jsonl` and the watch's curve.
      key: root key.
      task: what is learned.
      batches: s -> the batches of step s and those after it, B = `config.batch_size`, from training runs.
      val_batch: from held-out runs; B is a multiple of `config.batch_size`. Its noise is the same each time.
      config: the optimisation.
      on_steps: called with the number of steps just done.
      watch: what to measure on the way; None: nothing.
      made_from: what decides the training, JSON-ready; a saved state of another one is refused.

    Returns:
      The averaged parameters, whole, on one of this process's devices.

    Raises:
      HyperForgetError: the loss or the parameters are not finite; names the step. The last good state stays. Or that state is damaged or
        of another training, or a curve has lost rows.
    """
    init_key, step_key, held_out_key = jax.random.split(key, 3)
    devices = sharding.make(config.batch_size // config.grad_accum_steps)
    whole, split = sharding.replicated(devices), sharding.batched(devices)
    start = partial(train_step.init, task=task, config=config)
    shardings = sharding.parameters(devices, jax.eval_shape(start, init_key), config.shard_parameters)
    state = jax.jit(start, out_shardings=shardings)(init_key)
    step = jax.jit(
        partial(train_step.step, task=task, config=config),
        donate_argnums=0,
        in_shardings=(shardings, split, whole),
        out_shardings=(shardings, whole),
    )
    loss_of = jax.jit(task.loss, in_shardings=(shardings.ema, whole, split), out_shardings=whole)

    norm_of = jax.jit(optax.tree.norm, in_shardings=(shardings.params,), out_shardings=whole)

    def own(params: Params) -> Params:
        return jax.tree.map(lambda x: x.addressable_data(0), jax.device_put(params, whole))

    watched = sharding.put(val_batch, split)
    with contextlib.ExitStack() as opened:
        states = opened.enter_context(Checkpoints(folder / "states", made_from))
        curve = opened.enter_context(MetricWriter(folder, "learning_curve", config.tensorboard))
        watch_curve = watch and opened.enter_context(MetricWriter(folder, watch.name, config.tensorboard))
        states.remove_older()
        latest_step = states.latest()
        if latest_step is not None:
            state = states.restore(latest_step, state)
            on_steps(latest_step)
        curve.truncate_after(int(state.step), config.log_every)
        if watch and watch_curve:
            watch_curve.truncate_after(int(state.step), watch.every)
        losses: list[jax.Array] = []
        numbers = range(int(state.step) + 1, config.steps + 1)
        for index, batch in zip(numbers, batches(int(state.step)), strict=False):
            state, loss = step(state, sharding.put(batch, split), step_key)
            losses.append(loss)
            last = index == config.steps
            logs, saves = index % config.log_every == 0 or last, index % config.checkpoint_every == 0 or last
            watches = watch is not None and (index % watch.every == 0 or last)
            if logs or saves or watches:
                _check_finite(index, float(loss), float(norm_of(state.params)))
            if logs:
                held_out_loss = loss_of(state.ema, jax.random.clone(held_out_key), watched)
                curve.write(
                    index, {"train_loss": float(jnp.stack(losses).mean()), "validation_loss": float(held_out_loss)}
                )
                on_steps(len(losses))
                losses = []
            if watch and watch_curve and watches:
                watch_curve.write(index, watch.measure(own(state.ema)))
            if saves:
                with artifacts.writing_errors(folder):
                    states.save(index, state)
    return own(state.ema)


def _check_finite(index: int, loss: float, norm: float) -> None:
    """Stops before a bad state is saved: a step can spoil the parameters while its loss, taken before it, is still finite."""
    for name, value in (("loss", loss), ("parameter norm", norm)):
        if not math.isfinite(value):
            raise HyperForgetError(
                f"the hypernetwork's {name} is {value} by step {index}: lower training.learning_rate"
            )
