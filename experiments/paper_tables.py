"""Tables 1 to 5 of the paper with ours beside them: `python -m experiments.reproduce table1`.

A line has what the paper prints, ours under the strict protocol and under the paper's own, and the reference models.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import alignment
from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.results import REFERENCE as RETRAINED
from hyperforget_jax.pipeline import paper_protocol
from hyperforget_jax.pipeline.run_folder import RunFolder
from hyperforget_jax.report.result import METHODS, Result, number_table
from hyperforget_jax.report.style import INK, LEVEL, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import METRICS, STATISTICS, Row, braces, interval, markdown, number, select
from hyperforget_jax.runtime import artifacts

PAPER_VALUES = Path(__file__).with_name("paper_values.jsonl")
TITLE_WIDTH = 12
"""Letters in a line of a panel's title: five panels stand side by side."""
FILLS = {"dihyfo1": "none", "dihyfo2": OURS}
"""Of the marks of ours: hollow for DiHyFo-1."""
PROTOCOL = (
    "On test images. Strict: validation images label the zoo and choose prompts and models; test images only report. Best: the mean of "
    "{best} models selected from {samples}. The paper’s protocol selects on test images. Retrained: {seeds} models for each forget "
    "set, by a recipe tuned for accuracy. Neither higher nor lower is better: the aim is to lie inside their 5–95%.\n"
)
AGREEMENT = "Overlap and φ of a model: the median of its agreements with every retrained one; of a retrained one, with the others.\n"
TABLES = {
    1: ("mnist", "Performance of unlearned models on MNIST"),
    2: ("mnist", "Agreement with retrained models on MNIST"),
    3: ("mnist4", "Performance of unlearned models on MNIST-4"),
    4: ("mnist4", "Agreement with retrained models on MNIST-4"),
}
COLUMNS = (
    *("Forget", "Measure", "Method", "Printed", "Best, strict", "Best, paper’s protocol", "All, median"),
    *("Retrained, printed", "Retrained, mean", "Retrained, 5–95%", "Against the reference models"),
)

BESIDE = {"phi_badt": "phi_jsd"}
"""Measures that the paper prints, and ours that go with them."""


def table(which: int, runs: RunFolder) -> Result:
    """Tables 1 to 4."""
    setting, title = TABLES[which]
    finished = runs.of(setting)
    found = lines(
        printed_values(which),
        {method: one.rows for method, one in finished.items()},
        {method: paper_protocol.rows(one.run) for method, one in finished.items()},
    )
    config = next(iter(finished.values())).run.config
    words = PROTOCOL.format(
        best=config.request.num_selected, samples=config.request.samples, seeds=config.reference.seeds
    )
    words += AGREEMENT if which in (2, 4) else ""
    return Result(
        f"Table {which}. {title}", f"{words}\n{to_markdown(found)}", to_rows(found), {f"table{which}": picture(found)}
    )


def table5(runs: RunFolder) -> Result:
    """Table 5: alignment and correlation of class 2, family by family."""
    finished = runs.open("mnist4", "dihyfo2")
    sweep, epsilon = finished.sweeps[2], finished.run.config.evaluation.alignment_epsilon
    ours = {
        "alignment_r2": alignment.prompt_alignment(sweep.targets, sweep.observed, epsilon),
        "alignment_pearson": alignment.pearson(sweep.targets, sweep.observed),
    }
    rows = printed_values(5)
    theirs: dict[str, list[float]] = {
        metric: [row["value"] for row in rows if row["metric"] == metric and row["family"] is not None]
        for metric in ours
    }
    columns = {f"printed_{name}": theirs[name] for name in ours} | {f"ours_{name}": ours[name] for name in ours}
    families = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    lines: list[dict[str, Any]] = [
        {"family": family} | {str(name): None if pd.isna(value) else value for name, value in line.items()}
        for family, line in enumerate(families.to_dict("records"))
    ]
    heads = ("Family", "R², printed", "Pearson, printed", "R², ours", "Pearson, ours")
    table = number_table(heads, lines) + f"| average | {' | '.join(map(number, families.mean()))} |\n"
    words = f"DiHyFo-2 on MNIST-4, class 2, {len(sweep.targets)} prompts, families in no order, none left out; test images.\n"
    printed_pairs, pairs = (list(zip(*values.values(), strict=True)) for values in (theirs, ours))
    return Result(
        "Table 5. Prompt alignment and correlation, class 2 of MNIST-4",
        f"{words}\n{table}",
        lines,
        {"table5": scatter(printed_pairs, pairs, least=-1.0)},
    )


