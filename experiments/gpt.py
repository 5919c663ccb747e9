"""G.pt, the parent of this work: DiHyFo-1 with one number as its condition, and what the paper observed of it (section A.6).

`python -m experiments.gpt` needs no download; any argument overrides a config field.

Trains, on one zoo, a hypernetwork asked for the mean loss, one with the training data re-balanced, one asked for the mean error and one for
the loss of a class (`hypernetwork.metric_class`); sweeps each over a grid of its number, from random starts, and observes it on test.
Leaves `figures/fig26` to `fig31`, `gpt.jsonl` (tidy rows; the method is a hypernetwork's folder), `gpt.md`, and each hypernetwork's folder.
"""

import sys
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from configs import gpt
from hyperforget_jax.cli import arguments
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.data import Split
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.evaluate.results import to_json
from hyperforget_jax.pipeline import alignment, training, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid, Sweep
from hyperforget_jax.pipeline.results import context
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import figures, gpt_figures, gpt_tables
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.gpt_figures import Followed
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo import loader
from hyperforget_jax.zoo.storage import Zoo

OWN = ("hypernetwork.kind", "hypernetwork.metric", "loader.resample")  # fields that the experiment sets
DRAWN = 64  # batches behind Figure 29


def run(job: Run) -> None:
    """Trains, sweeps and observes every hypernetwork, reusing what is done; then the table and the figures."""
    known, held_out = pipeline_zoo.split_zoo(job)
    found, rows, pictures = dict[str, Followed](), list[dict[str, Any]](), job.folder / "figures"
    for folder in variants(job.config):
        found[folder], each = one(job, folder, known, held_out)
        rows += each
    for name, picture in gpt_figures.draw(found, job.config.loader.loss_levels).items():
        figures.save(picture, pictures, name)
    table = gpt_tables.table(rows)
    artifacts.write_rows(job.folder / "gpt.jsonl", rows)
    artifacts.write_text(job.folder / "gpt.md", gpt_tables.page(table))
    job.console.print(listing(table), f"table and figures: {job.folder / 'gpt.md'}")


def variants(base: Config) -> dict[str, Config]:
    """The four by their folders in the workdir: they share its zoo, and differ in metric and re-balancing (`loader.resample`) alone."""
    zoo = replace(base.zoo, folder=str(workdir.zoo_path(base)))
    mean_loss = replace(base.hypernetwork, metric="mean_loss")
    changes = {
        "mean_loss": replace(base, hypernetwork=mean_loss),
        "mean_loss_balanced": replace(
            base, hypernetwork=mean_loss, loader=replace(base.loader, resample="losses")
        ),
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


def one(job: Run, folder: str, known: Zoo, held_out: Zoo) -> One:
    """Trains, sweeps and observes the hypernetwork of one folder, reusing what is done."""
    job.console.print(f"{folder}:")
    config = variants(job.config)[folder]
    workdir.acquire_workdir(config)
    each = replace(job, config=config, folder=workdir.workdir_path(config))
    sweep = observe(each, grid_of(each, known), known, held_out)
    label = job.dataset.classes[config.hypernetwork.metric_class] if folder == "one_loss" else None
    rows = [to_json(row) for row in alignment.sweep_rows(each, context(each, folder, ()), label, sweep)]
    return One(followed(each, gpt_tables.NAMES[folder], label, sweep, known), rows)


def check(job: Run) -> None:
    """Refuses a config that the experiment cannot use, before any work."""
    flat, setting = flatten(job.config), flatten(gpt.get_config())
    for name in OWN:
        if flat[name] != setting[name]:
            raise HyperForgetError(f"{name} is {flat[name]}: leave it out, the experiment sets it")
    if (place := job.config.hypernetwork.metric_class) not in job.forgettable:
        others = ", ".join(map(str, job.forgettable))
        raise HyperForgetError(f"hypernetwork.metric_class {place} is a pivot: choose one of {others}")
    if job.config.training.alignment_every == 0:
        raise HyperForgetError("training.alignment_every is 0: Figure 26 needs it, choose at least 1")


def grid_of(run: Run, known: Zoo) -> Grid:
    """A regular grid [P, 1] of what is asked for, between quantiles of the zoo's training part."""
    config, stored = run.config.evaluation, training.with_targets(run, known).losses
    low, high = np.quantile(stored.astype(np.float64), config.alignment_quantiles)
    targets = np.linspace(low, high, config.alignment_prompts, dtype=np.float32)[:, None]  # [P, 1]
    return Grid(targets, float(prompts.learned(stored, config.learned_share)[0]))


def observe(run: Run, grid: Grid, known: Zoo, held_out: Zoo) -> Sweep:
    """Trains the hypernetwork, following its grid on validation images, and then follows the grid on test images."""
    config = run.config

    def follow(generate: Generator, stream: str, count: int, split: Split) -> Sweep:
        families = jax.random.split(prng.stream(config.seed, stream), count)
        return alignment.follow(run, grid, 0, generate, families, on_device(split), lambda made: None)

    def measure(generate: Generator) -> dict[str, float]:
        count = config.training.alignment_families
        return alignment.means(
            run, follow(generate, "alignment during training", count, run.dataset.validation)
        )

    generate = training.generator_of(run, training.train_hypernetwork(run, known, held_out, measure))
    with run.timed("alignment", resumes=False):
        return follow(generate, "alignment", config.evaluation.alignment_families, run.dataset.test)


def followed(run: Run, name: tuple[str, str], label: int | None, sweep: Sweep, known: Zoo) -> Followed:
    """A sweep beside what the training drew first and its curves."""
    config, asked, curves = run.config, training.with_targets(run, known), run.folder / "training"
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


if __name__ == "__main__":
    sys.exit(arguments.main("gpt", gpt.get_config(), run, sys.argv[1:], check))
