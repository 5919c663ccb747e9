"""What makes a hypernetwork good: tokens, objective, guidance and sampler of DiHyFo-2 on MNIST-4 (784-2-4), every combination from one zoo.

`python -m experiments.ablation --data.dir DIR` takes an hour on two CPU cores beside other jobs: one zoo, four trainings, 32 cells.

Chunks of 157 cut the 1,568 weights of layer 1 into ten tokens. A cell samples three batches of 60 models: 6 families x 10 prompts for
each of the two classes, and 20 models for each of the three forget sets.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from configs import mnist4_base as mnist4
from hyperforget_jax.config import (
    CodecConfig,
    Config,
    DiffusionConfig,
    EvaluationConfig,
    HypernetworkConfig,
    RequestConfig,
    SamplingConfig,
    TrainingConfig,
)
from hyperforget_jax.pipeline.workdir import workdir_path, zoo_path

Tokens = Literal["functional", "raw"]
Objective = Literal["x0", "v"]
Sampler = Literal["ddpm", "ddim"]


class Cell(NamedTuple):
    """One combination: a value of every axis."""

    tokens: Tokens
    objective: Objective
    guidance: float
    sampler: Sampler
    steps: int

    def __str__(self) -> str:
        """Its name; w is the guidance."""
        return f"{self.tokens} {self.objective} w {self.guidance:g} {self.sampler} {self.steps}"


@dataclass(frozen=True)
class Axes:
    """What varies; what the config says in these fields does not count."""

    tokens: tuple[Tokens, ...] = ("functional", "raw")
    """`codec.kind`."""
    objectives: tuple[Objective, ...] = ("x0", "v")
    """x0: predicted under equal weights (the paper's). v: predicted under min-SNR weights."""
    guidance: tuple[float, ...] = (1.0, 1.5)
    """`sampling.guidance_scale`; 1 is none."""
    samplers: tuple[tuple[Sampler, int], ...] = (("ddpm", 1000), ("ddim", 100), ("ddim", 25), ("ddim", 10))
    """`sampling.sampler` and `sampling.steps`."""

    def cells(self) -> list[Cell]:
        """Every combination; those of one training, which share tokens and objective, follow one another."""
        every = itertools.product(self.tokens, self.objectives, self.guidance, self.samplers)
        return [Cell(tokens, objective, scale, *sampler) for tokens, objective, scale, sampler in every]


def get_config() -> Config:
    """What the cells have in common; conditions are dropped in training, so that guidance is possible."""
    return replace(
        mnist4.get_config(),
        workdir="runs/ablation",
        codec=CodecConfig(basis_size=128, chunk_size=157),
        hypernetwork=HypernetworkConfig(hidden_size=192, depth=4),
        diffusion=DiffusionConfig(class_dropout=0.1, full_dropout=0.1),
        training=TrainingConfig(steps=1500, batch_size=256),
        sampling=SamplingConfig(batch_size=60, temperature=1.0),
        request=RequestConfig(samples=20, forget_levels=1, retain_quantiles=(0.05,), retain_factors=(1.0,)),
        evaluation=EvaluationConfig(alignment_prompts=10, alignment_families=6),
    )


def trained(base: Config, cell: Cell) -> Config:
    """The setting of a cell's training, in its own folder of the workdir; all share one zoo."""
    weighting: Literal["uniform", "min_snr"] = "uniform" if cell.objective == "x0" else "min_snr"
    return replace(
        base,
        workdir=str(workdir_path(base) / f"{cell.tokens}-{cell.objective}"),
        zoo=replace(base.zoo, folder=str(zoo_path(base))),
        codec=replace(base.codec, kind=cell.tokens),
        diffusion=replace(base.diffusion, prediction=cell.objective, weighting=weighting),
    )


def sampled(base: Config, cell: Cell) -> Config:
    """The setting of a cell: that of its training with its sampler."""
    sampling = replace(base.sampling, sampler=cell.sampler, steps=cell.steps, guidance_scale=cell.guidance)
    return replace(trained(base, cell), sampling=sampling)
