"""A transformer is trained on from its parameters on lessons: a student to need few steps, a scrubbed one to forget."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax

from hyperforget_jax.diffusion import lessons as drawn
from hyperforget_jax.diffusion import trainer
from hyperforget_jax.diffusion.dit import Params
from hyperforget_jax.diffusion.train_step import Objective
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track

HELD_OUT = 2
"""Batches of lessons that no step sees, for the learning curve."""


def train(
    run: Run,
    name: str,
    workplace: Path,
    objective: Objective,
    lessons: Any,
    seed: int,
    made_from: Mapping[str, Any],
    **settings: Any,
) -> Params:
    """Trains, or goes on where it was stopped.

    Args:
      run: its config has the optimisation.
      name: of the training, for its progress and its random stream.
      workplace: folder of the saved states; its parent is there.
      objective: what is learned.
      lessons: a tree whose leaves have one row a lesson.
      seed: of the training.
      made_from: what decides it; saved states of another one are refused.
      settings: fields of `TrainingConfig` that differ from the run's, the batch size among them.
    """
    size = settings["batch_size"]
    learned, watched = (
        jax.tree.map(lambda leaf, part=part: leaf[part], lessons)
        for part in (slice(HELD_OUT * size, None), slice(HELD_OUT * size))
    )
    config = replace(run.config.training, grad_accum_steps=1, **settings)
    with artifacts.writing_errors(workplace):
        workplace.mkdir(exist_ok=True)
    with track(run.console, name, config.steps, "steps") as advance:
        return trainer.train(
            workplace,
            prng.stream(seed, name),
            objective,
            partial(drawn.batches, learned, seed, size),
            watched,
            config,
            advance,
            made_from=made_from,
        )
