"""A zoo small enough to train in a test: four Gaussian classes, a 6-8-4 classifier, pivots 0 and 1, blocks of three runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.zoo import train
from hyperforget_jax.zoo.hyperparameters import NEVER, Hyperparameters
from hyperforget_jax.zoo.recipe import Recipe

SIZES = (6, 8, 4)
PIVOTS, FORGETTABLE = (0, 1), (2, 3)
CONFIG = ZooConfig(
    runs=7,
    runs_per_block=3,
    epochs=12.0,
    batch_size=20,
    snapshots=4,
    learning_rate=(5e-2, 8e-2),
    pivot_accuracy=0.5,
    min_clean_runs=0,
)
RUNS_OF_BLOCKS = [3, 3, 1]
STEPS_PER_SNAPSHOT = 9  # 60 images, so 3 minibatches an epoch; 36 steps in 4 parts
MADE_FROM = {"seed": 8, "zoo.runs": 7}


def blobs(seed: int, count: int) -> train.Images:
    """Four classes far apart, as many images of each."""
    noise = np.random.default_rng(seed)
    labels = noise.permutation(np.arange(count, dtype=np.int32) % 4)
    images = np.eye(6)[labels] + 0.1 * noise.normal(size=(count, 6))
    return train.Images(jnp.asarray(images, jnp.float32), jnp.asarray(labels))


TRAIN, VALIDATION = blobs(0, 60), blobs(1, 40)


def plan(
    keep: tuple[float, ...] = (1.0,) * 4, after: tuple[float, ...] | None = None, when: float = NEVER
) -> Hyperparameters:
    """A run with given keep rates, and others from a moment on."""
    late = keep if after is None else after
    return Hyperparameters(jnp.float32(0.05), jnp.array(keep), jnp.array(late), jnp.float32(when))


def recipe(made_from: Mapping[str, Any] = MADE_FROM, **changes: Any) -> Recipe:
    """How to make the small zoo, with changes to its config."""
    key = jax.random.key(8)
    config = replace(CONFIG, **changes)
    held_out = config.held_out_sets  # labels are positions
    return Recipe(config, key, *train.varying(TRAIN), VALIDATION, SIZES, PIVOTS, held_out, made_from)


def contents(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """Bytes of every file in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob(pattern) if path.is_file()}


def content(folder: Path) -> dict[str, bytes]:
    """Bytes of a zoo's arrays and of its summary: what must not depend on who made it, nor when."""
    return contents(folder, "*.npy") | contents(folder, "zoo.json")
