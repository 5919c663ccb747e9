"""How far trainings of one hypernetwork differ: `python -m experiments.reproduce seeds-mnist4-dihyfo2`.

The same zoo and the same requests, other seeds of the training.
"""

from collections.abc import Sequence
from typing import Any

from hyperforget_jax.pipeline import training
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.report.result import METHODS, Result, alignment_means, number_table
from hyperforget_jax.report.tables import braces, select

SEEDS = (1, 2)
"""Seeds of further trainings, beside the run's own."""
STATISTICS = (
    ("retain, all, median", 0, "retain_accuracy", "median"),
    ("retain, selected, mean", 1, "retain_accuracy", "mean"),
    ("forget, all, mean", 0, "forget_accuracy", "mean"),
)
"""What is compared for every forget set: words, selection (all, selected), metric, statistic."""


def over_seeds(setting: str, method: str, runs: RunFolder) -> Result:
    """Accuracies and prompt alignment of every training, with their mean and their ends."""
    first = runs.open(setting, method)
    further = [seed for seed in SEEDS if seed != training.training_seed(first.run.config)]
    trainings = [first, *(runs.open(setting, method, seed) for seed in further)]
    tables = [tuple(select(one.rows, (method,), selection) for selection in ("all", "selected")) for one in trainings]
    lines: list[dict[str, Any]] = [
        {
            "about": f"{braces(forget)}, {words}",
            **_spread([table[which][forget, metric, statistic]["value"] for table in tables]),
        }
        for forget in first.run.config.task.forget_sets
        for words, which, metric, statistic in STATISTICS
    ]
    means = [alignment_means(one.rows) for one in trainings]
    lines += [
        {"about": f"class {label}, {name}, mean", **_spread([each[label, method, metric] for each in means])}
        for label in first.labels
        for name, metric in (("R²", "alignment_r2"), ("Pearson", "alignment_pearson"))
    ]
    seeds = (f"Seed {training.training_seed(one.run.config)}" for one in trainings)
    words = f"{METHODS[method]}, {setting}: {len(trainings)} trainings on one zoo, test images, strict.\n"
    return Result(
        f"Seeds of the training, {METHODS[method]}, {setting}",
        f"{words}\n{number_table(('', 'Mean', 'Least', 'Greatest', *seeds), lines)}",
        lines,
        {},
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and ends of some values, and the values."""
    ends = {"mean": sum(values) / len(values), "least": min(values), "greatest": max(values)}
    return ends | {f"training_{number}": value for number, value in enumerate(values)}
