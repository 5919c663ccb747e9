"""From a config to a zoo on disk: block after block, each a function of (config, key, block), each resumable."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import num_weights
from hyperforget_jax.zoo import coverage, hyperparameters, selection, storage, train
from hyperforget_jax.zoo.storage import Block

Numbers = np.ndarray[Any, Any]
TRAINED, GOOD, KEPT = range(3)
"""Rows of a block's tally."""
NO_AIM = np.array([-1])


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a zoo.

    Attributes:
      config: the protocol.
      key: root key; run r draws from fold_in(fold_in(key, 0), r), block b from fold_in(fold_in(key, 1), b), so blocks can be made
        in any order, by any number of jobs.
      training: what the runs learn from, of the pixels that vary.
      pixels: places of these pixels.
      validation: what labels the checkpoints.
      sizes: width of every layer.
      pivots: output positions of the pivots.
      made_from: JSON-ready values that stand for all of it, for the manifests.
    """

    config: ZooConfig
    key: jax.Array
    training: train.Images
    pixels: tuple[int, ...]
    validation: train.Images
    sizes: tuple[int, ...]
    pivots: tuple[int, ...]
    made_from: Mapping[str, Any]

    @property
    def forgettable(self) -> tuple[int, ...]:
        """Output positions of the classes that may be forgotten."""
        return tuple(position for position in range(self.sizes[-1]) if position not in self.pivots)

    @property
    def num_blocks(self) -> int:
        """Blocks of drawn runs; the last may hold fewer. Blocks after them are added for coverage."""
        return -(-self.config.runs // self.config.runs_per_block)

    def drawn_runs(self, number: int) -> Numbers:
        """Numbers of the runs of a drawn block."""
        size = self.config.runs_per_block
        return np.arange(number * size, min((number + 1) * size, self.config.runs))

    def added_runs(self, number: int) -> Numbers:
        """Numbers of the runs of an added block: they follow those of all blocks before."""
        size = self.config.runs_per_block
        return self.config.runs + (number - self.num_blocks) * size + np.arange(size)

    def run_keys(self, runs: Numbers) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Keys [R] of some runs: for their plans, for their training, for the selection of their snapshots."""
        root = jax.random.fold_in(self.key, 0)
        keys = jax.vmap(lambda run: jax.random.split(jax.random.fold_in(root, run), 3))(jnp.asarray(runs))
        return keys[:, 0], keys[:, 1], keys[:, 2]

    def block_keys(self, number: int) -> tuple[jax.Array, jax.Array]:
        """Keys of a block: for the order of its minibatches, for the order in which its caps are filled."""
        order, caps = jax.random.split(jax.random.fold_in(jax.random.fold_in(self.key, 1), number))
        return order, caps


def validate_memory(config: ZooConfig, sizes: Sequence[int]) -> None:
    """Refuses blocks larger than the memory that building may take.

    Raises:
      HyperForgetError: names what a block needs and what to lower.
    """
    # one block being trained, one being written and the copy of what is kept; parameters, moments and gradients
    models = config.runs_per_block * (3 * config.snapshots + 5)
    needed = models * num_weights(sizes) * 4 / 2**30
    if needed > config.memory_gib:
        raise HyperForgetError(
            f"a block needs about {needed:.1f} GiB, zoo.memory_gib is {config.memory_gib}: "
            "lower zoo.runs_per_block or zoo.snapshots, or raise zoo.memory_gib"
        )


def build(
    folder: Path, recipe: Recipe, shard: tuple[int, int], on_block: Callable[[int], None], say: Callable[[str], None]
) -> bool:
    """Trains and stores the blocks of a shard that are not on disk yet; completes the zoo once no block is missing.

    A block is written while the next one trains.

    Args:
      folder: the zoo's place.
      recipe: what to make.
      shard: (i, n): of the drawn blocks, those whose number is i modulo n. All shards together make the zoo of (0, 1).
      on_block: called with the number of runs of each drawn block that is done.
      say: called with a line about each block that is added for coverage.

    Returns:
      Whether the zoo is complete; otherwise other shards' blocks are missing.

    Raises:
      HyperForgetError: a block on disk is another config's, weights are not finite, the disk is full.
    """
    index, count = shard
    drawn = range(recipe.num_blocks)
    with ThreadPoolExecutor(1) as writer:
        pending: Future[None] | None = None
        for number in drawn[index::count]:
            runs = recipe.drawn_runs(number)
            if not storage.is_stored(folder, number, recipe.made_from):
                snapshots = jax.block_until_ready(_train(recipe, number, runs, NO_AIM))
                if pending is not None:
                    pending.result()
                pending = writer.submit(_store, folder, recipe, number, runs, snapshots)
            on_block(len(runs))
        if pending is not None:
            pending.result()
    if not all(storage.is_stored(folder, number, recipe.made_from) for number in drawn):
        return False
    with storage.new_summary(folder) as summary:
        summary.update(_complete(folder, recipe, say))
    return True


