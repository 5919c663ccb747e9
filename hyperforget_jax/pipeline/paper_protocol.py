"""The paper's own protocol beside the strict one: prompts and networks are selected on test images, as the paper did.

The zoo's labels, and so the hypernetwork, are those of the strict protocol in both: the images that label a zoo decide little of what it
learns, those that select decide which networks are shown.
"""

from dataclasses import replace
from typing import Any

from hyperforget_jax.evaluate.results import to_json
from hyperforget_jax.pipeline import cache as once
from hyperforget_jax.pipeline import evaluation as measure
from hyperforget_jax.pipeline import results as tidy
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import unlearning as replies
from hyperforget_jax.pipeline.run import Run

FOLDER = "paper_protocol"


def rows(run: Run) -> list[dict[str, Any]]:
    """Tidy rows of every request under the paper's protocol, made once: `paper_protocol/` in the workdir."""
    return once.rows(run, FOLDER, lambda: map(to_json, _measured(run)))


def _measured(run: Run) -> list[Any]:
    known, held_out = stages.split_zoo(run)
    hypernetwork = stages.train_hypernetwork(run, known, held_out)
    seen = replace(run.dataset, validation=run.dataset.test)
    selecting = replace(run, dataset=seen, folder=run.folder / FOLDER)
    answers = replies.answers(selecting, replies.candidates(run, known), stages.sampling(run, hypernetwork))
    found = tidy.unlearning_rows(run, measure.evaluate(selecting, answers, replies.retrained_cloud(run)))
    return [replace(row, protocol="paper") for row in found]