def printed_values(table: int) -> list[dict[str, Any]]:
    """Rows of one of the paper's tables: "table", "dataset", "method", "metric", "value".

    Tables 1 to 4 have a "forget_set"; their unlearning score stands as `phi_badt`, since several of its values are impossible for a true
    Jensen-Shannon divergence. Table 5 has a "class" and a "family", None for the average.
    """
    return [row for row in artifacts.read_rows(PAPER_VALUES) if row["table"] == table]


@dataclass(frozen=True)
class PaperLine:
    """One printed value with ours.

    Attributes:
      forget_set: labels.
      metric: a name in `METRICS`.
      method: dihyfo1 or dihyfo2.
      printed: in the paper; None: not printed.
      strict: mean of the models selected on validation.
      paper: mean of the models selected on test, as the paper did.
      unselected: median of all samples, unselected.
      printed_reference: the paper's retrained model; None: not printed.
      reference_mean: of our retrained models.
      reference_low: their 5% quantile.
      reference_high: their 95% quantile.
      place: where `strict` lies against the reference models, all as printed.
    """

    forget_set: tuple[int, ...]
    metric: str
    method: str
    printed: float | None
    strict: float
    paper: float
    unselected: float
    printed_reference: float | None
    reference_mean: float
    reference_low: float
    reference_high: float
    place: str


def lines(
    printed: Sequence[Row], strict: Mapping[str, Sequence[Row]], paper: Mapping[str, Sequence[Row]]
) -> list[PaperLine]:
    """One line per value that a table prints for a hypernetwork, by measure, forget set and method; `BESIDE` adds to them.

    Args:
      printed: the table's rows.
      strict: method to its rows of `results.jsonl`.
      paper: method to its rows under the paper's protocol.

    Raises:
      HyperForgetError: a forget set that the table prints was not asked for.
    """
    theirs: dict[tuple[str, tuple[int, ...], str], float | None] = {
        (row["method"], tuple(row["forget_set"]), row["metric"]): row["value"] for row in printed
    }
    theirs |= {(method, forget_set, BESIDE[metric]): None for method, forget_set, metric in theirs if metric in BESIDE}
    best = {name: select(rows, (name,), "selected") for name, rows in strict.items()}
    unselected = {name: select(rows, (name,), "all") for name, rows in strict.items()}
    selected = {name: select(rows, (name,), "selected") for name, rows in paper.items()}
    references = {name: select(rows, (RETRAINED,), None) for name, rows in strict.items()}
    found = []
    for (method, forget_set, metric), value in theirs.items():
        if method == RETRAINED:
            continue
        about = forget_set, metric
        if (*about, "mean") not in best[method]:
            raise HyperForgetError(
                f"the rows of {method} have no {metric} for forget set {braces(forget_set)}, which the paper prints: "
                "leave task.forget_sets as it is"
            )
        mean, _, low, high = (references[method][*about, name]["value"] for name in STATISTICS)
        ours = best[method][*about, "mean"]["value"]
        values: list[Any] = [*about, method, value, ours]
        values += [selected[method][*about, "mean"]["value"], unselected[method][*about, "median"]["value"]]
        values += [theirs.get((RETRAINED, *about)), mean, low, high, str(relative_to(ours, low, high))]
        found.append(PaperLine(*values))
    order = list(dict.fromkeys((line.forget_set, line.metric) for line in found))
    return sorted(found, key=lambda line: order.index((line.forget_set, line.metric)))


