"""How many sampling steps a hypernetwork needs: `python -m experiments.sampling_steps --config mnist4_dihyfo2 --data.dir DIR`.

    --config NAME       a file of configs/

Any other argument overrides a config field. Samples the workdir's hypernetwork, made if it is missing, with the paper's sampler and with
shorter ones, from the same noise and the prompts that `hyperforget_jax.pipeline.end_to_end` chose on validation: median accuracies of
`request.samples` unselected models on test images, and models a second. Each sampler is one row of `samplers.jsonl`, written when it
is done, and reused. Leaves `samplers.md` and `figures/samplers.*` too.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.pipeline import alignment, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, validate_run_config
from hyperforget_jax.pipeline.sample_quality import measure
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.style import INK, WIDTH, styled
from hyperforget_jax.report.tables import Row, braces, markdown, number
from hyperforget_jax.runtime import artifacts, machine

Name = Literal["ddpm", "ddim", "dpm"]
Sampler = tuple[Name, int]
SAMPLERS: tuple[Sampler, ...] = (
    *(("ddpm", 1000), ("ddim", 100), ("ddim", 50)),
    *(("ddim", 25), ("dpm", 25), ("ddim", 10), ("dpm", 10), ("ddim", 5), ("dpm", 5)),
)
"""`sampling.sampler` and `sampling.steps`; the first is what the others are held against."""
SPEEDS = ("models a second", "times as fast")
"""Columns with one decimal."""


def run(job: Run, samplers: tuple[Sampler, ...]) -> None:
    """Samples with every sampler that has no row yet; then the table and the figure."""
    train_zoo, val_zoo = pipeline_zoo.split_zoo(job)
    unlearning.validate_served(job, train_zoo)
    model = training.train_hypernetwork(job, train_zoo, val_zoo, alignment.watch(job, alignment.grids(job, train_zoo)))
    hypernetwork = replace(model.hypernetwork, student=None)  # `experiments.student` holds a student against it
    results = unlearning.unlearn_all(job, model, training.generator_of(job, hypernetwork))
    prompts = np.stack([result.prompt for result in results])  # [S, K]
    path = job.folder / "samplers.jsonl"
    rows = {(row["sampler"], row["steps"]): row for row in (artifacts.read_rows(path) if path.exists() else [])}
    for sampler, steps in samplers:
        if (sampler, steps) in rows:
            job.console.print(f"{sampler} {steps}: reused from {path}", highlight=False)
            continue
        sampler_run = _with_sampler(job, sampler, steps)
        quality = measure(
            sampler_run, f"{sampler} {steps}", training.generator_of(sampler_run, hypernetwork), {}, prompts
        )
        rows[sampler, steps] = {"sampler": sampler, "steps": steps, **quality, "device": machine.name()}
        artifacts.write_rows(path, rows.values())
    table = [rows[sampler] for sampler in samplers]
    figures.save(speed_figure(table), job.folder / "figures", "samplers")
    artifacts.write_text(job.folder / "samplers.md", page(table))
    columns = ("sampler", "most lost", *SPEEDS)
    job.console.print(listing([{name: line[name] for name in columns} for line in summary(table)]))
    job.console.print(f"table and figure: {job.folder / 'samplers.md'}")


def validate(job: Run, samplers: tuple[Sampler, ...]) -> None:
    """Refuses a config that cannot serve every sampler, before any work."""
    alignment.validate_metric(job)
    for sampler, steps in samplers:
        validate_run_config(_with_sampler(job, sampler, steps).config)


def _with_sampler(job: Run, sampler: Name, steps: int) -> Run:
    """The run with one of the samplers."""
    sampling = replace(job.config.sampling, sampler=sampler, steps=steps)
    return replace(job, config=replace(job.config, sampling=sampling))


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per sampler: accuracies, the most that retain accuracy falls below the first row's on any forget set, and the speed."""
    first, names = rows[0], _sets(rows[0])
    return [
        {
            "sampler": f"{row['sampler']} {row['steps']}",
            **{f"retain {_set(name)}": row[f"retain_{name}"] for name in names},
            **{f"forget {_set(name)}": row[f"forget_{name}"] for name in names},
            "most lost": max(first[f"retain_{name}"] - row[f"retain_{name}"] for name in names),
            "models a second": row["models_per_second"],
            "times as fast": row["models_per_second"] / first["models_per_second"],
        }
        for row in rows
    ]


def page(rows: Sequence[Row]) -> str:
    """The table as Markdown, with the figure."""
    lines = summary(rows)
    body = [[_text(name, value) for name, value in line.items()] for line in lines]
    heads = [name[0].upper() + name[1:] for name in lines[0]]
    return (
        "# How many sampling steps\n\n"
        "On test images: median accuracies of unselected models, all samplers with the same noise and prompts. Most lost: by how much "
        f"the median retain accuracy falls below the first row's on any forget set. Once compiled, on: {rows[0]['device']}.\n\n"
        f"{markdown(heads, 'l' + 'r' * (len(heads) - 1), body)}\n"
        "![Retain accuracy against models per second](figures/samplers.png)\n"
    )


def _text(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.1f}" if name in SPEEDS else number(value)


@styled
def speed_figure(rows: Sequence[Row]) -> Figure:
    """Median retain accuracy against models per second on a logarithmic axis, one panel per forget set, a mark per sampler."""
    names = _sets(rows[0])
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    speeds = [row["models_per_second"] for row in rows]
    for panel, name in zip(panels, names, strict=True):
        values = [row[f"retain_{name}"] for row in rows]
        panel.plot(speeds, values, "o-", color=INK, markersize=4, linewidth=0.8)
        for row, speed, value in zip(rows, speeds, values, strict=True):
            panel.annotate(
                f"{row['sampler']} {row['steps']}",
                (speed, value),
                xytext=(3, 5),
                textcoords="offset points",
                fontsize=7,
                rotation=35,
            )
        panel.set(title=f"forget {_set(name)}", xscale="log", xlabel="models per second")
        panel.margins(x=0.2, y=0.35)
    panels[0].set_ylabel("median retain accuracy")
    return figure


def _sets(row: Row) -> list[str]:
    """The forget sets of a row, as its names have them: `2-3`."""
    return [name.removeprefix("retain_") for name in row if name.startswith("retain_")]


def _set(name: str) -> str:
    """`2-3` as people write it: `{2, 3}`."""
    return braces(map(int, name.split("-")))


if __name__ == "__main__":
    work, refuse = partial(run, samplers=SAMPLERS), partial(validate, samplers=SAMPLERS)
    sys.exit(run_experiment("sampling_steps", None, work, sys.argv[1:], refuse))
