"""What decides a zoo: its protocol, its random numbers, its images, and the plan of every run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.zoo import exposure, hyperparameters, storage, train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters

Numbers = np.ndarray[Any, Any]
NO_AIM = np.array([-1])
MOST_SETS = 256
"""Forget sets that clean runs are counted for, at most."""


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
      held_out: output positions of `zoo.held_out_sets`.
      made_from: JSON-ready values that stand for all of it, for the manifests.
    """

    config: ZooConfig
    key: jax.Array
    training: train.Images
    pixels: tuple[int, ...]
    validation: train.Images
    sizes: tuple[int, ...]
    pivots: tuple[int, ...]
    held_out: tuple[tuple[int, ...], ...]
    made_from: Mapping[str, Any]

    @property
    def forgettable(self) -> tuple[int, ...]:
        """Output positions of the classes that may be forgotten."""
        return tuple(position for position in range(self.sizes[-1]) if position not in self.pivots)

    @property
    def reachable(self) -> Numbers:
        """Codes of the combinations that a run may be aimed at: enough classes are low, and no set that is held out is high."""
        codes = np.arange(2 ** len(self.forgettable))
        high = codes[:, None] >> np.arange(len(self.forgettable)) & 1 == 1  # [2^m, m]
        never = np.zeros((len(codes), self.sizes[-1]), bool)
        never[:, list(self.forgettable)] = high
        learned = (~never).sum(1)
        return codes[(learned >= self.config.min_learned) & ~exposure.contains_one_of(never, self.held_out)]

    @property
    def clean_codes(self) -> Numbers:
        """Codes of the forget sets that clean runs are counted for, in rising order: all that the task allows, or 256 random ones."""
        codes = self.reachable[self.reachable > 0]
        codes = codes[codes < 2 ** self.sizes[-1] - 1]  # where there is no pivot: one class is retained
        if len(codes) <= MOST_SETS:
            return codes
        key = jax.random.fold_in(self.key, 2)
        return np.sort(np.asarray(jax.random.choice(key, jnp.asarray(codes), (MOST_SETS,), replace=False)))

    @property
    def num_blocks(self) -> int:
        """Blocks of drawn runs; the last may hold fewer. Blocks after them are added, for clean runs and then for combinations."""
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

    def plans(self, runs: Numbers, aims: Numbers) -> Hyperparameters:
        """Hyper-parameters of some runs: leaves [R, …].

        Args:
          runs: [R], their numbers.
          aims: combinations that the runs are aimed at in turn; -1 leaves a run as it is drawn.
        """

        def plan(key: jax.Array, code: jax.Array) -> Hyperparameters:
            drawn = hyperparameters.draw(key, self.config, self.forgettable, self.sizes[-1], self.held_out)
            return hyperparameters.aim(drawn, code, self.forgettable)

        plan_keys, _, _ = self.run_keys(runs)
        return jax.vmap(plan)(plan_keys, jnp.asarray(np.resize(aims, len(runs)), jnp.int32))

    def clean_aims(self) -> Numbers:
        """Codes [C, R] at which the runs of C added blocks are aimed, so that every forget set has `min_clean_runs` in the training part.

        The plans of the drawn runs alone decide it. The runs of a set are spread over the blocks; the last ones fill a block.
        """
        config, codes = self.config, self.clean_codes
        size, nothing = config.runs_per_block, np.zeros((0, config.runs_per_block), np.int64)
        if not config.min_clean_runs or not len(codes):
            return nothing
        runs = np.arange(config.runs, dtype=np.int32)
        runs = runs[~storage.is_held_out(runs, config.runs, config.validation_share)]
        plans, end = self.plans(runs, NO_AIM), np.ones(1, np.float32)
        planned = exposure.exposures(plans.keep_before, plans.keep_after, plans.deletion_time, jnp.asarray(end))[0]
        clean = exposure.clean_codes(np.asarray(planned), end, self.forgettable)  # [R]
        have = np.bincount(clean[clean >= 0], minlength=2 ** len(self.forgettable))[codes]
        lacking = np.repeat(codes, np.maximum(config.min_clean_runs - have, 0))
        blocks = -(-len(lacking) // size)
        filled = np.concatenate([lacking, np.resize(codes, blocks * size - len(lacking))])
        return filled.reshape(size, blocks).T if blocks else nothing
