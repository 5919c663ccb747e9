"""The whole path: images, zoo, hypernetwork, answers, reference models, evaluation, report."""

from hyperforget_jax.metrics import results
from hyperforget_jax.pipeline import alignment, evaluation, report, unlearning
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.reference import reference_models
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import console, tables
from hyperforget_jax.runtime import artifacts


def run(job: Run) -> None:
    """Runs every stage that is not done yet, then prints the closing table and writes the report.

    Leaves in the workdir: `zoo/`, `hypernetwork/`, `reference/`, `requests/` (artifacts with manifests), `results.jsonl` (tidy rows),
    `results.md` (the tables), `costs.jsonl` (seconds per stage), `figures/` and `report.html`.
    """
    zoo = pipeline_zoo.make_zoo(job)
    known, held_out = zoo.split(job.config.zoo.runs, job.config.zoo.validation_share)
    candidates = unlearning.candidate_prompts(job, known)
    grids = alignment.grids(job, known)
    hypernetwork = stages.train_hypernetwork(job, known, held_out, alignment.watch(job, grids))
    generate = stages.generator_of(job, hypernetwork)
    reference = reference_models(job)
    answers = unlearning.unlearn_all(job, candidates, generate)
    evaluated = evaluation.evaluate(job, answers, reference)
    sweeps = alignment.sweeps(job, grids, generate)
    rows = evaluation.rows(job, evaluated) + alignment.alignment_rows(job, sweeps)
    frame = results.frame_of(rows)
    results.write_results(job.folder / "results.jsonl", frame)
    training = job.folder / "training"
    curve, evolution = artifacts.read_rows(training / "learning_curve.jsonl"), alignment.evolution(training)
    drawn = report.draw(job, pipeline_zoo.combination_counts(job, zoo), curve, evolution, evaluated, sweeps)
    page = report.write_page(job, frame, drawn)
    artifacts.write_text(job.folder / "results.md", tables.page(frame))
    job.console.print(console.comparison(frame), console.alignment(frame))
    job.console.print(f"results: {job.folder / 'results.jsonl'}\nreport:  {page}")
