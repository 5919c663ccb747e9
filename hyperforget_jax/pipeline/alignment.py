"""Does a model do what its prompt says? Prompt sweeps and their rows (section A.4)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.diffusion import targets
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import alignment
from hyperforget_jax.metrics.results import Context, Row, rows_of
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline.evaluation import Floats, context, resampling
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.training import Measure
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts
from hyperforget_jax.zoo.statistics import ZooStatistics
from hyperforget_jax.zoo.storage import Zoo
from hyperforget_jax.zoo.train import Images


@dataclass(frozen=True)
class Sweep:
    """Prompt alignment of one class.

    Attributes:
      targets: [P], losses of the class in the prompts; or [F, P] of every family.
      observed: [F, P], what F families of models reached.
      learned: the loss of models that have learned the class.
      pivots: [F, P], accuracy on the classes that are never forgotten; None: there are none, or it was not measured.
    """

    targets: Floats
    observed: Floats
    learned: float
    pivots: Floats | None = None


@dataclass(frozen=True)
class Grid:
    """Prompts [P, M] that sweep one column, or [F, P, M] for each family; and its value when learned."""

    prompts: Floats
    learned: float


def validate_metric(run: Run) -> None:
    """Refuses a condition that tells no class from another.

    Raises:
      HyperForgetError: names the metric.
    """
    if run.config.hypernetwork.metric != "class_losses":
        raise HyperForgetError(
            f"hypernetwork.metric is {run.config.hypernetwork.metric}: requests and sweeps of classes need class_losses; "
            "experiments.gpt measures the others"
        )


def grids(run: Run, zoo: Zoo | ZooStatistics) -> dict[int, Grid]:
    """The sweep of every class that a request may forget and may retain, from the zoo's training part; keys are labels."""
    config = run.config.evaluation
    base = prompts.learned(zoo.losses, config.learned_share)
    count, ends = config.alignment_prompts, config.alignment_quantiles
    return {
        run.dataset.classes[swept]: Grid(
            prompts.sweep(zoo.losses, zoo.accuracies, swept, base, count, ends), float(base[swept])
        )
        for swept in run.forgettable
        if run.dataset.classes[swept] not in run.config.task.always
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
    """Models for every prompt of a grid; a family shares its noise over the grid.

    Args:
      run: its config says what a prompt is.
      grid: of prompts [P, M], or [F, P, M].
      column: of the prompts, the one that is swept.
      generate: the hypernetwork.
      families: [F], keys.
      images: to measure on.
      advance: called with the number of models just made.
    """
    count = grid.prompts.shape[-2]  # P
    each = jnp.repeat(families, count)  # [F * P]
    shape = (len(families), *grid.prompts.shape[-2:])
    tiled = jnp.broadcast_to(jnp.asarray(grid.prompts), shape).reshape(-1, shape[-1])  # [F * P, M]
    scores = classifier.class_scores_of_many(generate(each, tiled, advance), *images)  # [F * P, K] each
    values = targets.observe(run.config.hypernetwork, *scores)  # [F * P, M]
    observed = np.asarray(values, np.float64)[:, column].reshape(-1, count)  # [F, P]
    kept = list(run.dataset.positions(run.config.task.pivots))
    pivots = np.asarray(scores[1], np.float64)[:, kept].mean(1).reshape(observed.shape) if kept else None
    return Sweep(grid.prompts[..., column].astype(np.float64), observed, grid.learned, pivots)


def by_position(run: Run, grids: Mapping[int, Grid]) -> dict[int, tuple[int, Grid]]:
    """Every label's output position and grid."""
    return {label: (run.dataset.positions((label,))[0], grid) for label, grid in grids.items()}


def sweeps(run: Run, grids: Mapping[int, Grid], generate: Generator) -> dict[int, Sweep]:
    """The sweep of every class, measured on test; an artifact."""
    folder = run.folder / "alignment"
    if not run.reuses("alignment", folder, identity(run.config), run.inputs):
        with run.timed("alignment", resumes=False):
            measured = followed(run, grids, generate)
        with artifacts.new_artifact(folder, identity(run.config), run.inputs) as partial:
            for label, sweep in measured.items():
                arrays = {name: value for name, value in vars(sweep).items() if value is not None}
                np.savez(partial / f"{label}.npz", **arrays)
    return stored(run, grids)


def stored(run: Run, labels: Iterable[int]) -> dict[int, Sweep]:
    """The sweeps of a finished run, by label."""
    sweeps = {}
    for label in labels:
        with np.load(run.folder / "alignment" / f"{label}.npz", allow_pickle=False) as arrays:
            sweeps[label] = Sweep(arrays["targets"], arrays["observed"], float(arrays["learned"]), arrays.get("pivots"))
    return sweeps


def followed(run: Run, grids: Mapping[int, Grid], generate: Generator) -> dict[int, Sweep]:
    """The sweep of every class, measured on test anew."""
    config = run.config.evaluation
    families = jax.random.split(prng.stream(run.config.seed, "alignment"), config.alignment_families)
    test = on_device(run.dataset.test)
    total = len(grids) * len(families) * config.alignment_prompts
    with track(run.console, "alignment", total, "models") as advance:
        return {
            label: follow(run, grid, column, generate, jax.random.clone(families), test, advance)
            for label, (column, grid) in by_position(run, grids).items()
        }


def watch(run: Run, grids: Mapping[int, Grid]) -> Measure:
    """What to measure during training: mean R^2 and Pearson's correlation of every class, on validation (Figures 9 to 18)."""
    noise = prng.stream(run.config.seed, "alignment during training")
    families = jax.random.split(noise, run.config.training.alignment_families)
    validation = on_device(run.dataset.validation)

    def measure(generate: Generator) -> dict[str, float]:
        values: dict[str, float] = {}
        for label, (column, grid) in by_position(run, grids).items():
            sweep = follow(run, grid, column, generate, jax.random.clone(families), validation, lambda count: None)
            values |= {f"{name}_{label}": value for name, value in means(run, sweep).items()}
        return values

    return measure


def evolution(training: Path) -> list[dict[str, Any]]:
    """What `watch` recorded in a training's folder; nothing if it was not measured."""
    path = training / f"{stages.ALIGNMENT_CURVE}.jsonl"
    return artifacts.read_rows(path) if path.exists() else []


def means(run: Run, sweep: Sweep) -> dict[str, float]:
    """R^2 (equation 6) and Pearson's correlation of a sweep, means over its families; and the least accuracy on pivots."""
    r2 = alignment.prompt_alignment(sweep.targets, sweep.observed, run.config.evaluation.alignment_epsilon)
    values = {"r2": float(r2.mean()), "pearson": float(alignment.pearson(sweep.targets, sweep.observed).mean())}
    return values if sweep.pivots is None else values | {"pivots": least_pivots(sweep.pivots)}


def least_pivots(pivots: Floats) -> float:
    """Of accuracies [F, P] the median over families at the prompt where it is least."""
    return float(np.median(pivots, axis=0).min())


def alignment_rows(run: Run, sweeps: Mapping[int, Sweep]) -> list[Row]:
    """The rows of every swept class."""
    about = context(run, run.config.hypernetwork.kind, ())
    return [row for label, sweep in sweeps.items() for row in sweep_rows(run, about, label, sweep)]


def sweep_rows(run: Run, about: Context, label: int | None, sweep: Sweep) -> list[Row]:
    """R^2 (equation 6) and Pearson's correlation per family; and the median accuracy on pivots at the prompt where it is least.

    Args:
      run: its config says how.
      about: what was measured.
      label: of the swept class; None: the sweep is of no single class.
      sweep: targets and what was observed.
    """
    settings: dict[str, Any] = {"ideal": 1.0, **resampling(run)}
    r2 = alignment.prompt_alignment(sweep.targets, sweep.observed, run.config.evaluation.alignment_epsilon)
    rows = rows_of(r2, about, metric="alignment_r2", class_=label, **settings)
    summary = alignment.summary(r2)
    bare = rows[0] | {"low": None, "high": None}
    rows += [bare | {"statistic": name, "value": summary[name]} for name in ("mean_clipped", "share_aligned")]
    correlation = alignment.pearson(sweep.targets, sweep.observed)
    if sweep.pivots is not None and label is not None:
        least = {"statistic": "value", "value": least_pivots(sweep.pivots)}
        rows.append(bare | {"metric": "alignment_pivot_accuracy"} | least)
    return rows + rows_of(correlation, about, metric="alignment_pearson", class_=label, **settings)