def make_block(recipe: Recipe, number: int, runs: Numbers, aims: Numbers) -> Block:
    """Trains one block and keeps the snapshots that the protocol selects.

    Args:
      recipe: what to make.
      number: the block's.
      runs: [R], numbers of its runs.
      aims: combinations that the runs are aimed at in turn; -1 leaves a run as it is drawn.
    """
    return _select(recipe, number, runs, _train(recipe, number, runs, aims))


def _train(recipe: Recipe, number: int, runs: Numbers, aims: Numbers) -> train.Snapshots:
    config = recipe.config

    def plan(key: jax.Array, code: jax.Array) -> hyperparameters.Hyperparameters:
        drawn = hyperparameters.draw(key, config, recipe.forgettable, recipe.sizes[-1])
        return hyperparameters.aim(drawn, code, recipe.forgettable)

    plan_keys, train_keys, _ = recipe.run_keys(runs)
    order_key, _ = recipe.block_keys(number)
    return train.train_block(
        train_keys,
        order_key,
        jax.vmap(plan)(plan_keys, jnp.asarray(np.resize(aims, len(runs)), jnp.int32)),
        recipe.training,
        recipe.validation,
        devices=sharding.make_local(len(runs)),
        sizes=recipe.sizes,
        pixels=recipe.pixels,
        batch_size=config.batch_size,
        snapshots=config.snapshots,
        steps_per_snapshot=train.plan_steps(
            len(recipe.training.labels), config.batch_size, config.epochs, config.snapshots
        ),
        dtype=config.dtype,
    )


def _select(recipe: Recipe, number: int, runs: Numbers, snapshots: train.Snapshots) -> Block:
    config, forgettable = recipe.config, list(recipe.forgettable)
    losses, accuracies = np.asarray(snapshots.losses), np.asarray(snapshots.accuracies)  # [S, R, K]
    _, _, select_keys = recipe.run_keys(runs)
    _, caps_key = recipe.block_keys(number)
    masks = selection.candidates(select_keys, jnp.asarray(losses), jnp.asarray(accuracies), recipe.pivots, config)
    good, selected = (np.asarray(mask) for mask in masks)  # [S, R]
    codes = coverage.combination(accuracies, forgettable)  # [S, R]
    snapshot_ids, lanes = np.nonzero(selected)
    # the caps take no snapshot for being early
    priorities = np.asarray(jax.random.bits(caps_key, selected.shape))[snapshot_ids, lanes]
    order = np.argsort(priorities, kind="stable")
    if config.max_per_bin is not None:
        seen = losses[snapshot_ids[order], lanes[order]][:, forgettable]
        order = order[selection.within_bins(seen, config.bin_edges, config.max_per_bin)]
    if config.max_per_combination is not None:
        ordered = codes[snapshot_ids[order], lanes[order]]
        order = order[selection.within_combinations(ordered, config.max_per_combination)]
    order = np.sort(order)
    at = snapshot_ids[order], lanes[order]
    kinds = len(forgettable)
    return Block(
        weights=np.asarray(snapshots.weights)[at],
        losses=losses[at],
        accuracies=accuracies[at],
        run=runs[at[1]].astype(np.int32),
        progress=np.asarray(snapshots.progress)[at[0]],
        tally=np.stack([coverage.counts(each, kinds) for each in (codes, codes[good], codes[at])]),
    )


def _store(folder: Path, recipe: Recipe, number: int, runs: Numbers, snapshots: train.Snapshots) -> None:
    storage.write_block(folder, number, _select(recipe, number, runs, snapshots), recipe.made_from)


def _complete(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> dict[str, Any]:
    """Adds blocks for the combinations that fall short, as long as that helps; returns the zoo's summary."""
    config, number = recipe.config, recipe.num_blocks
    tallies = [storage.read_tally(folder, block) for block in range(number)]
    attempts: Counter[int] = Counter()
    classes = recipe.sizes[-1]
    hopeless = {code for code in range(len(tallies[0][KEPT])) if classes - code.bit_count() < config.min_learned}
    while True:
        totals = np.sum(tallies, axis=0)  # [3, 2^m]
        short = np.flatnonzero(totals[KEPT] < config.min_per_combination).tolist()
        hopeful = sorted((code for code in short if code not in hopeless), key=lambda code: attempts[code])
        aimed = hopeful[: config.runs_per_block]  # one run at least for each; those tried least come first
        if not aimed or number == recipe.num_blocks + config.max_added_blocks:
            break
        if not storage.is_stored(folder, number, recipe.made_from):
            say(f"block {number} is added: {len(aimed)} combinations have fewer than {config.min_per_combination}")
            block = make_block(recipe, number, recipe.added_runs(number), np.array(aimed))
            storage.write_block(folder, number, block, recipe.made_from)
        tallies.append(storage.read_tally(folder, number))
        attempts.update(aimed)
        hopeless |= {code for code in aimed if tallies[-1][KEPT, code] == 0}
        number += 1
    return {
        "made_from": dict(recipe.made_from),
        "blocks": number,
        "added_blocks": number - recipe.num_blocks,
        "checkpoints": int(totals[KEPT].sum()),
        "forgettable": list(recipe.forgettable),
        "trained": totals[TRAINED].tolist(),
        "good": totals[GOOD].tolist(),
        "kept": totals[KEPT].tolist(),
        "short": short,
    }
