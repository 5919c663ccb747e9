"""G.pt, the parent of this work: DiHyFo-1 with one number as its condition, and what the paper observed of it (section A.6).

`python -m experiments.gpt` needs no download; any argument overrides a config field.

Trains, on one zoo, a hypernetwork asked for the mean loss, one with the training data re-balanced, one asked for the mean error and one for
the loss of a class (`hypernetwork.metric_class`); sweeps each over a grid of its number, from random starts, and observes it on test.
Leaves `figures/fig26` to `fig31`, `gpt.jsonl` (tidy rows; the method is a hypernetwork's folder), `gpt.md`, and each hypernetwork's folder.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from configs.gpt import get_config
from experiments import gpt_figures
from experiments.gpt_figures import Followed
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.data import Split
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment, training, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid, Sweep
from hyperforget_jax.pipeline.evaluation import context
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.result import Result
from hyperforget_jax.report.tables import markdown, number
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo import loader
from hyperforget_jax.zoo.storage import Zoo

NAMES = {
    "mean_loss": ("mean loss", "mean loss (nats)"),
    "mean_loss_balanced": ("mean loss, re-balanced", "mean loss (nats)"),
    "mean_error": ("mean error", "mean error"),
    "one_loss": ("loss of class {}", "loss of the class (nats)"),
}
"""Hypernetwork, the method of its rows, to its name and to what it is asked for with its unit; {} stands for a class."""
STATISTICS = {
    "r2_mean": ("alignment_r2", "mean", "R², mean"),
    "r2_median": ("alignment_r2", "median", "R², median"),
    "r2_clipped": ("alignment_r2", "mean_clipped", "R² clipped at 0, mean"),
    "r2_share": ("alignment_r2", "share_aligned", "R² > 0.8, share"),
    "pearson_mean": ("alignment_pearson", "mean", "Pearson, mean"),
}
"""Column to the metric and statistic of its rows, and its heading on the page."""
FIGURES = {
    "fig26": "Prompt alignment during training, asked for the mean error and for the mean loss (validation images).",
    "fig27": "Training results: observed against target loss (test images), and the learning curve.",
    "fig28": "Mean losses of the training set, of the targets of a sweep, and of the models sampled for them (test images).",
    "fig29": "Mean losses that the training draws before and after re-balancing: of the starts and of the targets of its pairs.",
    "fig30": "Observed against target loss with the training set as it is stored, and with re-balanced data (test images).",
    "fig31": "Asked for the loss of one class: sweep and distributions (test images), alignment (validation) and learning curve.",
}
"""What a figure, named by the paper's number, shows."""
OWN = ("hypernetwork.kind", "hypernetwork.metric", "loader.resample")  # fields that the experiment sets
DRAWN = 64  # batches behind Figure 29


def run(job: Run) -> None:
    """Trains, sweeps and observes every hypernetwork, reusing what is done; then the table and the figures."""
    train_zoo, val_zoo = pipeline_zoo.split_zoo(job)
    found, rows, pictures = dict[str, Followed](), list[dict[str, Any]](), job.folder / "figures"
    for folder in variants(job.config):
        found[folder], each = one(job, folder, train_zoo, val_zoo)
        rows += each
    for name, picture in gpt_figures.draw(found, job.config.loader.loss_levels).items():
        figures.save(picture, pictures, name)
    table = prompt_alignment(rows)
    artifacts.write_rows(job.folder / "gpt.jsonl", rows)
    artifacts.write_text(job.folder / "gpt.md", page(table))
    job.console.print(listing(table), f"table and figures: {job.folder / 'gpt.md'}")


def variants(base: Config) -> dict[str, Config]:
    """The four by their folders in the workdir: they share its zoo, and differ in metric and re-balancing (`loader.resample`) alone."""
    zoo = replace(base.zoo, folder=str(workdir.zoo_path(base)))
    mean_loss = replace(base.hypernetwork, metric="mean_loss")
    changes = {
        "mean_loss": replace(base, hypernetwork=mean_loss),
        "mean_loss_balanced": replace(base, hypernetwork=mean_loss, loader=replace(base.loader, resample="losses")),
        "mean_error": replace(base, hypernetwork=replace(base.hypernetwork, metric="mean_error")),
        "one_loss": base,
    }
    return {
        folder: replace(config, workdir=str(workdir.workdir_path(base) / folder), zoo=zoo)
        for folder, config in changes.items()
    }


class One(NamedTuple):
    """One hypernetwork: how it follows what it is asked for, and its tidy rows."""

    followed: Followed
    rows: list[dict[str, Any]]


def one(job: Run, folder: str, train_zoo: Zoo, val_zoo: Zoo) -> One:
    """Trains, sweeps and observes the hypernetwork of one folder, reusing what is done."""
    job.console.print(f"{folder}:")
    config = variants(job.config)[folder]
    workdir.acquire_workdir(config)
    each = replace(job, config=config, folder=workdir.workdir_path(config))
    sweep = observe(each, grid_of(each, train_zoo), train_zoo, val_zoo)
    label = job.dataset.classes[config.hypernetwork.metric_class] if folder == "one_loss" else None
    rows = alignment.sweep_rows(each, context(each, folder, ()), label, sweep)
    return One(followed(each, NAMES[folder], label, sweep, train_zoo), rows)


