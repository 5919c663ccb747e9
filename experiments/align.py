"""Does a network do what its prompt says? Prompt sweeps and their rows (section A.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.measure import METHOD, context
from experiments.run import Run, on_device
from hyperforget_jax import classifier, keys
from hyperforget_jax.diffusion.generator import Generator
from hyperforget_jax.evaluate import alignment
from hyperforget_jax.evaluate.rows import Row, rows_of
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo.store import Zoo

Floats = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sweep:
    """Prompt alignment of one class: targets [P], observed test losses [F, P], and the loss when learned."""

    targets: Floats
    observed: Floats
    learned: float


def sweeps(run: Run, zoo: Zoo, generate: Generator) -> dict[int, Sweep]:
    """Prompts every forgettable class over its grid; keys are labels. A family shares its noise over the grid."""
    config = run.config.evaluation
    known, _ = zoo.split(run.config.zoo.runs, run.config.zoo.validation_share)
    base = prompts.learned(known.losses, config.learned_share)
    families = jax.random.split(keys.stream(run.config.seed, "alignment"), config.alignment_families)
    count = config.alignment_prompts
    each = jnp.repeat(families, count)  # [F * P]
    test = on_device(run.dataset.test)
    found = {}
    total = len(run.forgettable) * len(each)
    with run.timed("alignment"), track(run.console, "alignment", total, "networks") as advance:
        for swept in run.forgettable:
            grid = prompts.sweep(
                known.losses, known.accuracies, swept, base, count, config.alignment_quantiles
            )
            networks = generate(each, jnp.tile(jnp.asarray(grid), (config.alignment_families, 1)), advance)
            losses, _ = classifier.class_scores_of_many(networks, *test)  # [F * P, K]
            observed = np.asarray(losses)[:, swept].reshape(-1, count).astype(np.float64)
            label = run.dataset.classes[swept]
            found[label] = Sweep(grid[:, swept].astype(np.float64), observed, float(base[swept]))
    return found


def alignment_rows(run: Run, found: Mapping[int, Sweep]) -> list[Row]:
    """R^2 (equation 6) and Pearson's correlation per family, for every swept class."""
    config, rows = run.config.evaluation, []
    about = context(run, METHOD, ())
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
