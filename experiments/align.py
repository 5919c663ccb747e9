"""Does a network do what its prompt says? Prompt sweeps and their rows (section A.4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measure import Floats
from experiments.run import Run, on_device
from experiments.stages import Measure
from experiments.tidy import context
from hyperforget_jax import classifier, keys, metric
from hyperforget_jax.diffusion.generator import Generator
from hyperforget_jax.evaluate import alignment
from hyperforget_jax.evaluate.rows import Row, rows_of
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo.store import Zoo
from hyperforget_jax.zoo.train import Images


@dataclass(frozen=True)
class Sweep:
    """Prompt alignment of one class: targets [P], observed losses [F, P], and the loss when learned."""

    targets: Floats
    observed: Floats
    learned: float


@dataclass(frozen=True)
class Grid:
    """Prompts [P, M] that sweep one column, and its value when learned."""

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


def follow(
    run: Run,
    grid: Grid,
    column: int,
    generate: Generator,
    families: jax.Array,
    images: Images,
    advance: Callable[[int], None],
) -> Sweep:
    """Networks for every prompt of a grid; a family shares its noise over the grid.

    Args:
      run: its config says what is asked for.
      grid: of prompts [P, M].
      column: of the prompts, the one that is swept.
      generate: the hypernetwork.
      families: [F], keys.
      images: to measure on.
      advance: called with the number of networks just made.
    """
    each = jnp.repeat(families, len(grid.prompts))  # [F * P]
    tiled = jnp.tile(jnp.asarray(grid.prompts), (len(families), 1))  # [F * P, M]
    scores = classifier.class_scores_of_many(generate(each, tiled, advance), *images)  # [F * P, K] each
    found = metric.observe(run.config.hypernetwork, *scores)  # [F * P, M]
    observed = np.asarray(found, np.float64)[:, column].reshape(-1, len(grid.prompts))  # [F, P]
    return Sweep(grid.prompts[:, column].astype(np.float64), observed, grid.learned)


def placed(run: Run, asked: Mapping[int, Grid]) -> dict[int, tuple[int, Grid]]:
    """Every label's output position and grid."""
    return {label: (run.dataset.positions((label,))[0], grid) for label, grid in asked.items()}


def sweeps(run: Run, asked: Mapping[int, Grid], generate: Generator) -> dict[int, Sweep]:
    """The sweep of every class, measured on test."""
    config = run.config.evaluation
    families = jax.random.split(keys.stream(run.config.seed, "alignment"), config.alignment_families)
    test = on_device(run.dataset.test)
    total = len(asked) * len(families) * config.alignment_prompts
    timed = run.timed("alignment", resumes=False)
    with timed, track(run.console, "alignment", total, "networks") as advance:
        return {
            label: follow(run, grid, column, generate, jax.random.clone(families), test, advance)
            for label, (column, grid) in placed(run, asked).items()
        }


def watch(run: Run, asked: Mapping[int, Grid]) -> Measure:
    """What to measure during training: mean R^2 and Pearson's correlation of every class, on validation (Figures 9 to 18)."""
    families = jax.random.split(
        keys.stream(run.config.seed, "alignment during training"), run.config.training.alignment_families
    )
    validation, epsilon = on_device(run.dataset.validation), run.config.evaluation.alignment_epsilon

    def measure(generate: Generator) -> dict[str, float]:
        values = {}
        for label, (column, grid) in placed(run, asked).items():
            found = follow(
                run, grid, column, generate, jax.random.clone(families), validation, lambda count: None
            )
            r2 = alignment.prompt_alignment(found.targets, found.observed, epsilon)
            values[f"r2_{label}"] = float(r2.mean())
            values[f"pearson_{label}"] = float(alignment.pearson(found.targets, found.observed).mean())
        return values

    return measure


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
