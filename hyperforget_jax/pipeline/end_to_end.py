"""The whole path: images, zoo, hypernetwork, answers, retrained cloud, evaluation, report.

`python -m hyperforget_jax.pipeline.end_to_end --config NAME --data.dir DIR` runs it for a file of configs/; any other argument overrides a field.
"""

import sys

from hyperforget_jax.cli import arguments as command
from hyperforget_jax.evaluate.results import to_json
from hyperforget_jax.pipeline import alignment as align
from hyperforget_jax.pipeline import evaluation as measure
from hyperforget_jax.pipeline import report as pictures
from hyperforget_jax.pipeline import results as tidy
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import unlearning as replies
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import tables
from hyperforget_jax.runtime import artifacts as records


def run(job: Run) -> None:
    """Runs every stage that is not done yet, then prints the closing table and writes the report.

    Leaves in the workdir: `zoo/`, `hypernetwork/`, `reference/`, `requests/` (artefacts with manifests), `results.jsonl` (tidy rows),
    `results.md` (the tables), `costs.jsonl` (seconds per stage), `figures/` and `report.html`.
    """
    zoo = stages.make_zoo(job)
    known, held_out = zoo.split(job.config.zoo.runs, job.config.zoo.validation_share)
    candidates = replies.candidates(job, known)
    grids = align.grids(job, known)
    hypernetwork = stages.train_hypernetwork(job, known, held_out, align.watch(job, grids))
    generate = stages.sampling(job, hypernetwork)
    cloud = replies.retrained_cloud(job)
    answers = replies.answers(job, candidates, generate)
    evaluated = measure.evaluate(job, answers, cloud)
    sweeps = align.sweeps(job, grids, generate)
    rows = [to_json(row) for row in tidy.unlearning_rows(job, evaluated) + align.alignment_rows(job, sweeps)]
    records.write_rows(job.folder / "results.jsonl", rows)
    training = job.folder / "training"
    curve, evolution = records.read_rows(training / "learning_curve.jsonl"), align.evolution(training)
    drawn = pictures.draw(job, stages.covered(job, zoo), curve, evolution, evaluated, sweeps)
    page = pictures.write_page(job, rows, drawn)
    lines, aligned = tables.comparison(rows), tables.alignment_table(rows)
    markdown = tables.to_markdown(lines) + "\n" + tables.alignment_to_markdown(aligned)
    records.write_text(job.folder / "results.md", markdown)
    job.console.print(tables.to_rich(lines))
    job.console.print(tables.alignment_to_rich(aligned))
    job.console.print(f"results: {job.folder / 'results.jsonl'}\nreport:  {page}")


if __name__ == "__main__":
    sys.exit(command.main_of_config("pipeline", run, sys.argv[1:], align.check))
