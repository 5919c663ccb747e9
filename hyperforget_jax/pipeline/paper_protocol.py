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
    """Results of every forget set of a finished run under the paper's protocol, measured once: `paper_protocol/` in its workdir."""
    return cache.rows(run, FOLDER, lambda: _measured(run), forget_sets=run.config.task.forget_sets)


def _measured(run: Run) -> list[Any]:
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    unlearning.validate_served(run, train_zoo)
    model = training.train_hypernetwork(run, train_zoo, val_zoo)
    dataset = replace(run.dataset, validation=run.dataset.test)
    selecting = replace(run, dataset=dataset, folder=run.folder / FOLDER)
    unjudged = replace(model, book={})  # by test images, that is
    unlearned = unlearning.unlearn_all(selecting, unjudged, training.generator_of(run, model.hypernetwork))
    measured = evaluation.rows(run, evaluation.evaluate(selecting, unlearned, reference_models(run)))
    return [row | {"protocol": "paper"} for row in measured]
