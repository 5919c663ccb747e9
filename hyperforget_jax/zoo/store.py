"""Where checkpoints live: one artefact per block of runs, plain `.npy` arrays, complete or absent."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hyperforget_jax import records
from hyperforget_jax.errors import HyperForgetError

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Zoo:
    """n checkpoints as parallel arrays.

    Attributes:
      weights: [n, P] float32, flattened as in `weights.layout`.
      losses: [n, K], cross-entropy in nats per class, on the labelling split.
      accuracies: [n, K].
      run: [n], the training run a checkpoint comes from.
      progress: [n], the share of that run that had passed.
    """

    weights: Floats
    losses: Floats
    accuracies: Floats
    run: Integers
    progress: Floats

    def __len__(self) -> int:
        return len(self.run)

    def take(self, chosen: np.ndarray[Any, Any]) -> "Zoo":
        """The checkpoints of a mask or of row numbers."""
        return Zoo(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def split(self, runs: int, validation_share: float) -> tuple["Zoo", "Zoo"]:
        """Training and validation part: the last runs are held out, whole runs at a time."""
        held_out = self.run >= round(runs * (1.0 - validation_share))
        return self.take(~held_out), self.take(held_out)


def block_folder(folder: Path, block: int) -> Path:
    """Place of one block in a zoo's folder."""
    return folder / f"block-{block:05d}"


def is_stored(folder: Path, block: int) -> bool:
    """Whether a block is on disk, whole."""
    return records.is_complete(block_folder(folder, block))


def write_block(folder: Path, block: int, zoo: Zoo, made_from: Mapping[str, Any]) -> None:
    """Writes the checkpoints of one block.

    Raises:
      HyperForgetError: NaN weights or losses, naming the block; disk full.
    """
    for name in ("weights", "losses"):
        if not np.isfinite(getattr(zoo, name)).all():
            raise HyperForgetError(
                f"block {block} of the zoo has {name} that are not finite: lower zoo.learning_rate"
            )
    with records.new_artefact(block_folder(folder, block), {**made_from, "block": block}) as place:
        for item in fields(zoo):
            np.save(place / f"{item.name}.npy", getattr(zoo, item.name), allow_pickle=False)


def read(folder: Path, blocks: int) -> Zoo:
    """Reads blocks 0..blocks-1 and verifies their checksums.

    Raises:
      HyperForgetError: a file is missing, truncated or changed.
    """
    parts: list[Zoo] = []
    for block in range(blocks):
        place = block_folder(folder, block)
        records.verify(place)
        parts.append(Zoo(*(np.load(place / f"{item.name}.npy", allow_pickle=False) for item in fields(Zoo))))
    return Zoo(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Zoo)))
