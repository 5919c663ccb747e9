"""Prompt alignment on two grids, the shared one and G.pt's: `python -m experiments.reproduce grids-mnist4-dihyfo2`.

On G.pt's grid every family is asked for losses from that of learned models to 0.9 times that of its own start. A family of DiHyFo-2 starts
from no model; it gets the grid of the random model that DiHyFo-1 would start from with its key. Kept in `gpt_grid/` of the run's workdir.
"""

from typing import Any

import jax
import numpy as np

from hyperforget_jax.pipeline import alignment, cache, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.alignment import Grid
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.report.result import METHODS, Result, alignment_means, number_table
from hyperforget_jax.runtime import prng
from hyperforget_jax.unlearn.requests import Floats

FOLDER = "gpt_grid"
REACH = 0.9
"""The highest target, as a share of the start's loss."""


def grids_compared(setting: str, method: str, runs: RunFolder) -> Result:
    """Prompt alignment on the shared grid, and on G.pt's."""
    finished = runs.open(setting, method)
    means = alignment_means([*finished.rows, *rows(finished.run)])
    columns = [f"alignment_{name}{grid}" for grid in ("", "_gpt_grid") for name in ("r2", "pearson")]
    lines: list[dict[str, Any]] = [
        {"class": label, **{name: means[label, method, name] for name in columns}} for label in finished.labels
    ]
    heads = ("Class", "R², shared grid", "Pearson, shared grid", "R², G.pt's grid", "Pearson, G.pt's grid")
    words = (
        f"{METHODS[method]}, {setting}, means over families, test images. The shared grid has the zoo's quantiles as its ends; G.pt's goes "
        f"from the loss of learned models to {REACH:g} times that of the random model that a family starts from.\n"
    )
    title = f"Prompt alignment on two grids, {METHODS[method]}, {setting}"
    return Result(title, f"{words}\n{number_table(heads, lines)}", lines, {})


def rows(run: Run) -> list[dict[str, Any]]:
    """Results `alignment_r2_gpt_grid` and `alignment_pearson_gpt_grid` of every forgettable class, measured once."""
    return cache.rows(run, FOLDER, lambda: _measured(run), reach=REACH)


def _measured(run: Run) -> list[dict[str, Any]]:
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    generate = training.generator_of(run, training.train_hypernetwork(run, train_zoo, val_zoo).hypernetwork)
    families = jax.random.split(prng.stream(run.config.seed, "alignment"), run.config.evaluation.alignment_families)
    losses = np.asarray(training.random_start(run, families).losses)  # [F, K]
    grids = {
        label: Grid(of_starts(shared, column, losses[:, column]), shared.learned)
        for label, (column, shared) in alignment.by_position(run, alignment.grids(run, train_zoo)).items()
    }
    measured = alignment.alignment_rows(run, alignment.followed(run, grids, generate))
    return [row | {"metric": f"{row['metric']}_gpt_grid"} for row in measured]


def of_starts(shared: Grid, column: int, losses: Floats) -> Floats:
    """Prompts [F, P, K] of families that start at losses [F]: the others of a shared grid's losses, and one that is swept."""
    base, count = shared.prompts[0], len(shared.prompts)
    targets = np.linspace(np.full(len(losses), shared.learned), REACH * losses, count, axis=1)  # [F, P]
    prompts = np.tile(base, (len(losses), count, 1))  # [F, P, K]
    prompts[..., column] = targets
    return prompts.astype(np.float32)
