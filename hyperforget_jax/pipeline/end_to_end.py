"""The whole path: images, zoo, hypernetwork, answers, reference models, evaluation, report."""

from hyperforget_jax.evaluate.results import to_json
from hyperforget_jax.pipeline import alignment, evaluation, report, results, unlearning
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.reference import reference_models
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import tables
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
    rows = [
        to_json(row)
        for row in results.unlearning_rows(job, evaluated) + alignment.alignment_rows(job, sweeps)
    ]
    artifacts.write_rows(job.folder / "results.jsonl", rows)
    training = job.folder / "training"
    curve, evolution = artifacts.read_rows(training / "learning_curve.jsonl"), alignment.evolution(training)
    drawn = report.draw(job, pipeline_zoo.combination_counts(job, zoo), curve, evolution, evaluated, sweeps)
    page = report.write_page(job, rows, drawn)
    lines, aligned = tables.comparison(rows), tables.alignment_table(rows)
    markdown = tables.to_markdown(lines) + "\n" + tables.alignment_to_markdown(aligned)
    artifacts.write_text(job.folder / "results.md", markdown)
    job.console.print(tables.to_rich(lines))
    job.console.print(tables.alignment_to_rich(aligned))
    job.console.print(f"results: {job.folder / 'results.jsonl'}\nreport:  {page}")
