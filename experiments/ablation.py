"""Which tokens, objective, guidance and sampler make a hypernetwork good: every combination, from one zoo.

`python -m experiments.ablation --data.dir DIR`; `--config NAME` takes another file of configs/, any other argument overrides a field.

A training for each kind of tokens and objective, in its own folder of the workdir; `Axes` says what varies. Each cell is
one row of `ablation.jsonl`, written when it is done, and reused: prompt alignment (mean R^2 and Pearson) of every forgettable class; median
accuracy of unselected models on the retain and on the forget images of every forget set; seconds of a batch of `sampling.batch_size`
models. All on test images, with the same prompts and keys in every cell. Leaves `ablation.md` and `figures/ablation.*` too.

A row is a cell: its axes; `r2_2`, `pearson_2`, … of class 2; `retain_2-3`, `forget_2-3`, … of forget set {2, 3}; "seconds" for "models" of
them, "models_per_second"; "device".
"""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes as Panel
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import alignment, sample_quality, training, unlearning, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, validate_run_config
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.style import FAINT, INK, LEVEL, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import Row, braces, markdown, number
from hyperforget_jax.runtime import artifacts, machine

Tokens = Literal["functional", "raw"]
Objective = Literal["x0", "v"]
Sampler = Literal["ddpm", "ddim"]
OBJECTIVES = {"x0": "x0, uniform", "v": "v, min-SNR"}
"""What is predicted, and how its error is weighed."""
MEASURES = {
    "r2": ("Mean R²", max),
    "pearson": ("Pearson", max),
    "retain": ("Retain accuracy", max),
    "forget": ("Forget accuracy", min),
    "seconds": ("Seconds", min),
    "models_per_second": ("Models/s", max),
}
"""Measure to its name, and to what is best."""
SUMMED = ("r2", "pearson", "retain", "forget", "seconds")
PANELS = ("r2", "retain", "forget")
COLOURS = {("functional", "v"): OURS, ("functional", "x0"): LEVEL, ("raw", "v"): REFERENCE, ("raw", "x0"): FAINT}
MARKS = "osD^vP*X"
"""Of the samplers, in the rows' order."""
FILLS: tuple[Any, ...] = ("full", "none", "left", "top")
"""Of the marks of each guidance, in the rows' order."""
FLOOR = -1.0
"""Alignment at which a mark stays, however far below it is: R² has no lower bound."""


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
    train_zoo, val_zoo = pipeline_zoo.split_zoo(job)
    grids, candidates = alignment.grids(job, train_zoo), unlearning.candidate_prompts(job, train_zoo)
    prompts = np.stack([each[len(each) // 2] for each in candidates])  # [S, K], the middle ones: no selection
    path = job.folder / "ablation.jsonl"
    stored = artifacts.read_rows(path) if path.exists() else []
    rows = {Cell(*(row[name] for name in Cell._fields)): row for row in stored}
    for _, cells in itertools.groupby(axes.cells(), lambda cell: (cell.tokens, cell.objective)):
        first, *others = cells
        config = trained(job.config, first)
        workdir.acquire_workdir(config)
        each = replace(job, config=config, folder=workdir.workdir_path(config))
        hypernetwork = training.train_hypernetwork(each, train_zoo, val_zoo).hypernetwork
        for cell in (first, *others):
            if cell in rows:
                job.console.print(f"{cell}: reused from {path}", highlight=False)
                continue
            cell_run = replace(each, config=sampled(job.config, cell))
            with job.timed(str(cell), resumes=False):
                quality = sample_quality.measure(
                    cell_run, str(cell), training.generator_of(cell_run, hypernetwork), grids, prompts
                )
            rows[cell] = {**cell._asdict(), **quality, "device": machine.name()}
            artifacts.write_rows(path, rows.values())
    table, pictures = [rows[cell] for cell in axes.cells()], job.folder / "figures"
    figures.save(tradeoff(table), pictures, "ablation")
    artifacts.write_text(job.folder / "ablation.md", page(table))
    lines = ({"cell": str(cell), **summary(rows[cell])} for cell in axes.cells())
    job.console.print(listing([*lines]))
    job.console.print(f"table and figure: {job.folder / 'ablation.md'}")


def validate(job: Run, axes: Axes) -> None:
    """Refuses a config that cannot serve every cell, before any work."""
    alignment.validate_metric(job)
    for cell in axes.cells():
        validate_run_config(sampled(job.config, cell))


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


def summary(row: Row) -> dict[str, float]:
    """Alignment averaged over classes, accuracies over forget sets, and the seconds, of one row."""
    return {measure: float(np.mean([row[name] for name in _columns(row, measure)])) for measure in SUMMED}


def page(rows: Sequence[Row]) -> str:
    """The table as Markdown, one line per row; the best of each column is bold, all of them at a tie as printed."""
    columns = {name: measure for measure in MEASURES for name in _columns(rows[0], measure)}
    printed = {name: [_text(name, row[name]) for row in rows] for name in columns}
    for name, measure in columns.items():
        best = _text(name, MEASURES[measure][1](row[name] for row in rows))
        printed[name] = [f"**{text}**" if text == best else text for text in printed[name]]
    heads = ("Tokens", "Objective", "Guidance", "Sampler", *(_head(*item) for item in columns.items()))
    cells = ((row["tokens"], OBJECTIVES[row["objective"]], f"{row['guidance']:g}", _sampler(row)) for row in rows)
    body = [(*cell, *texts) for cell, texts in zip(cells, zip(*printed.values(), strict=True), strict=True)]
    models = " or ".join(dict.fromkeys(str(row["models"]) for row in rows))
    devices = "; ".join(dict.fromkeys(row["device"] for row in rows))
    return (
        "# What makes a hypernetwork good\n\n"
        "On test images. Mean R² (equation 6) and mean Pearson's correlation of observed with target losses, by class, over families of "
        "models. Median accuracy of unselected models on the retain and on the forget images, by forget set; all are asked with one "
        f"prompt. Seconds to sample {models} models, once compiled, on: {devices}. Bold: the best of a column.\n\n"
        f"{markdown(heads, 'lllr' + 'r' * len(columns), body)}\n"
        "![Alignment and accuracy against sampling seconds](figures/ablation.png)\n"
    )


@styled
def tradeoff(rows: Sequence[Row]) -> Figure:
    """Alignment and accuracies against sampling seconds on a logarithmic axis, one mark per row.

    Args:
      rows: at least one; classes and forget sets are averaged.

    Returns:
      A figure: colour tells tokens and objective, shape the sampler, filling the guidance; lines join the samplers of one hypernetwork.
    """
    lines = [{**row, **summary(row)} for row in rows]
    samplers = list(dict.fromkeys(_sampler(line) for line in lines))
    scales = list(dict.fromkeys(line["guidance"] for line in lines))
    marks = {name: MARKS[place % len(MARKS)] for place, name in enumerate(samplers)}
    fills = {scale: FILLS[place % len(FILLS)] for place, scale in enumerate(scales)}
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    for panel, measure in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for tokens, objective, scale in dict.fromkeys(_series(line) for line in lines):
            one = [line for line in lines if _series(line) == (tokens, objective, scale)]
            colour = COLOURS[tokens, objective]
            heights = [max(line[measure], FLOOR) for line in one]
            panel.plot([line["seconds"] for line in one], heights, color=colour, linewidth=0.7, alpha=0.5)
            for line, height in zip(one, heights, strict=True):
                look: dict[str, Any] = {"marker": marks[_sampler(line)], "fillstyle": fills[scale]}
                panel.plot(line["seconds"], height, color=colour, markersize=5.5, clip_on=False, **look)
        _frame(panel, measure, sum(line[measure] < FLOOR for line in lines))
    figure.supxlabel(f"seconds to sample {rows[0]['models']} models", fontsize=9.5)
    settings = dict.fromkeys((line["tokens"], line["objective"]) for line in lines)
    handles = [
        *(_handle(f"{tokens}, {of}", COLOURS[tokens, of], "o") for tokens, of in settings),
        *(_handle(name, INK, mark) for name, mark in marks.items()),
        *(_handle("no guidance" if s == 1.0 else f"guidance {s:g}", INK, "o", f) for s, f in fills.items()),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=5, columnspacing=1.2, handletextpad=0.2)
    return figure


def _frame(panel: Panel, measure: str, below: int) -> None:
    panel.set(xscale="log", title=MEASURES[measure][0])
    panel.xaxis.set_major_locator(LogLocator(numticks=5))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_major_locator(MaxNLocator(5))
    if measure == "forget":
        panel.set_ylim(bottom=0.0)
    if below:
        panel.set_title(f"{below} below", loc="right", fontsize=8, fontweight="normal", color=FAINT)


def _handle(name: str, colour: str, mark: str, fill: Any = "full") -> Line2D:
    return Line2D([], [], linestyle="none", label=name, color=colour, marker=mark, fillstyle=fill)


def _series(line: Row) -> tuple[str, str, float]:
    return line["tokens"], line["objective"], line["guidance"]


def _sampler(row: Row) -> str:
    return f"{row['sampler'].upper()} {row['steps']}"


def _columns(row: Row, measure: str) -> list[str]:
    """Names of a measure's columns: one per class or forget set, or its own."""
    return [name for name in row if name == measure or name.startswith(f"{measure}_")]


def _head(name: str, measure: str) -> str:
    of = name.removeprefix(measure).lstrip("_")
    about = braces(map(int, of.split("-"))) if measure in ("retain", "forget") else f"class {of}"
    return f"{MEASURES[measure][0]}, {about}" if of else MEASURES[measure][0]


def _text(name: str, value: float) -> str:
    if name not in ("seconds", "models_per_second"):
        return number(value)
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


if __name__ == "__main__":
    arguments = ["--config", "ablation", *sys.argv[1:]]  # the last one counts
    work, refuse = partial(run, axes=Axes()), partial(validate, axes=Axes())
    sys.exit(run_experiment("ablation", None, work, arguments, refuse))
