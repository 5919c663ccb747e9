"""From a config to a zoo on disk: block after block, each resumable, each a function of (config, key, block)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.weights.layout import flatten
from hyperforget_jax.zoo import protocol, store, train
from hyperforget_jax.zoo.store import Zoo


def num_blocks(config: ZooConfig) -> int:
    """Blocks of a zoo; the last may hold fewer runs."""
    return -(-config.runs // config.runs_per_block)


def build(
    folder: Path,
    config: ZooConfig,
    key: jax.Array,
    data: tuple[train.Images, train.Images],
    sizes: Sequence[int],
    pivots: Sequence[int],
    made_from: Mapping[str, Any],
    on_block: Callable[[int], None],
) -> None:
    """Trains and stores every block that is not on disk yet.

    Args:
      folder: the zoo's place.
      config: the protocol.
      key: root key; run r draws from fold_in(fold_in(key, 0), r), block b orders its minibatches by
        fold_in(fold_in(key, 1), b), so blocks can be made in any order, by any number of jobs.
      data: training split, and the split that labels the checkpoints.
      sizes: width of every layer.
      pivots: output positions of the pivots.
      made_from: what decides the content, for the manifests.
      on_block: called with the number of runs of each block that is done.
    """
    for block in range(num_blocks(config)):
        runs = np.arange(block * config.runs_per_block, min((block + 1) * config.runs_per_block, config.runs))
        if not store.is_stored(folder, block):
            zoo = make_block(config, key, block, runs, data, sizes, pivots)
            store.write_block(folder, block, zoo, made_from)
        on_block(len(runs))


def make_block(
    config: ZooConfig,
    key: jax.Array,
    block: int,
    runs: np.ndarray[Any, Any],
    data: tuple[train.Images, train.Images],
    sizes: Sequence[int],
    pivots: Sequence[int],
) -> Zoo:
    """Trains one block of runs and keeps the snapshots that the protocol selects."""
    training, validation = data
    forgettable = tuple(position for position in range(sizes[-1]) if position not in pivots)
    run_keys = jax.vmap(lambda run: jax.random.fold_in(jax.random.fold_in(key, 0), run))(jnp.asarray(runs))
    plan_key, train_key, select_key = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(run_keys), 1, 0)
    plans = jax.vmap(lambda k: protocol.draw(k, config, forgettable, sizes[-1]))(plan_key)
    snapshots = train.train_block(
        train_key,
        jax.random.fold_in(jax.random.fold_in(key, 1), block),
        plans,
        training,
        validation,
        sizes=tuple(sizes),
        batch_size=config.batch_size,
        snapshots=config.snapshots,
        steps_per_snapshot=train.plan_steps(
            len(training.labels), config.batch_size, config.epochs, config.snapshots
        ),
    )
    chance = protocol.selection_probability(snapshots.progress, config.selection_probability)  # [S]
    selected = jax.vmap(lambda k: jax.random.bernoulli(k, chance), out_axes=1)(select_key)  # [S, R]
    good = protocol.passes_pivots(snapshots.accuracies, pivots, config.pivot_accuracy)  # [S, R]
    vectors = jax.jit(jax.vmap(jax.vmap(flatten)))(snapshots.params)  # [S, R, P]
    kept = np.nonzero(np.asarray(selected & good))  # moments, lanes
    return Zoo(
        weights=np.asarray(vectors)[kept],
        losses=np.asarray(snapshots.losses)[kept],
        accuracies=np.asarray(snapshots.accuracies)[kept],
        run=runs[kept[1]].astype(np.int32),
        progress=np.asarray(snapshots.progress)[kept[0]],
    )
