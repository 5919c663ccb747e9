"""Does a network do what its prompt says? Prompt sweeps and their rows (section A.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measure import Floats
from experiments.run import Run, on_device
from experiments.tidy import context
from hyperforget_jax import classifier, keys
from hyperforget_jax.diffusion.generator import Generator
from hyperforget_jax.evaluate import alignment
from hyperforget_jax.evaluate.rows import Row, rows_of
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo.store import Zoo


@dataclass(frozen=True)
class Sweep:
    """Prompt alignment of one class: targets [P], observed test losses [F, P], and the loss when learned."""

    targets: Floats
    observed: Floats
    learned: float


@dataclass(frozen=True)
class Grid:
    """Prompts [P, K] that sweep one class, and that class's loss when learned."""

    prompts: Floats
    learned: float


def grids(run: Run, known: Zoo) -> dict[int, Grid]:
    """The sweep of every forgettable class, from the zoo's training part; keys are labels."""
    config = run.config.evaluation
    base = prompts.learned(known.losses, config.learned_share)
    count, ends = config.alignment_prompts, config.alignment_quantiles
    return {
        run.dataset.classes[swept]: Grid(
            prompts.sweep(known.losses, known.accuracies, swept, base, count, ends), float(base[swept])
        )
        for swept in run.forgettable
    }


def sweeps(run: Run, asked: Mapping[int, Grid], generate: Generator) -> dict[int, Sweep]:
    """Networks for every prompt of every grid, measured on test; a family shares its noise over the grid."""
    config = run.config.evaluation
    families = jax.random.split(keys.stream(run.config.seed, "alignment"), config.alignment_families)
    each = jnp.repeat(families, config.alignment_prompts)  # [F * P]
    test = on_device(run.dataset.test)
    found = {}
    total = len(asked) * len(each)
    timed = run.timed("alignment", resumes=False)
    with timed, track(run.console, "alignment", total, "networks") as advance:
        for label, grid in asked.items():
            (swept,) = run.dataset.positions((label,))
            tiled = jnp.tile(jnp.asarray(grid.prompts), (config.alignment_families, 1))  # [F * P, K]
            losses, _ = classifier.class_scores_of_many(generate(each, tiled, advance), *test)  # [F * P, K]
            observed = np.asarray(losses, np.float64)[:, swept].reshape(-1, len(grid.prompts))  # [F, P]
            found[label] = Sweep(grid.prompts[:, swept].astype(np.float64), observed, grid.learned)
    return found


def alignment_rows(run: Run, found: Mapping[int, Sweep]) -> list[Row]:
    """R^2 (equation 6) and Pearson's correlation per family, for every swept class."""
    config, rows = run.config.evaluation, []
    about = context(run, run.config.hypernetwork.kind, ())
    settings: dict[str, Any] = {"ideal": 1.0, "resamples": config.bootstrap, "seed": run.config.seed}
    for label, sweep in found.items():
        r2 = alignment.prompt_alignment(sweep.targets, sweep.observed, config.alignment_epsilon)
        extra = rows_of(r2, about, metric="alignment_r2", class_=label, **settings)
        summary = alignment.summary(r2)
        rows += extra
        rows += [
            replace(extra[0], statistic=name, value=summary[name], low=None, high=None)
            for name in ("mean_clipped", "share_aligned")
        ]
        correlation = alignment.pearson(sweep.targets, sweep.observed)
        rows += rows_of(correlation, about, metric="alignment_pearson", class_=label, **settings)
    return rows
