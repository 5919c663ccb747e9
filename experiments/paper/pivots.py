"""How quality falls with fewer pivots or none: more classes may be forgotten, and more combinations of losses must be learned.

Paper, sections 6 and A.5. Both runs are DiHyFo-2; what one cannot be asked, since a pivot is never forgotten, is a dash.
"""

from collections.abc import Mapping
from typing import Any

from experiments.paper import subsets
from experiments.paper.leaf import Leaf
from experiments.paper.made import Made, Runs
from hyperforget_jax.report import paper_figures
from hyperforget_jax.report.tables import braces, markdown, number
from hyperforget_jax.workdir import zoo_place
from hyperforget_jax.zoo import store

METHOD = "dihyfo2"
FEWER = {"mnist4": "mnist4_nopivots", "mnist": "mnist_fewpivots"}
"""Setting to that with fewer pivots."""
ACCURACIES = {"selected": "selected", "gap": "gap", "forget": "forget, all"}
ALIGNMENT = {"r2": "R²", "pearson": "Pearson"}


def fewer(setting: str, runs: Runs) -> Leaf:
    """Accuracies of the forget sets that were asked, and prompt alignment of every class, with the usual pivots and with fewer."""
    both = {name: runs.one(name, METHOD) for name in (setting, FEWER[setting])}
    found = {name: subsets.of_rows(made.rows, METHOD) for name, made in both.items()}
    fewest, worst = found[FEWER[setting]], subsets.worst(found[FEWER[setting]])
    lines: list[dict[str, Any]] = [
        {"about": braces(forget)}
        | {
            f"{name}_{one}": getattr(each.get(forget), one, None)
            for one in ACCURACIES
            for name, each in found.items()
        }
        for forget in fewest
    ]
    aligned = {name: _alignment(made) for name, made in both.items()}
    classes: list[dict[str, Any]] = [
        {"about": f"class {label}"}
        | {f"{name}_{one}": each.get((label, one)) for one in ALIGNMENT for name, each in aligned.items()}
        for label in both[FEWER[setting]].labels
    ]
    words = (
        f"DiHyFo-2, test images, strict; {'; '.join(map(_told, both.values()))}. Selected: mean retain accuracy of the selected networks; "
        "gap: by how much they fall below the retrained ones' median; forget: mean forget accuracy of all samples. "
        f"The worst with fewer pivots, of the {len(fewest)} that were asked, is {braces(worst)}: {number(fewest[worst].gap)}.\n"
    )
    tables = "\n".join(
        markdown(
            (
                first,
                *(f"{what}, {pivots}" for what in whats.values() for pivots in map(_pivots, both.values())),
            ),
            "l" + 2 * len(whats) * "r",
            [[line["about"], *map(number, list(line.values())[1:])] for line in body],
        )
        for first, whats, body in (("Forget", ACCURACIES, lines), ("Class", ALIGNMENT, classes))
    )
    name = f"pivots-{setting}"
    figure = paper_figures.subsets(fewest, worst)
    return Leaf(f"Fewer pivots, {setting}", f"{words}\n{tables}", lines, {name: figure})


def _alignment(made: Made) -> Mapping[tuple[int, str], float]:
    return {
        (row["class"], row["metric"].removeprefix("alignment_")): row["value"]
        for row in made.rows
        if row["metric"] in ("alignment_r2", "alignment_pearson") and row["statistic"] == "mean"
    }


def _pivots(made: Made) -> str:
    pivots = made.run.config.task.pivots
    return f"pivots {braces(pivots)}" if pivots else "no pivots"


def _told(made: Made) -> str:
    config = made.run.config
    zoo, words = store.read_summary(zoo_place(config)), f"{config.training.steps:,} training steps"
    if zoo is not None:  # a zoo may be deleted once its hypernetwork is trained
        covered = sum(kept > 0 for kept in zoo["kept"])
        words = f"{zoo['checkpoints']:,} checkpoints of {covered} combinations of losses, {words}"
    return f"{_pivots(made)}: {words}"
