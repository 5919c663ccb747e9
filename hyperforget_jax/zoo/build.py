"""From a config to a zoo on disk: block after block, each a function of (config, key, block), each resumable."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import num_weights
from hyperforget_jax.zoo import coverage, exposure, selection, storage, train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from hyperforget_jax.zoo.recipe import NO_AIM, Recipe
from hyperforget_jax.zoo.storage import Block

Numbers = np.ndarray[Any, Any]
TRAINED, GOOD, KEPT = range(3)
"""Rows of a block's tally."""


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
                plans = recipe.plans(runs, NO_AIM)
                snapshots = jax.block_until_ready(train_block(recipe, number, runs, plans, recipe.config.snapshots))
                if pending is not None:
                    pending.result()
                pending = writer.submit(_store, folder, recipe, number, runs, plans, snapshots)
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
    plans = recipe.plans(runs, aims)
    return _select(recipe, number, runs, plans, train_block(recipe, number, runs, plans, recipe.config.snapshots))


def train_block(recipe: Recipe, number: int, runs: Numbers, plans: Hyperparameters, snapshots: int) -> train.Snapshots:
    """Trains the runs of one block for as many steps as the recipe says, and keeps models at some moments.

    Args:
      recipe: what to make.
      number: the block's; it decides the order of the minibatches.
      runs: [R], numbers of its runs.
      plans: of these runs: leaves [R, …].
      snapshots: moments S, at regular distances; `zoo.snapshots`, or 1 for the end alone.
    """
    config = recipe.config
    steps = train.plan_steps(len(recipe.training.labels), config.batch_size, config.epochs, config.snapshots)
    _, train_keys, _ = recipe.run_keys(runs)
    order_key, _ = recipe.block_keys(number)
    return train.train_block(
        train_keys,
        order_key,
        plans,
        recipe.training,
        recipe.validation,
        devices=sharding.make_local(len(runs)),
        sizes=recipe.sizes,
        pixels=recipe.pixels,
        batch_size=config.batch_size,
        snapshots=snapshots,
        steps_per_snapshot=steps * config.snapshots // snapshots,
        dtype=config.dtype,
    )


def _select(recipe: Recipe, number: int, runs: Numbers, plans: Hyperparameters, snapshots: train.Snapshots) -> Block:
    config, forgettable = recipe.config, list(recipe.forgettable)
    losses, accuracies, exposures = (
        np.asarray(each) for each in (snapshots.losses, snapshots.accuracies, snapshots.exposures)
    )  # [S, R, K]
    progress = np.asarray(snapshots.progress)  # [S]
    _, _, select_keys = recipe.run_keys(runs)
    _, caps_key = recipe.block_keys(number)
    masks = selection.candidates(select_keys, jnp.asarray(losses), jnp.asarray(accuracies), recipe.pivots, config)
    shown = ~exposure.contains_one_of(exposures[-1] == 0.0, recipe.held_out)  # [R]
    good, selected = (np.asarray(mask) & shown for mask in masks)  # [S, R]
    if config.min_clean_runs:
        ends = exposure.clean_codes(exposures[-1], progress[-1:], forgettable) >= 0  # [R]
        always = good & ends & exposure.is_last(progress)[:, None]  # [S, R]
        selected |= always
    else:
        always = np.zeros_like(good)
    codes = coverage.combination(accuracies, forgettable)  # [S, R]
    snapshot_ids, lanes = np.nonzero(selected)
    # the caps take no snapshot for being early
    priorities = np.asarray(jax.random.bits(caps_key, selected.shape, jnp.uint32))[snapshot_ids, lanes]
    order = np.argsort(priorities, kind="stable")
    if config.max_per_bin is not None:
        seen = losses[snapshot_ids[order], lanes[order]][:, forgettable]
        order = order[selection.within_bins(seen, config.bin_edges, config.max_per_bin)]
    if config.max_per_combination is not None:
        ordered = codes[snapshot_ids[order], lanes[order]]
        order = order[selection.within_combinations(ordered, config.max_per_combination)]
    order = np.union1d(order, np.flatnonzero(always[snapshot_ids, lanes]))
    at = snapshot_ids[order], lanes[order]
    kinds = len(forgettable)
    return Block(
        weights=np.asarray(snapshots.weights)[at],
        losses=losses[at],
        accuracies=accuracies[at],
        run=runs[at[1]].astype(np.int32),
        progress=progress[at[0]],
        exposures=exposures[at],
        learning_rate=np.asarray(plans.learning_rate)[at[1]],
        tally=np.stack([coverage.counts(each, kinds) for each in (codes, codes[good], codes[at])]),
    )


def _store(
    folder: Path, recipe: Recipe, number: int, runs: Numbers, plans: Hyperparameters, snapshots: train.Snapshots
) -> None:
    storage.write_block(folder, number, _select(recipe, number, runs, plans, snapshots), recipe.made_from)


def _complete(folder: Path, recipe: Recipe, say: Callable[[str], None]) -> dict[str, Any]:
    """Adds blocks for clean runs, then for combinations that fall short as long as that helps; returns the zoo's summary."""
    config, first = recipe.config, recipe.num_blocks
    clean_aims = recipe.clean_aims()  # [C, R]
    for number, aims in enumerate(clean_aims, first):
        _add(folder, recipe, number, aims, f"forget sets have fewer than {config.min_clean_runs} clean runs", say)
    first = number = first + len(clean_aims)
    tallies = [storage.read_tally(folder, block) for block in range(number)]
    attempts: Counter[int] = Counter()
    hopeless = set(range(len(tallies[0][KEPT]))) - set(recipe.reachable.tolist())
    while True:
        totals = np.sum(tallies, axis=0)  # [3, 2^m]
        short = np.flatnonzero(totals[KEPT] < config.min_per_combination).tolist()
        hopeful = sorted((code for code in short if code not in hopeless), key=lambda code: attempts[code])
        aimed = hopeful[: config.runs_per_block]  # one run at least for each; those tried least come first
        if not aimed or number == first + config.max_added_blocks:
            break
        lacking = f"combinations have fewer than {config.min_per_combination}"
        _add(folder, recipe, number, np.array(aimed), lacking, say)
        tallies.append(storage.read_tally(folder, number))
        attempts.update(aimed)
        hopeless |= {code for code in aimed if tallies[-1][KEPT, code] == 0}
        number += 1
    return {
        "made_from": dict(recipe.made_from),
        "blocks": number,
        "added_blocks": number - first,
        "clean_blocks": len(clean_aims),
        "clean_codes": recipe.clean_codes.tolist(),
        "checkpoints": int(totals[KEPT].sum()),
        "forgettable": list(recipe.forgettable),
        "trained": totals[TRAINED].tolist(),
        "good": totals[GOOD].tolist(),
        "kept": totals[KEPT].tolist(),
        "short": short,
    }


def _add(folder: Path, recipe: Recipe, number: int, aims: Numbers, lacking: str, say: Callable[[str], None]) -> None:
    """Makes one added block, unless it is there; its runs are aimed at some codes in turn, which lack what the words say."""
    if not storage.is_stored(folder, number, recipe.made_from):
        say(f"block {number} is added: {len(np.unique(aims))} {lacking}")
        block = make_block(recipe, number, recipe.added_runs(number), aims)
        storage.write_block(folder, number, block, recipe.made_from)
