"""How many sampling steps a hypernetwork needs: `python -m experiments.sampling_steps --config mnist4_dihyfo2 --data.dir DIR`.

    --config NAME       a file of configs/

Any other argument overrides a config field. Samples the workdir's hypernetwork, made if it is missing, with the paper's sampler and with
shorter ones, from the same noise and the prompts that `hyperforget_jax.pipeline.end_to_end` chose on validation: median accuracies of
`request.samples` unselected models on test images, and models a second. Each sampler is one row of `samplers.jsonl`, written when it
is done, and reused. Leaves `samplers.md` and `figures/samplers.*` too.
"""

import sys
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from experiments.benchmarks import machine
from hyperforget_jax.cli import arguments
from hyperforget_jax.pipeline import alignment, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.sample_quality import measure
from hyperforget_jax.report import figures, samplers
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts

Sampler = tuple[Literal["ddpm", "ddim"], int]
SAMPLERS: tuple[Sampler, ...] = (
    ("ddpm", 1000),
    ("ddim", 100),
    ("ddim", 50),
    ("ddim", 25),
    ("ddim", 10),
    ("ddim", 5),
)
"""`sampling.sampler` and `sampling.steps`; the first is what the others are held against."""


def run(job: Run, tried: tuple[Sampler, ...]) -> None:
    """Samples with every sampler that has no row yet; then the table and the figure."""
    known, held_out = pipeline_zoo.split_zoo(job)
    candidates = unlearning.candidate_prompts(job, known)
    hypernetwork = training.train_hypernetwork(
        job, known, held_out, alignment.watch(job, alignment.grids(job, known))
    )
    answers = unlearning.unlearn_all(job, candidates, training.generator_of(job, hypernetwork))
    prompts = np.stack([answer.prompt for answer in answers])  # [S, K]
    path = job.folder / "samplers.jsonl"
    rows = {
        (row["sampler"], row["steps"]): row for row in (artifacts.read_rows(path) if path.exists() else [])
    }
    for sampler, steps in tried:
        if (sampler, steps) in rows:
            job.console.print(f"{sampler} {steps}: reused from {path}", highlight=False)
            continue
        asking = _asking(job, sampler, steps)
        found = measure(
            asking, f"{sampler} {steps}", training.generator_of(asking, hypernetwork), {}, prompts
        )
        rows[sampler, steps] = {"sampler": sampler, "steps": steps, **found, "device": machine.name()}
        artifacts.write_rows(path, rows.values())
    table = [rows[sampler] for sampler in tried]
    figures.save(samplers.cost(table), job.folder / "figures", "samplers")
    artifacts.write_text(job.folder / "samplers.md", samplers.page(table))
    told = ("sampler", "most lost", *samplers.SPEEDS)
    job.console.print(listing([{name: line[name] for name in told} for line in samplers.summary(table)]))
    job.console.print(f"table and figure: {job.folder / 'samplers.md'}")


def check(job: Run, tried: tuple[Sampler, ...]) -> None:
    """Refuses a config that cannot serve every sampler, before any work."""
    alignment.validate_metric(job)
    for sampler, steps in tried:
        arguments.check(_asking(job, sampler, steps).config)


def _asking(job: Run, sampler: Literal["ddpm", "ddim"], steps: int) -> Run:
    """The run with one of the samplers."""
    sampling = replace(job.config.sampling, sampler=sampler, steps=steps)
    return replace(job, config=replace(job.config, sampling=sampling))


if __name__ == "__main__":
    work, refuse = partial(run, tried=SAMPLERS), partial(check, tried=SAMPLERS)
    sys.exit(arguments.main_of_config("samplers", work, sys.argv[1:], refuse))
