"""The whole path: data, zoo, hypernetwork, requests, reference models, evaluation, report."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import results
from hyperforget_jax.metrics.comparison import Comparison
from hyperforget_jax.metrics.results import Row
from hyperforget_jax.pipeline import alignment, distribution, evaluation, pretrained, report, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid, Sweep
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.reference import clean_reference, reference_models
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.pipeline.workdir import zoo_identity, zoo_path
from hyperforget_jax.report import console, tables
from hyperforget_jax.report import distribution as distribution_lines
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn.requests import UnlearningResult
from hyperforget_jax.zoo import storage
from hyperforget_jax.zoo.storage import Zoo

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Measurements:
    """What is known of a run's models.

    Attributes:
      comparisons: with the reference models, of each method by its name in results, one per forget set.
      sweeps: prompt alignment, by label.
      frame: statistics of both, as in `results.jsonl`.
    """

    comparisons: dict[str, list[Comparison]]
    sweeps: dict[int, Sweep]
    frame: pd.DataFrame


def run(job: Run) -> None:
    """Runs every stage that is not done yet, evaluates, and writes the report.

    Leaves in the workdir: `zoo/`, `hypernetwork/`, `reference/`, `requests/`, `distribution/` (artifacts with manifests),
    `results.jsonl`, `results.md` (the tables), `costs.jsonl` (seconds per stage), `figures/` and `report.html`.
    """
    zoo = pipeline_zoo.make_zoo(job)
    train_zoo, val_zoo = zoo.split(job.config.zoo.runs, job.config.zoo.validation_share)
    unlearning.validate_served(job, train_zoo)
    grids = alignment.grids(job, train_zoo)
    model = training.train_hypernetwork(job, train_zoo, val_zoo, alignment.watch(job, grids))
    write_report(job, zoo, measure(job, model, grids))


def evaluate_again(job: Run) -> Measurements:
    """Measures a finished run again; the zoo is not needed."""
    model = pretrained.load(job.folder / HYPERNETWORK)
    return measure(job, model, alignment.grids(job, model.statistics))


def report_again(job: Run) -> None:
    """Draws the figures and the page of a finished run again.

    Raises:
      HyperForgetError: the run's zoo is gone, whose coverage is part of the report, or its learning curve, or either is damaged.
    """
    folder = zoo_path(job.config)
    if storage.read_summary(folder) is None:
        raise HyperForgetError(
            f"no complete zoo at {folder}, and the report shows what it covers: set zoo.folder to where it is"
        )
    artifacts.read_rows(job.folder / "training" / "learning_curve.jsonl")  # raises before the work if it is gone
    write_report(job, storage.read(folder, zoo_identity(job.config)), evaluate_again(job))


def measure(job: Run, model: Pretrained, grids: Mapping[int, Grid]) -> Measurements:
    """Answers the run's forget sets, compares the models with reference models and clean runs, and prints and writes the results.

    Args:
      job: the run.
      model: the hypernetwork.
      grids: prompts that sweep each forgettable class.
    """
    reference, generate = reference_models(job), training.generator_of(job, model.hypernetwork)
    answers, comparisons, rows = dict[str, list[UnlearningResult]](), dict[str, list[Comparison]](), list[Row]()
    for mode in job.modes:
        answers[mode.method] = unlearning.unlearn_all(mode, model, generate)
        comparisons[mode.method] = evaluation.evaluate(mode, answers[mode.method], reference)
        rows += evaluation.rows(mode, comparisons[mode.method])
    sweeps = alignment.sweeps(job, grids, generate)
    rows += alignment.alignment_rows(job, sweeps)
    if job.config.evaluation.distribution_models > 0:
        rows += distribution.distribution_rows(job, answers, clean_reference(job))
    frame = results.frame_of(rows)
    results.write_results(job.folder / RESULTS, frame)
    lines = distribution_lines.distribution(frame)
    of_distribution = f"\n{distribution_lines.markdown(lines)}" if len(lines) else ""
    artifacts.write_text(job.folder / "results.md", tables.page(frame) + of_distribution)
    job.console.print(console.comparison(frame), console.alignment(frame))
    if len(lines):
        job.console.print(console.distribution(lines))
    job.console.print(f"results: {job.folder / RESULTS}")
    return Measurements(comparisons, sweeps, frame)


def write_report(job: Run, zoo: Zoo, measured: Measurements) -> None:
    """Draws `figures/` and writes `report.html`."""
    folder = job.folder / "training"
    curve, evolution = artifacts.read_rows(folder / "learning_curve.jsonl"), alignment.evolution(folder)
    counts = pipeline_zoo.combination_counts(job, zoo)
    pictures = report.draw(job, counts, curve, evolution, measured.comparisons, measured.sweeps, measured.frame)
    job.console.print(f"report:  {report.write_page(job, measured.frame, pictures)}")