def cells(line: PaperLine) -> tuple[str, ...]:
    """The texts of a line under `COLUMNS`."""
    forget_set, metric, method, *values, low, high, place = vars(line).values()
    names = braces(forget_set), METRICS[metric].name, METHODS[method]
    return (*names, *map(number, values), interval(low, high), place)


def to_markdown(found: Iterable[PaperLine]) -> str:
    """The table as Markdown."""
    return markdown(COLUMNS, "lllrrrrrrrl", map(cells, found))


def to_rows(found: Iterable[PaperLine]) -> list[dict[str, Any]]:
    """The table for a CSV file: one object per line, values unrounded, the forget set as `2-3`."""
    return [vars(line) | {"forget_set": "-".join(map(str, line.forget_set))} for line in found]


@styled
def picture(lines: Sequence[PaperLine]) -> Figure:
    """A table as a picture: one panel per measure, one row per forget set and method.

    Ours (strict) are circles, the paper's printed values crosses, the paper's retrained model a bar, ours the 5-95% range.
    """
    metrics = list(dict.fromkeys(line.metric for line in lines))
    rows = list(dict.fromkeys((line.forget_set, line.method) for line in lines))
    figure = Figure(figsize=(WIDTH, 0.9 + 0.3 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        for line in (line for line in lines if line.metric == metric):
            _row(panel, -rows.index((line.forget_set, line.method)), line)
        panel.set_title(textwrap.fill(METRICS[metric].name, TITLE_WIDTH), fontsize=9.0)
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.margins(x=0.12)
        panel.set_ylim(0.5 - len(rows), 0.5)
        panel.grid(visible=False, axis="y")
        panel.tick_params(axis="y", length=0)
    names = [f"{braces(forget)}  {METHODS[method]}" for forget, method in rows]
    panels[0].set_yticks([-index for index in range(len(rows))], names)
    handles, labels = panels[0].get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=4)
    return figure


def _row(panel: Axes, height: int, line: PaperLine) -> None:
    panel.plot(
        [line.reference_low, line.reference_high],
        [height, height],
        color=REFERENCE,
        alpha=0.35,
        linewidth=7,
        solid_capstyle="butt",
        label="retrained, 5–95%",
    )
    if line.printed_reference is not None:
        panel.plot(line.printed_reference, height, "|", color=REFERENCE, markersize=11, label="retrained, printed")
    if line.printed is not None:
        panel.plot(line.printed, height, "x", color=INK, markersize=6, label="printed")
    panel.plot(line.strict, height, "o", color=OURS, markerfacecolor=FILLS[line.method], markersize=6, label="ours")


@styled
def scatter(printed: Sequence[tuple[float, float]], ours: Sequence[tuple[float, float]], least: float) -> Figure:
    """Prompt alignment against correlation of every family (Table 5), the paper's beside ours.

    Args:
      printed: R^2 and Pearson's correlation of the paper's families.
      ours: those of our families.
      least: R^2 at which a mark stays, however far below it is.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panel = figure.subplots()
    for values, colour, mark, name in ((printed, INK, "x", "printed"), (ours, OURS, "o", "ours")):
        r2, pearson = np.array(values).T
        label = f"{name}: mean R² {r2.mean():.3f}, mean Pearson {pearson.mean():.3f}"
        panel.plot(np.maximum(r2, least), pearson, mark, color=colour, alpha=0.7, label=label, clip_on=False)
    panel.axhline(1.0, color=LEVEL, linewidth=0.8)
    panel.axvline(1.0, color=LEVEL, linewidth=0.8)
    panel.set(
        xlabel=f"prompt alignment R² of a family ({least:g} stands for that or less)",
        ylabel="Pearson's correlation",
        xlim=(least - 0.1, 1.1),
    )
    panel.legend(loc="lower right")
    return figure
