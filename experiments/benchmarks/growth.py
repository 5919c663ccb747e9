"""How the cost of a checkpoint grows with runs per block, hidden units and classes, one of them varied at a time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from experiments.benchmarks import clock, ours, task
from experiments.benchmarks.pieces import Pieces
from experiments.benchmarks.task import Task
from hyperforget_jax.config import ZooConfig
from hyperforget_jax.report.style import OURS, WIDTH, styled
from hyperforget_jax.zoo.train import Images

Table = list[dict[str, Any]]


class Size(NamedTuple):
    """What may vary."""

    runs_per_block: int
    hidden_units: int
    classes: int


def sizes(pieces: Pieces) -> dict[str, list[Size]]:
    """What is varied to the sizes of its table: the common size with that field replaced."""
    ranges = pieces.growth_runs, pieces.growth_hidden, pieces.growth_classes
    return varied(Size(*pieces.growth_from), ranges)


def varied(common: Any, ranges: Sequence[tuple[int, ...]]) -> dict[str, list[Any]]:
    """Fields of a named tuple, in order, to that tuple with every value of the field's range in turn."""
    return {
        name: [common._replace(**{name: value}) for value in values]
        for name, values in zip(common._fields, ranges, strict=True)
    }


def measure(
    block: Task, config: ZooConfig, pieces: Pieces, on_round: Callable[[int], None]
) -> dict[str, Table]:
    """Times blocks of every size in the same rounds, with the same steps per checkpoint and scoring on the same images.

    Args:
      block: whose images are used.
      config: its protocol.
      pieces: what is varied and how much is timed.
      on_round: called with 1 after every round.

    Returns:
      What is varied to its table: rows with the varied value, `us_per_checkpoint` in microseconds, and `spread`.
    """
    tables, count = sizes(pieces), pieces.growth_snapshots
    work = {
        str(size): ours.block(resized(block, config, *size), count)
        for size in sorted(set().union(*tables.values()))
    }
    timings = clock.alternate(work, pieces.growth_rounds, pieces.seconds, on_round)

    def row(name: str, size: Size) -> dict[str, Any]:
        best, spread = timings[str(size)]
        checkpoints = size.runs_per_block * count
        return {name: getattr(size, name), "us_per_checkpoint": best / checkpoints * 1e6, "spread": spread}

    return {name: [row(name, size) for size in table] for name, table in tables.items()}


def resized(block: Task, config: ZooConfig, runs: int, hidden: int, classes: int) -> Task:
    """A block of another size on the same images; labels are taken modulo the classes, so that every size has the same work to score.

    Args:
      block: whose images are used.
      config: the protocol.
      runs: R.
      hidden: H, in one hidden layer.
      classes: K.
    """
    training, validation = (
        Images(images, labels % classes) for images, labels in (block.training, block.validation)
    )
    _, key = block.keys()
    sizes, forgettable = (block.sizes[0], hidden, classes), tuple(range(1, classes))
    return task.make(key, replace(config, runs_per_block=runs), training, validation, sizes, forgettable)


@styled
def figure(tables: dict[str, Table]) -> Figure:
    """Microseconds per checkpoint, one panel for each of what is varied."""
    drawn = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    panels = drawn.subplots(1, len(tables), sharey=True)
    for panel, (varied, table) in zip(panels, tables.items(), strict=True):
        values = [row[varied] for row in table]
        panel.plot(values, [row["us_per_checkpoint"] for row in table], "o-", color=OURS)
        panel.set_xscale("log", base=2)
        panel.set_xticks(values, [str(value) for value in values])
        panel.minorticks_off()
        panel.set_xlabel(varied.replace("_", " "))
    panels[0].set(ylabel="µs per checkpoint", ylim=(0.0, None))  # shared, so once all is drawn
    return drawn