def fig31(runs: RunFolder) -> Result:
    """Figure 31 alone, in `gpt/` of a folder of runs."""
    job = runs.open_other("gpt", get_config(), validate)
    train_zoo, val_zoo = pipeline_zoo.split_zoo(job)
    drawn = gpt_figures.one_class(one(job, "one_loss", train_zoo, val_zoo).followed)
    return Result("Figure 31. G.pt asked for the loss of one class, digits", "", [], {"fig31": drawn})


def is_finished(folder: Path) -> bool:
    """Whether `fig31` has trained its hypernetwork in a folder of runs."""
    return artifacts.is_complete(folder / "gpt" / "one_loss" / "hypernetwork")


def validate(job: Run) -> None:
    """Refuses a config that the experiment cannot use, before any work."""
    flat, setting = flatten(job.config), flatten(get_config())
    for name in OWN:
        if flat[name] != setting[name]:
            raise HyperForgetError(f"{name} is {flat[name]}: leave it out, the experiment sets it")
    if (place := job.config.hypernetwork.metric_class) not in job.forgettable:
        others = ", ".join(map(str, job.forgettable))
        raise HyperForgetError(f"hypernetwork.metric_class {place} is a pivot: choose one of {others}")
    if job.config.training.alignment_every == 0:
        raise HyperForgetError("training.alignment_every is 0: Figure 26 needs it, choose at least 1")


def grid_of(run: Run, train_zoo: Zoo) -> Grid:
    """A regular grid [P, 1] of what is asked for, between quantiles of the zoo's training part."""
    config, stored = run.config.evaluation, training.with_targets(run, train_zoo).losses
    low, high = np.quantile(stored.astype(np.float64), config.alignment_quantiles)
    targets = np.linspace(low, high, config.alignment_prompts, dtype=np.float32)[:, None]  # [P, 1]
    return Grid(targets, float(prompts.learned(stored, config.learned_share)[0]))


def observe(run: Run, grid: Grid, train_zoo: Zoo, val_zoo: Zoo) -> Sweep:
    """Trains the hypernetwork, following its grid on validation images, and then follows the grid on test images."""
    config = run.config

    def follow(generate: Generator, stream: str, count: int, split: Split) -> Sweep:
        families = jax.random.split(prng.stream(config.seed, stream), count)
        return alignment.follow(run, grid, 0, generate, families, on_device(split), lambda made: None)

    def measure(generate: Generator) -> dict[str, float]:
        count = config.training.alignment_families
        return alignment.means(run, follow(generate, "alignment during training", count, run.dataset.validation))

    generate = training.generator_of(run, training.train_hypernetwork(run, train_zoo, val_zoo, measure).hypernetwork)
    with run.timed("alignment", resumes=False):
        return follow(generate, "alignment", config.evaluation.alignment_families, run.dataset.test)


def followed(run: Run, name: tuple[str, str], label: int | None, sweep: Sweep, train_zoo: Zoo) -> Followed:
    """A sweep beside what the training drew first and its curves."""
    config, asked, curves = run.config, training.with_targets(run, train_zoo), run.folder / "training"
    size = config.training.batch_size
    source = loader.pairs(asked, run.forgettable, size, training.training_seed(config), config.loader)
    pairs = [(pair.current.losses, pair.target.losses) for pair in (source[step] for step in range(DRAWN))]
    return Followed(
        name=name[0].format(label),
        axis=name[1],
        targets=sweep.targets,
        observed=sweep.observed,
        learned=sweep.learned,
        trained_on=asked.losses[:, 0],
        drawn=np.concatenate(pairs, axis=1)[..., 0],  # [2, m]
        learning=artifacts.read_rows(curves / "learning_curve.jsonl"),
        alignment=alignment.evolution(curves),
    )


def prompt_alignment(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Prompt alignment, one line per hypernetwork.

    Args:
      rows: of `gpt.jsonl`.

    Returns:
      Lines with "asked_for" and the columns of `STATISTICS`, in the rows' order.
    """
    values = {(row["method"], row["metric"], row["statistic"]): row["value"] for row in rows}
    labels = {row["method"]: row["class"] for row in rows}
    return [
        {"asked_for": NAMES[method][0].format(label)}
        | {name: values[method, metric, of] for name, (metric, of, _) in STATISTICS.items()}
        for method, label in labels.items()
    ]


def page(lines: Sequence[Mapping[str, Any]]) -> str:
    """The table and the figures in Markdown."""
    headings = ("Asked for", *(heading for _, _, heading in STATISTICS.values()))
    body = [(line["asked_for"], *(number(line[name]) for name in STATISTICS)) for line in lines]
    shown = "".join(f"\n{caption}\n\n![{caption}](figures/{name}.png)\n" for name, caption in FIGURES.items())
    return (
        "# G.pt: prompt alignment\n\n"
        "R² (equation 6) and Pearson's correlation of observed with target values, over families of models from random starts, "
        "on test images; 1 is perfect.\n\n"
        f"{markdown(headings, 'lrrrrr', body)}{shown}"
    )


if __name__ == "__main__":
    sys.exit(run_experiment("gpt", get_config(), run, sys.argv[1:], validate))
