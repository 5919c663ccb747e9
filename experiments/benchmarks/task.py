"""What every contender trains."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime import prng
from hyperforget_jax.zoo import hyperparameters, train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from hyperforget_jax.zoo.train import Images


@dataclass(frozen=True)
class Task:
    """R runs on the same images.

    Attributes:
      training: what the models learn from.
      varying: the same, of the pixels that vary alone, which is what ours trains on.
      pixels: places of these pixels.
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

    def first(self, count: int) -> "Task":
        """The same of the first runs only."""
        few = jax.tree.map(lambda leaf: leaf[:count], self.plans)
        return replace(self, run_keys=jax.random.clone(self.run_keys)[:count], plans=few)

    def unscored(self) -> "Task":
        """The same with one validation image of each class, so that scoring costs next to nothing."""
        _, rows = np.unique(np.asarray(self.validation.labels), return_index=True)
        return replace(self, validation=Images(*(part[rows] for part in self.validation)))

    def keys(self) -> tuple[jax.Array, jax.Array]:
        """Keys of the runs and of the order; every piece trains the same runs again."""
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


def make(
    key: jax.Array,
    config: ZooConfig,
    training: Images,
    validation: Images,
    sizes: tuple[int, ...],
    forgettable: tuple[int, ...],
) -> Task:
    """A block of a zoo.

    Args:
      key: a typed key.
      config: the protocol, and the size of a block.
      training: training split.
      validation: validation split.
      sizes: width of every layer.
      forgettable: output positions of the classes that may be forgotten.
    """
    plan_key, run_key, order_key = jax.random.split(key, 3)
    plans = jax.vmap(lambda each: hyperparameters.draw(each, config, forgettable, sizes[-1]))(
        jax.random.split(plan_key, config.runs_per_block)
    )
    return Task(
        training,
        *train.varying(training),
        validation,
        sizes,
        config.batch_size,
        train.plan_steps(len(training.labels), config.batch_size, config.epochs, config.snapshots),
        jax.random.split(run_key, config.runs_per_block),
        order_key,
        plans,
    )


def of(run: Run) -> Task:
    """One block of a setting, at the setting's own size."""
    key = prng.stream(run.config.seed, "bench_zoo")
    splits = on_device(run.dataset.train), on_device(run.dataset.validation)
    return make(key, run.config.zoo, *splits, run.sizes, run.forgettable)
