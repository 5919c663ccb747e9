"""From what was measured to tidy rows: one statistic of one metric is one line of `results.jsonl`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hyperforget_jax.evaluate.results import Context, Ideal, Row, Selection, rows_of
from hyperforget_jax.pipeline.evaluation import Evaluated, Floats
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report.tables import REFERENCE


def context(run: Run, method: str, forget: tuple[int, ...]) -> Context:
    """Fields common to the rows of one evaluation; forget by labels."""
    sizes = "-".join(str(size) for size in run.sizes)
    return Context(run.dataset_name, sizes, method, forget, None, "test", "strict")


def unlearning_rows(run: Run, found: list[Evaluated]) -> list[Row]:
    """Rows of every request: all samples, the selected ones, the reference models."""
    rows: list[Row] = []
    for one in found:
        about = context(run, run.config.hypernetwork.kind, one.forget_set)
        selections: dict[Selection, Any] = {"all": slice(None), "selected": one.selected}
        for selection, kept in selections.items():
            ours = replace(about, selection=selection)
            rows += expand(run, ours, {name: column[kept] for name, column in one.generated.items()})
            rows += expand_classes(
                run, ours, {name: table[kept] for name, table in one.generated_classes.items()}
            )
        rows += expand(run, replace(about, method=REFERENCE), one.retrained)
        rows += expand_classes(run, replace(about, method=REFERENCE), one.retrained_classes)
    return rows


def expand(run: Run, about: Context, values: Mapping[str, Floats]) -> list[Row]:
    """Rows of metrics of whole image sets, [N] each."""
    found = []
    for name, column in values.items():
        ideal: Ideal = 0.0 if name == "forget_accuracy" else "reference"
        found += rows_of(column, about, metric=name, class_=None, ideal=ideal, **resampling(run))
    return found


def expand_classes(run: Run, about: Context, values: Mapping[str, Floats]) -> list[Row]:
    """Rows of metrics of single classes, [N, K] each."""
    found = []
    for name, table in values.items():
        for label, column in zip(run.dataset.classes, table.T, strict=True):
            found += rows_of(column, about, metric=name, class_=label, ideal="reference", **resampling(run))
    return found


def resampling(run: Run) -> dict[str, int]:
    """How the intervals of a run's rows are bootstrapped."""
    return {"resamples": run.config.evaluation.bootstrap, "seed": run.config.seed}
