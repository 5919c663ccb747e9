"""Which tokens, objective, guidance and sampler make a hypernetwork good: every combination, from one zoo.

`python -m experiments.ablation --data.dir DIR`; `--config NAME` takes another file of configs/, any other argument overrides a field.

A training for each kind of tokens and objective, in its own folder of the workdir; `Axes` says what varies. Each cell is
one row of `ablation.jsonl`, written when it is done, and reused: prompt alignment (mean R^2 and Pearson) of every forgettable class; median
accuracy of unselected models on the retain and on the forget images of every forget set; seconds of a batch of `sampling.batch_size`
models. All on test images, with the same prompts and keys in every cell. Leaves `ablation.md` and `figures/ablation.*` too.
"""

import itertools
import sys
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from experiments.benchmarks import machine
from hyperforget_jax.cli import arguments as command
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import alignment, training, unlearning, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.sample_quality import measure
from hyperforget_jax.report import ablation_figures, figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts

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


def run(job: Run, axes: Axes) -> None:
    """Trains what is not trained, makes the cells that have no row yet; then the table and the figure."""
    known, held_out = pipeline_zoo.split_zoo(job)
    grids, candidates = alignment.grids(job, known), unlearning.candidate_prompts(job, known)
    prompts = np.stack(
        [tried[len(tried) // 2] for tried in candidates]
    )  # [S, K], the middle ones: no selection
    path = job.folder / "ablation.jsonl"
    stored = artifacts.read_rows(path) if path.exists() else []
    rows = {Cell(*(row[name] for name in Cell._fields)): row for row in stored}
    for _, cells in itertools.groupby(axes.cells(), lambda cell: (cell.tokens, cell.objective)):
        first, *others = cells
        config = trained(job.config, first)
        workdir.acquire_workdir(config)
        each = replace(job, config=config, folder=workdir.workdir_path(config))
        hypernetwork = training.train_hypernetwork(each, known, held_out)
        for cell in (first, *others):
            if cell in rows:
                job.console.print(f"{cell}: reused from {path}", highlight=False)
                continue
            asking = replace(each, config=sampled(job.config, cell))
            with job.timed(str(cell), resumes=False):
                found = measure(
                    asking, str(cell), training.generator_of(asking, hypernetwork), grids, prompts
                )
            rows[cell] = {**cell._asdict(), **found, "device": machine.name()}
            artifacts.write_rows(path, rows.values())
    table, pictures = [rows[cell] for cell in axes.cells()], job.folder / "figures"
    figures.save(ablation_figures.tradeoff(table), pictures, "ablation")
    artifacts.write_text(job.folder / "ablation.md", ablation_figures.page(table))
    lines = ({"cell": str(cell), **ablation_figures.summary(rows[cell])} for cell in axes.cells())
    job.console.print(listing([*lines]))
    job.console.print(f"table and figure: {job.folder / 'ablation.md'}")


def check(job: Run, axes: Axes) -> None:
    """Refuses a config that cannot serve every cell, before any work."""
    alignment.validate_metric(job)
    for cell in axes.cells():
        command.check(sampled(job.config, cell))


def trained(base: Config, cell: Cell) -> Config:
    """The setting of a cell's training, in its own folder of the workdir; all share one zoo."""
    weighting: Literal["uniform", "min_snr"] = "uniform" if cell.objective == "x0" else "min_snr"
    return replace(
        base,
        workdir=str(workdir.workdir_path(base) / f"{cell.tokens}-{cell.objective}"),
        zoo=replace(base.zoo, folder=str(workdir.zoo_path(base))),
        codec=replace(base.codec, kind=cell.tokens),
        diffusion=replace(base.diffusion, prediction=cell.objective, weighting=weighting),
    )


def sampled(base: Config, cell: Cell) -> Config:
    """The setting of a cell: that of its training with its sampler."""
    sampling = replace(base.sampling, sampler=cell.sampler, steps=cell.steps, guidance_scale=cell.guidance)
    return replace(trained(base, cell), sampling=sampling)


if __name__ == "__main__":
    arguments = ["--config", "ablation", *sys.argv[1:]]  # the last one counts
    sys.exit(
        command.main_of_config("ablation", partial(run, axes=Axes()), arguments, partial(check, axes=Axes()))
    )
