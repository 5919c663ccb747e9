"""Prompt alignment on G.pt's grid: every family is asked for losses from that of learned models to 0.9 times that of its own start.

A family of DiHyFo-2 starts from no model; it gets the grid of the random model that DiHyFo-1 would start from with its key.
`gpt_grid/` in the workdir.
"""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from hyperforget_jax.evaluate.results import to_json
from hyperforget_jax.pipeline import alignment, cache, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import prng
from hyperforget_jax.unlearn.requests import Floats

FOLDER = "gpt_grid"
REACH = 0.9
"""The highest target, as a share of the start's loss."""


def rows(run: Run) -> list[dict[str, Any]]:
    """Tidy rows `alignment_r2_gpt_grid` and `alignment_pearson_gpt_grid` of every forgettable class, made once."""
    return cache.rows(run, FOLDER, lambda: _measured(run), reach=REACH)


def _measured(run: Run) -> list[dict[str, Any]]:
    known, held_out = pipeline_zoo.split_zoo(run)
    generate = training.generator_of(run, training.train_hypernetwork(run, known, held_out))
    families = jax.random.split(
        prng.stream(run.config.seed, "alignment"), run.config.evaluation.alignment_families
    )
    losses = np.asarray(training.random_start(run, families).losses)  # [F, K]
    asked = {
        label: Grid(of_starts(shared, column, losses[:, column]), shared.learned)
        for label, (column, shared) in alignment.by_position(run, alignment.grids(run, known)).items()
    }
    found = alignment.alignment_rows(run, alignment.followed(run, asked, generate))
    return [to_json(replace(row, metric=f"{row.metric}_gpt_grid")) for row in found]


def of_starts(shared: Grid, column: int, losses: Floats) -> Floats:
    """Prompts [F, P, K] of families that start at losses [F]: the others of a shared grid's losses, and one that is swept."""
    base, count = shared.prompts[0], len(shared.prompts)
    targets = np.linspace(np.full(len(losses), shared.learned), REACH * losses, count, axis=1)  # [F, P]
    prompts = np.tile(base, (len(losses), count, 1))  # [F, P, K]
    prompts[..., column] = targets
    return prompts.astype(np.float32)
