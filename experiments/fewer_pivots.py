"""How quality falls with fewer pivots or none: `python -m experiments.reproduce pivots-mnist4`.

More classes may be forgotten, and more combinations of losses must be learned (paper, sections 6 and A.5).
Both runs are DiHyFo-2; what one cannot be asked, since a pivot is never forgotten, is a dash.
"""

from collections.abc import Iterable
from typing import Any

from hyperforget_jax.metrics.results import Row, frame_of
from hyperforget_jax.pipeline import alignment, cache, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.run_folder import FinishedRun, RunFolder
from hyperforget_jax.pipeline.workdir import identity, zoo_path
from hyperforget_jax.report import forget_set_heatmap, tables
from hyperforget_jax.report.result import Result, number_table
from hyperforget_jax.report.tables import braces, number
from hyperforget_jax.zoo import storage

METHOD = "dihyfo2"
FEWER = {"mnist4": "mnist4_nopivots", "mnist": "mnist_fewpivots"}
"""Setting to that with fewer pivots."""
FOLDER = "usual_grid"
ACCURACIES = {"selected": "selected", "gap": "gap", "forget": "forget, all"}
ALIGNMENT = {"alignment_r2_mean": "R²", "alignment_pearson_mean": "Pearson"}


def fewer(setting: str, runs: RunFolder) -> Result:
    """Accuracies of the forget sets that were asked, and prompt alignment of every class, with the usual pivots and with fewer."""
    usual, less = (runs.open(name, METHOD) for name in (setting, FEWER[setting]))
    found = {_pivots(one): forget_set_heatmap.accuracies(one.rows, METHOD) for one in (usual, less)}
    measured = {_pivots(one): one.rows for one in (usual, less)}
    measured[f"{_pivots(less)}, grid of the other"] = _on_grid_of(usual.run, less.run)
    aligned = {
        name: {line.Index: line for line in tables.alignment(frame_of(rows)).itertuples()}
        for name, rows in measured.items()
    }
    fewest = found[_pivots(less)]
    worst = forget_set_heatmap.worst(fewest)
    accuracies: list[dict[str, Any]] = [
        {"about": braces(forget)}
        | {
            f"{what}, {name}": getattr(each.get(forget), one, None)
            for one, what in ACCURACIES.items()
            for name, each in found.items()
        }
        for forget in fewest
    ]
    by_class: list[dict[str, Any]] = [
        {"about": f"class {label}"}
        | {
            f"{what}, {name}": getattr(each.get(label), one, None)
            for one, what in ALIGNMENT.items()
            for name, each in aligned.items()
        }
        for label in less.labels
    ]
    words = (
        f"DiHyFo-2, test images, strict; {_described(usual)}; {_described(less)}. Selected: mean retain accuracy of the selected models; "
        "gap: by how much they fall below the retrained ones' median; forget: mean forget accuracy of all samples. "
        f"The worst with fewer pivots, of the {len(fewest)} that were asked, is {braces(worst)}: {number(fewest[worst].gap)}. "
        "A grid ends at a quantile of the class's loss among checkpoints that know the other classes: fewer pivots leave fewer of these, "
        "and a short grid makes R² small. The last columns follow the grid of the usual pivots.\n"
    )
    text = "\n".join((words, *(number_table(["", *list(table[0])[1:]], table) for table in (accuracies, by_class))))
    figure = forget_set_heatmap.heatmap(fewest)
    return Result(f"Fewer pivots, {setting}", text, accuracies, {f"pivots-{setting}": figure})


def _on_grid_of(usual: Run, run: Run) -> list[dict[str, Any]]:
    """Results of the run's prompt alignment on the grids of the usual one, measured once: `usual_grid/` in its workdir."""
    return cache.rows(run, FOLDER, lambda: _measured(usual, run), grid_of=identity(usual.config))


def _measured(usual: Run, run: Run) -> Iterable[Row]:
    generate = training.generator_of(run, training.train_hypernetwork(run, *pipeline_zoo.split_zoo(run)).hypernetwork)
    grids = alignment.grids(usual, pipeline_zoo.split_zoo(usual)[0])
    return alignment.alignment_rows(run, alignment.followed(run, grids, generate))


def _pivots(finished: FinishedRun) -> str:
    pivots = finished.run.config.task.pivots
    return f"pivots {braces(pivots)}" if pivots else "no pivots"


def _described(finished: FinishedRun) -> str:
    config = finished.run.config
    zoo, words = storage.read_summary(zoo_path(config)), f"{config.training.steps:,} training steps"
    if zoo is not None:  # a zoo may be deleted once its hypernetwork is trained
        covered = sum(kept > 0 for kept in zoo["kept"])
        words = f"{zoo['checkpoints']:,} checkpoints of {covered} combinations of losses, {words}"
    return f"{_pivots(finished)}: {words}"
