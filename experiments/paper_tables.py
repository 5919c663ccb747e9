"""Tables 1 to 5 of the paper with ours beside them."""

from typing import Any

from experiments import paper_values
from experiments.leaf import Leaf
from experiments.made import Runs
from hyperforget_jax.metrics import alignment
from hyperforget_jax.pipeline import paper_protocol
from hyperforget_jax.report import paper_figures, paper_tables
from hyperforget_jax.report.tables import markdown, number

PROTOCOL = (
    "On test images. Strict: validation images label the zoo and choose prompts and models; test images only report. Best: the mean of "
    "{best} models selected from {samples}. The paper’s protocol selects on test images. Retrained: {seeds} models for each forget "
    "set. Neither higher nor lower is better: the aim is the reference models of retrained models.\n"
)
AGREEMENT = "Overlap and φ of a model: the median of its agreements with every retrained one; of a retrained one, with the others.\n"
TABLES = {
    1: ("mnist", "Performance of unlearned models on MNIST"),
    2: ("mnist", "Agreement with retrained models on MNIST"),
    3: ("mnist4", "Performance of unlearned models on MNIST-4"),
    4: ("mnist4", "Agreement with retrained models on MNIST-4"),
}


def table(which: int, runs: Runs) -> Leaf:
    """Tables 1 to 4."""
    setting, title = TABLES[which]
    made = runs.of(setting)
    theirs = paper_values.table(which)
    lines = paper_tables.lines(
        theirs,
        {method: each.rows for method, each in made.items()},
        {method: paper_protocol.rows(each.run) for method, each in made.items()},
    )
    config = next(iter(made.values())).run.config
    words = PROTOCOL.format(
        best=config.request.num_selected, samples=config.request.samples, seeds=config.reference.seeds
    )
    words += AGREEMENT if which in (2, 4) else ""
    return Leaf(
        f"Table {which}. {title}",
        f"{words}\n{paper_tables.to_markdown(lines)}",
        paper_tables.to_rows(lines),
        {f"table{which}": paper_figures.table(lines)},
    )


def table5(runs: Runs) -> Leaf:
    """Table 5: alignment and correlation of class 2, family by family."""
    made = runs.one("mnist4", "dihyfo2")
    sweep, epsilon = made.sweeps[2], made.run.config.evaluation.alignment_epsilon
    ours: dict[str, Any] = {
        "alignment_r2": alignment.prompt_alignment(sweep.targets, sweep.observed, epsilon),
        "alignment_pearson": alignment.pearson(sweep.targets, sweep.observed),
    }
    theirs: dict[str, Any] = {
        metric: [
            row["value"]
            for row in paper_values.table(5)
            if row["metric"] == metric and row["family"] is not None
        ]
        for metric in ours
    }
    count = max(len(values) for values in (*ours.values(), *theirs.values()))
    rows = [
        {
            "family": family,
            **{f"printed_{name}": _at(values, family) for name, values in theirs.items()},
            **{f"ours_{name}": _at(values, family) for name, values in ours.items()},
        }
        for family in range(count)
    ]
    average = [sum(values) / len(values) for values in (*theirs.values(), *ours.values())]
    body = [[str(row["family"]), *map(number, list(row.values())[1:])] for row in rows]
    body.append(["average", *map(number, average)])
    heads = ("Family", "R², printed", "Pearson, printed", "R², ours", "Pearson, ours")
    words = f"DiHyFo-2 on MNIST-4, class 2, {len(sweep.targets)} prompts, families in no order, none left out; test images.\n"
    printed_pairs, pairs = (list(zip(*values.values(), strict=True)) for values in (theirs, ours))
    return Leaf(
        "Table 5. Prompt alignment and correlation, class 2 of MNIST-4",
        f"{words}\n{markdown(heads, 'rrrrr', body)}",
        rows,
        {"table5": paper_figures.families(printed_pairs, pairs, least=-1.0)},
    )


def _at(values: Any, place: int) -> float | None:
    return float(values[place]) if place < len(values) else None
