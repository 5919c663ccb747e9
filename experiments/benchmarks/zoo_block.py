"""A block of a zoo, which every contender of `experiments.benchmarks.zoo` trains: together, apart, its steps alone, its scoring alone."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Work
from hyperforget_jax import classifier
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime import prng, sharding
from hyperforget_jax.zoo import hyperparameters, train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from hyperforget_jax.zoo.train import Images, Snapshots


@dataclass(frozen=True)
class Block:
    """R runs on the same images.

    Attributes:
      training: what the models learn from.
      varying: the same, of the pixels that vary alone, which is what ours trains on.
      pixels: positions of these pixels.
      validation: what every checkpoint is scored on.
      sizes: width of every layer.
      batch_size: B.
      steps_per_snapshot: steps from one checkpoint of a run to the next.
      run_keys: [R], one typed key a run.
      order_key: key of the minibatch order and of the images' random words.
      plans: the runs' hyper-parameters, leaves [R, …].
    """

    training: Images
    varying: Images
    pixels: tuple[int, ...]
    validation: Images
    sizes: tuple[int, ...]
    batch_size: int
    steps_per_snapshot: int
    run_keys: jax.Array
    order_key: jax.Array
    plans: Hyperparameters

    @property
    def runs(self) -> int:
        """R."""
        return len(self.run_keys)

    def first(self, count: int) -> "Block":
        """The same of the first runs only."""
        few = jax.tree.map(lambda leaf: leaf[:count], self.plans)
        return replace(self, run_keys=jax.random.clone(self.run_keys)[:count], plans=few)

    def unscored(self) -> "Block":
        """The same with one validation image of each class, so that scoring costs next to nothing."""
        _, rows = np.unique(np.asarray(self.validation.labels), return_index=True)
        return replace(self, validation=Images(*(part[rows] for part in self.validation)))

    def keys(self) -> tuple[jax.Array, jax.Array]:
        """Keys of the runs and of the order; every call trains the same runs again."""
        return jax.random.clone(self.run_keys), jax.random.clone(self.order_key)

    def shape(self, snapshots: int) -> dict[str, Any]:
        """Keyword arguments of `train.train_runs`."""
        return {
            "sizes": self.sizes,
            "pixels": self.pixels,
            "batch_size": self.batch_size,
            "snapshots": snapshots,
            "steps_per_snapshot": self.steps_per_snapshot,
            "dtype": "float32",
        }


def block_of(run: Run) -> Block:
    """One block of a run's zoo."""
    plan_key, run_key, order_key = jax.random.split(prng.stream(run.config.seed, "bench_zoo"), 3)
    config, training = run.config.zoo, on_device(run.dataset.train)
    draw = partial(hyperparameters.draw, config=config, forgettable=run.forgettable, num_classes=run.sizes[-1])
    return Block(
        training,
        *train.varying(training),
        on_device(run.dataset.validation),
        run.sizes,
        config.batch_size,
        train.plan_steps(len(training.labels), config.batch_size, config.epochs, config.snapshots),
        jax.random.split(run_key, config.runs_per_block),
        order_key,
        jax.vmap(draw)(jax.random.split(plan_key, config.runs_per_block)),
    )


def train_together(block: Block, snapshots: int) -> Snapshots:
    """Trains and scores some snapshots of all runs on one device: `zoo.train.train_block`, as zoos are made with."""
    inputs = *block.keys(), block.plans, block.varying, block.validation
    return train.train_block(*inputs, devices=sharding.make_local(1), **block.shape(snapshots))


def train_apart(block: Block, snapshots: int) -> Snapshots:
    """The naive vmap: each run has minibatches of its own, so layer 1 is R small products. Arrays have a leading axis [R]."""
    run_keys, order_key = block.keys()
    orders = jax.random.split(order_key, block.runs)
    shape = tuple(block.shape(snapshots).items())
    return _vmapped(run_keys, orders, block.plans, block.varying, block.validation, shape=shape)


@partial(jax.jit, static_argnames="shape")
def _vmapped(
    run_keys: jax.Array,
    orders: jax.Array,
    plans: Hyperparameters,
    training: Images,
    validation: Images,
    shape: tuple[tuple[str, Any], ...],
) -> Snapshots:
    def one(run_key: jax.Array, order_key: jax.Array, plan: Hyperparameters) -> Snapshots:
        alone = jax.tree.map(lambda leaf: leaf[None], plan)  # leaves [1, …]
        return train.train_runs(run_key[None], order_key, alone, training, validation, **dict(shape))

    return jax.vmap(one)(run_keys, orders, plans)


def scoring(block: Block) -> Work:
    """Scores all runs' models once."""
    models = jax.vmap(train.start, in_axes=(0, None))(block.keys()[0], block.sizes).params
    return lambda: classifier.class_scores_of_many(models, *block.validation)
