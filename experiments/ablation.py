"""Which tokens, objective, guidance and sampler make a hypernetwork good: every combination, from one zoo.

`python -m experiments.ablation --data.dir DIR`; `--config NAME` takes another file of configs/, any other argument overrides a field.

A training for each kind of tokens and objective, in its own folder of the workdir; `configs.ablation.Axes` tells what varies. Each cell is
one row of `ablation.jsonl`, written when it is done, and reused: prompt alignment (mean R^2 and Pearson) of every forgettable class; median
accuracy of unselected models on the retain and on the forget images of every forget set; seconds of a batch of `sampling.batch_size`
models. All on test images, with the same prompts and keys in every cell. Leaves `ablation.md` and `figures/ablation.*` too.
"""

import itertools
import sys
from dataclasses import replace
from functools import partial

import numpy as np

from configs.ablation import Axes, Cell, sampled, trained
from experiments.benchmarks import machine
from hyperforget_jax.cli import arguments as command
from hyperforget_jax.pipeline import alignment, training, unlearning, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.sample_quality import measure
from hyperforget_jax.report import ablation_figures, figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts


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


if __name__ == "__main__":
    arguments = ["--config", "ablation", *sys.argv[1:]]  # the last one counts
    sys.exit(
        command.main_of_config("ablation", partial(run, axes=Axes()), arguments, partial(check, axes=Axes()))
    )
