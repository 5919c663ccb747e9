"""The paper's own protocol beside the strict one: prompts and models are selected on test images, as the paper did.

The zoo's labels, and so the hypernetwork, are those of the strict protocol in both: the images that label a zoo decide little of what it
learns, those that select decide which models are shown.
"""

from dataclasses import replace
from typing import Any

from hyperforget_jax.pipeline import cache, evaluation, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.reference import reference_models
from hyperforget_jax.pipeline.run import Run

FOLDER = "paper_protocol"


def rows(run: Run) -> list[dict[str, Any]]:
    """Tidy rows of every request under the paper's protocol, made once: `paper_protocol/` in the workdir."""
    return cache.rows(run, FOLDER, lambda: _measured(run))


def _measured(run: Run) -> list[Any]:
    known, held_out = pipeline_zoo.split_zoo(run)
    hypernetwork = training.train_hypernetwork(run, known, held_out)
    seen = replace(run.dataset, validation=run.dataset.test)
    selecting = replace(run, dataset=seen, folder=run.folder / FOLDER)
    answers = unlearning.unlearn_all(
        selecting, unlearning.candidate_prompts(run, known), training.generator_of(run, hypernetwork)
    )
    found = evaluation.rows(run, evaluation.evaluate(selecting, answers, reference_models(run)))
    return [row | {"protocol": "paper"} for row in found]
