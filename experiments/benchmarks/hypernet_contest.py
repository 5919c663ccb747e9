"""Training and sampling of ours and of PyTorch in the same rounds, and how a step's cost grows, one size varied at a time."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks import clock, contest, flops, growth, machine
from experiments.benchmarks.clock import Piece, Timing
from experiments.benchmarks.hypernet import Setting
from experiments.benchmarks.pieces import HypernetPieces
from hyperforget_jax.weights.basis import Basis
from hyperforget_jax.weights.codec import Functional

Table = list[dict[str, Any]]
Sides = Mapping[str, ModuleType]
"""Name to module, `hypernet` and perhaps `torch_hypernet`; each has `training` and `sampling`."""


class Work(NamedTuple):
    """A piece of work, the steps or models that it makes, and the FLOPs of its products."""

    piece: Piece
    made: int
    flops: int


class Size(NamedTuple):
    """What may vary."""

    width: int
    tokens: int
    batch_size: int


def hold(
    setting: Setting, pieces: HypernetPieces, sides: Sides, on_round: Callable[[int], None]
) -> dict[str, Any]:
    """Times training and sampling of every side.

    Args:
      setting: the hypernetwork.
      pieces: how much is timed.
      sides: who takes part.
      on_round: called with 1 after every round.

    Returns:
      JSON-ready: how the sides compare, and the figures of every contender. Rates are those of the best turn.
    """
    field = {
        **{f"{name}_training": training(side, setting, pieces) for name, side in sides.items()},
        **{f"{name}_sampling": sampling(side, setting) for name, side in sides.items()},
        **products(setting, pieces),
    }
    timings, peak = timed(field, pieces.rounds, pieces.seconds, on_round)
    found = {name: figures(each, timings[name], peak) for name, each in field.items()}
    return {
        "training_ours_over_torch": over(timings, "ours_training", "torch_training"),
        "sampling_ours_over_torch": over(timings, "ours_sampling", "torch_sampling"),
        "training_share_of_peak": found["ours_training"]["share_of_peak"],
        "sampling_share_of_peak": found["ours_sampling"]["share_of_peak"],
        "peak_gflops_per_second": peak / 1e9,
        "contenders": found,
    }


def training(side: ModuleType, setting: Setting, pieces: HypernetPieces) -> Work:
    """Optimiser steps of one side."""
    steps = pieces.cpu_steps if machine.is_cpu() else pieces.accelerator_steps
    per_step = 3 * setting.config.training.batch_size * forward(setting)
    return Work(side.training(setting, steps), steps, steps * per_step)


def sampling(side: ModuleType, setting: Setting) -> Work:
    """A batch of sampled models of one side; guidance takes two passes a step."""
    config = setting.config.sampling
    passes = config.steps * (1 if config.guidance_scale == 1.0 else 2)
    return Work(side.sampling(setting), config.batch_size, config.batch_size * passes * forward(setting))


def products(setting: Setting, pieces: HypernetPieces) -> dict[str, Work]:
    """Square products of the type that the transformer computes in."""
    found = contest.products(pieces, setting.config.hypernetwork.dtype)
    return {name: Work(each.piece, 1, each.flops) for name, each in found.items()}


def forward(setting: Setting) -> int:
    """FLOPs of one forward pass for one model."""
    return flops.transformer(setting.config.hypernetwork, setting.layout, setting.num_losses)


def timed(
    field: Mapping[str, Work], rounds: int, seconds: float, on_round: Callable[[int], None]
) -> tuple[dict[str, Timing], float]:
    """Timings of everyone in a field with products, and the peak in FLOP/s."""
    work = {name: each.piece for name, each in field.items()}
    timings = clock.alternate(work, rounds, seconds, on_round)
    return timings, contest.peak_of(field, timings)


def over(timings: Mapping[str, Timing], ours: str, theirs: str) -> float | None:
    """How many times faster one is than the other; None if the other does not take part."""
    return timings[theirs].best / timings[ours].best if theirs in timings else None


def figures(work: Work, timing: Timing, peak: float) -> dict[str, float]:
    """What is told of a contender: steps, models or products a second, and milliseconds for each."""
    rate = work.flops / timing.best
    return {
        "per_second": work.made / timing.best,
        "ms_each": timing.best / work.made * 1e3,
        "gflops_per_second": rate / 1e9,
        "share_of_peak": rate / peak,
        "spread": timing.spread,
    }


def sizes(pieces: HypernetPieces) -> dict[str, list[Size]]:
    """What is varied to the sizes of its table."""
    ranges = pieces.growth_width, pieces.growth_tokens, pieces.growth_batch
    return growth.varied(Size(*pieces.growth_from), ranges)


def grow(
    setting: Setting, pieces: HypernetPieces, sides: Sides, on_round: Callable[[int], None]
) -> dict[str, Table]:
    """Times training steps of every size in the same rounds.

    Args:
      setting: gives everything that does not vary.
      pieces: what is varied and how much is timed.
      sides: who takes part.
      on_round: called with 1 after every round.

    Returns:
      What is varied to its table: rows with the varied value, milliseconds per step of each side, how many times faster ours is if
      PyTorch takes part, and the share of the peak and the spread of ours.
    """
    tables = sizes(pieces)
    field = {
        f"{name} {size}": training(side, resized(setting, size), pieces)
        for size in sorted(set().union(*tables.values()))
        for name, side in sides.items()
    }
    field |= products(setting, pieces)
    timings, peak = timed(field, pieces.growth_rounds, pieces.seconds, on_round)

    def row(varied: str, size: Size) -> dict[str, Any]:
        told = {name: figures(field[f"{name} {size}"], timings[f"{name} {size}"], peak) for name in sides}
        return {
            varied: getattr(size, varied),
            **{f"{name}_ms_per_step": each["ms_each"] for name, each in told.items()},
            **(
                {"ours_over_torch": over(timings, f"ours {size}", f"torch {size}")}
                if "torch" in sides
                else {}
            ),
            "share_of_peak": told["ours"]["share_of_peak"],
            "spread": told["ours"]["spread"],
        }

    return {varied: [row(varied, size) for size in table] for varied, table in tables.items()}


def resized(setting: Setting, size: Size) -> Setting:
    """The setting at another size; its tokens are those of one hidden layer, whatever the codec."""
    config, classes = setting.config, setting.codec.sizes[-1]
    blank = np.zeros((config.codec.basis_size, 2), np.float32)
    coder = Functional((1, size.tokens - 1, classes), Basis(blank, blank.T), blank[:1, :1], blank[:1, :1])
    resized = replace(
        config,
        hypernetwork=replace(config.hypernetwork, hidden_size=size.width),
        training=replace(config.training, batch_size=size.batch_size, grad_accum_steps=1),
    )
    return replace(setting, config=resized, codec=coder)
