"""What stays of a zoo when some classes shall have had no influence on it: the runs that never saw them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo import coverage, storage
from hyperforget_jax.zoo.build import KEPT
from hyperforget_jax.zoo.exposure import Mask
from hyperforget_jax.zoo.storage import Block, Integers, Zoo


class Kept(NamedTuple):
    """What a purge keeps of a zoo, told by where it comes from.

    Attributes:
      runs: block, number, and stored checkpoints of every run that is kept.
      removed: runs with stored checkpoints that are not kept.
    """

    runs: list[dict[str, int]]
    removed: int

    @property
    def numbers(self) -> Integers:
        """Numbers of the runs that are kept."""
        return np.array([each["run"] for each in self.runs], np.int32)


def never_saw(block: Block, positions: Sequence[int]) -> Mask:
    """Checkpoints [n] of the runs that have not used one image of some classes, given by output positions, at any stored moment."""
    exposed = (block.exposures[:, list(positions)] != 0.0).any(1)  # [n]; NaN is no evidence
    return ~np.isin(block.run, block.run[exposed])


def kept_runs(source: Path, made_from: Mapping[str, Any], positions: Sequence[int]) -> Kept:
    """The runs that a purge of a complete zoo keeps.

    Blocks that were added because combinations of losses fell short are left out: such losses, the classes' own among them, decided that
    they exist.

    Args:
      source: the zoo's place.
      made_from: what it was made from.
      positions: output positions of the classes.

    Raises:
      HyperForgetError: the zoo is missing, damaged or another config's.
    """
    runs, stored = list[dict[str, int]](), 0
    summary = _summary(source)
    for number in range(summary["blocks"]):
        block = storage.read_block(source, number, made_from)
        stored += len(np.unique(block.run))
        if number < summary["blocks"] - summary["added_blocks"]:
            counted = zip(*np.unique(block.run[never_saw(block, positions)], return_counts=True), strict=True)
            runs += [{"block": number, "run": int(run), "checkpoints": int(count)} for run, count in counted]
    return Kept(runs, stored - len(runs))


def purge_zoo(
    source: Path,
    source_made_from: Mapping[str, Any],
    target: Path,
    made_from: Mapping[str, Any],
    positions: Sequence[int],
) -> None:
    """Writes a zoo of the runs that never saw some classes; blocks that are there are left as they are.

    Losses and accuracies on these classes were measured on their images: they become NaN.

    Args:
      source: a complete zoo; it stays as it is.
      source_made_from: what it was made from.
      target: the new zoo's place.
      made_from: what the new zoo stands for.
      positions: output positions of the classes.

    Raises:
      HyperForgetError: the zoo is missing, damaged or another config's; disk full.
    """
    summary, tallies = _summary(source), []
    blocks = summary["blocks"] - summary["added_blocks"]
    for number in range(blocks):
        if not storage.is_stored(target, number, made_from):
            block = storage.read_block(source, number, source_made_from)
            storage.write_block(target, number, _purged(block, positions, summary["forgettable"]), made_from)
        tallies.append(storage.read_tally(target, number))
    totals = np.sum(tallies, axis=0).tolist()  # [3, 2^m]
    bits = coverage.code_of(positions, summary["forgettable"])
    with storage.new_summary(target) as purged:
        purged.update(
            made_from=dict(made_from),
            blocks=blocks,
            added_blocks=0,
            clean_blocks=summary["clean_blocks"],
            clean_codes=[code for code in summary["clean_codes"] if code & bits == bits],
            checkpoints=sum(totals[KEPT]),
            forgettable=summary["forgettable"],
            **dict(zip(("trained", "good", "kept"), totals, strict=True)),
            short=[],
        )


def _summary(source: Path) -> dict[str, Any]:
    summary = storage.read_summary(source)
    if summary is None:
        raise HyperForgetError(f"{source} holds no complete zoo, and a purge keeps runs of it: restore it")
    return summary


def _purged(block: Block, positions: Sequence[int], forgettable: Sequence[int]) -> Block:
    """The rows of a block that stay; its tally counts these alone."""
    rows = never_saw(block, positions)  # [n]
    values = {item.name: np.asarray(getattr(block, item.name))[rows] for item in fields(Zoo)}
    for name in ("losses", "accuracies"):
        values[name][:, list(positions)] = np.nan
    codes = coverage.combination(values["accuracies"], forgettable)
    return Block(**values, tally=np.tile(coverage.counts(codes, len(forgettable)), (3, 1)))
