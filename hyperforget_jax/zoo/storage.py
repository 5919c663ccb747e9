"""Where checkpoints live: one artifact per block of runs, plain `.npy` arrays, complete or absent, read through memory maps.

zoo/zoo.json                    once every block is there: what it was made from, number of blocks, coverage
zoo/block-00000/manifest.json   what the block was made from, bytes and SHA-256 of every file
                weights.npy     [n, P] float32 or float16; bfloat16 as its upper 16 bits of a float32, uint16
                losses.npy      [n, K] float32, nats
                accuracies.npy  [n, K] float32
                run.npy         [n] int32
                progress.npy    [n] float32
                exposures.npy   [n, K] float32, shares of a full run
                learning_rate.npy [n] float32
                tally.npy       [3, 2^m] int64: snapshots trained, good enough, kept, per high/low combination
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import chex
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.zoo.memmap import Rows, release

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int32]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
FORMAT = 2
SUMMARY = "zoo.json"


@dataclass(frozen=True)
class Block:
    """The n checkpoints of one block, as they are stored; see the module's table."""

    weights: np.ndarray[Any, Any]
    losses: Floats
    accuracies: Floats
    run: Integers
    progress: Floats
    exposures: Floats
    learning_rate: Floats
    tally: Counts


@dataclass(frozen=True)
class Zoo:
    """n checkpoints as parallel arrays.

    Attributes:
      weights: n rows of P, flattened as in `weights.layout`; they stay on disk until they are read.
      losses: [n, K], cross-entropy in nats per class, on the labelling split; NaN of a class that was purged.
      accuracies: [n, K]; NaN likewise.
      run: [n], the training run a checkpoint comes from.
      progress: [n], the share of that run that had passed.
      exposures: [n, K], how much of each class the run had used by then, as a share of a full run; exactly 0: it never saw the class.
      learning_rate: [n], Adam's step size at the start of that run.
    """

    weights: Rows
    losses: Floats
    accuracies: Floats
    run: Integers
    progress: Floats
    exposures: Floats
    learning_rate: Floats

    def __len__(self) -> int:
        return len(self.run)

    def take(self, chosen: np.ndarray[Any, Any]) -> "Zoo":
        """The checkpoints of a mask or of row numbers."""
        return Zoo(*(getattr(self, item.name)[chosen] for item in fields(self)))

    def spaced(self, count: int) -> "Zoo":
        """At most `count` checkpoints, spaced evenly over the zoo from its first on; all of them if there are no more."""
        number = min(count, len(self))
        return self.take(np.arange(number) * len(self) // number)  # [number]

    def split(self, runs: int, validation_share: float) -> tuple["Zoo", "Zoo"]:
        """Training and validation part: the last of the drawn runs are held out, whole runs at a time.

        Args:
          runs: runs drawn at random, `ZooConfig.runs`; those added after them, aimed at a combination, are all for training.
          validation_share: share of the drawn runs that is held out.
        """
        is_val = is_held_out(self.run, runs, validation_share)
        return self.take(~is_val), self.take(is_val)


def is_held_out(run: Integers, runs: int, validation_share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which runs [n] are of the validation part; `Zoo.split` has the meaning of the arguments."""
    return (run >= round(runs * (1.0 - validation_share))) & (run < runs)


def block_folder(folder: Path, block: int) -> Path:
    """Place of one block in a zoo's folder."""
    return folder / f"block-{block:05d}"


def write_block(folder: Path, number: int, block: Block, made_from: Mapping[str, Any]) -> None:
    """Writes the checkpoints of one block.

    Raises:
      HyperForgetError: NaN weights or losses, naming the block and a run; disk full.
    """
    block_path = block_folder(folder, number)
    chex.assert_equal_shape_prefix([getattr(block, item.name) for item in fields(Zoo)], 1)
    _check_finite(block_path, block, "lower zoo.learning_rate")
    with artifacts.new_artifact(block_path, {**made_from, "format": FORMAT, "block": number}) as partial:
        for item in fields(block):
            values = getattr(block, item.name)
            np.save(
                partial / f"{item.name}.npy",
                values.view(np.uint16) if values.dtype == jnp.bfloat16 else values,
                allow_pickle=False,
            )


def is_stored(folder: Path, number: int, made_from: Mapping[str, Any]) -> bool:
    """Whether a block is on disk, whole.

    Raises:
      HyperForgetError: it was made by another config (names the fields that differ) or another version of the format.
    """
    block_path = block_folder(folder, number)
    if not artifacts.is_complete(block_path):
        return False
    _check_origin(block_path, artifacts.manifest(block_path)["made_from"], made_from)
    return True


def read_block(folder: Path, number: int, made_from: Mapping[str, Any]) -> Block:
    """Opens one block, its weights memory-mapped, after every file has been held against its checksum.

    Raises:
      HyperForgetError: a file is missing, truncated, changed or not finite; another config's or format's.
    """
    block_path = block_folder(folder, number)
    manifest = artifacts.verify(block_path)
    _check_origin(block_path, manifest["made_from"], made_from)
    block = _open(block_path)
    _check_finite(block_path, block, "delete the block and run again to rebuild it")
    release(block.weights)
    return block


def read_tally(folder: Path, number: int) -> Counts:
    """Snapshots [3, 2^m] of a block per high/low combination: trained, good enough, kept."""
    tally: Counts = np.load(block_folder(folder, number) / "tally.npy", allow_pickle=False)
    return tally


@contextlib.contextmanager
def new_summary(folder: Path) -> Iterator[dict[str, Any]]:
    """What to fill with a zoo's summary; the zoo is complete when the block ends well. Another process that completes it is waited for."""
    summary: dict[str, Any] = {"format": FORMAT}
    with artifacts.new_text(folder / SUMMARY) as file:
        yield summary
        file.write(json.dumps(records.sealed(summary), indent=2, allow_nan=False) + "\n")


def read_summary(folder: Path) -> dict[str, Any] | None:
    """A complete zoo's summary; None while blocks are missing, also those deleted since.

    Raises:
      HyperForgetError: it is damaged.
    """
    try:
        remedy = "delete it and run again: it is made anew from the blocks"
        summary = records.read(folder / SUMMARY, remedy, {"format": int, "made_from": dict, "blocks": int})
    except (FileNotFoundError, NotADirectoryError):
        return None
    block_paths = (block_folder(folder, number) for number in range(summary["blocks"]))
    return summary if all(artifacts.is_complete(block_path) for block_path in block_paths) else None


def read(folder: Path, made_from: Mapping[str, Any]) -> Zoo:
    """Opens a complete zoo and verifies it.

    Args:
      folder: the zoo's place.
      made_from: what it must have been made from.

    Raises:
      HyperForgetError: blocks are missing, harmed, or another config's.
    """
    summary = read_summary(folder)
    if summary is None:
        raise HyperForgetError(f"{folder} holds no complete zoo: run the experiment that makes it again")
    _check_origin(folder, summary["made_from"] | {"format": summary["format"]}, made_from)
    blocks = [read_block(folder, number, made_from) for number in range(summary["blocks"])]
    return Zoo(
        Rows([block.weights for block in blocks]),
        *(
            np.concatenate([getattr(block, item.name) for block in blocks])
            for item in fields(Zoo)
            if item.name != "weights"
        ),
    )


def _open(block_path: Path) -> Block:
    """A block's arrays as they are, its weights memory-mapped."""
    arrays = {
        item.name: np.load(
            block_path / f"{item.name}.npy", mmap_mode="r" if item.name == "weights" else None, allow_pickle=False
        )
        for item in fields(Block)
    }
    if arrays["weights"].dtype == np.uint16:
        arrays["weights"] = arrays["weights"].view(jnp.bfloat16)
    return Block(**arrays)


def _check_origin(block_path: Path, theirs: Mapping[str, Any], made_from: Mapping[str, Any]) -> None:
    if theirs.get("format") != FORMAT:
        raise HyperForgetError(
            f"{block_path} has format {theirs.get('format')}, this version reads {FORMAT}: choose another folder or delete it"
        )
    differing = [name for name, value in made_from.items() if theirs.get(name) != value]
    if differing:
        differences = ", ".join(f"{name}: {theirs.get(name)} there, {made_from[name]} here" for name in differing)
        raise HyperForgetError(
            f"{block_path} was made by another config ({differences}): choose another zoo.folder or workdir"
        )


def _check_finite(block_path: Path, block: Block, remedy: str) -> None:
    measured = ~np.isnan(block.accuracies).all(
        0
    )  # [K]; accuracies of a purged class are NaN, those of spoilt models are not
    for name, values in (("weights", block.weights), ("losses", block.losses[:, measured])):
        for start in range(0, len(values), 4096):
            fine = np.isfinite(values[start : start + 4096]).all(1)
            if not fine.all():
                run = block.run[start + int(np.argmin(fine))]
                raise HyperForgetError(f"{block_path} has {name} of run {run} that are not finite: {remedy}")
