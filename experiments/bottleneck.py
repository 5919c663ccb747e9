"""The discrete key-value bottleneck on features: what it costs in accuracy, and what a class that is masked leaves (arXiv 2311.15268).

    python -m experiments.bottleneck --data.file FEATURES.npz

FEATURES are vectors of any encoder (docs/your_own_data.md). Every class is forgotten by itself, first along curves over N_a and N_e, then
with the least N_a of the curve at which no image of any tried class is classified as it was; SCRUB on a head of one hidden layer and two
linear heads that are retrained without the class stand beside it. Leaves `bottleneck.md`, `bottleneck.jsonl` and figures/ in the workdir.

  --workdir DIR            default: runs/bottleneck
  --bottleneck.FIELD VALUE a field of the bottleneck's config
  --curve-classes N        classes of the curves (default: 10)
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from experiments import bottleneck_figures as drawings
from experiments import bottleneck_parts as parts
from experiments.bottleneck_parts import Row
from hyperforget_jax.bottleneck import model
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.config import DataConfig
from hyperforget_jax.config.bottleneck import BottleneckConfig, validate_bottleneck
from hyperforget_jax.config.overrides import parse_options
from hyperforget_jax.data import Dataset, load, resolve, validate_data
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing, make_console
from hyperforget_jax.report.tables import to_markdown
from hyperforget_jax.runtime import artifacts, machine
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.runtime.progress import track

POINTS = 14
"""Points of a curve."""
LEAST_SHARE = 1 / 128
"""Share of all pairs at the first point of a curve over N_a."""
FORGOTTEN = 0.0
"""Accuracy on the training images to forget at which a curve has arrived."""
MAPPED, MAPPED_CLASSES = 1000, 10
"""Test images, and classes, of the map."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments of the experiment."""

    data: DataConfig = field(default_factory=lambda: DataConfig(name="arrays", classes=(), validation_size=5000))
    bottleneck: BottleneckConfig = field(default_factory=BottleneckConfig)
    workdir: str = "runs/bottleneck"
    curve_classes: int = 10


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Measures; exit status 0 or 2."""
    options = parse_options(Options, arguments)
    validate_bottleneck(options.bottleneck)
    config = resolve(options.data)
    validate_data(config)
    if options.curve_classes < 1:
        raise HyperForgetError(f"--curve-classes is {options.curve_classes}: choose at least 1")
    folder, console = expand(options.workdir, "--workdir"), make_console()
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    run(load(config), options, folder, console)
    return 0


def run(data: Dataset, options: Options, folder: Path, console: Console) -> None:
    """Trains, forgets, compares, and writes table, rows and figures."""
    config = options.bottleneck
    trained = parts.trained(data, config)
    console.print(listing([{**trained.accuracies, **{f"{name}, s": each for name, each in trained.seconds.items()}}]))
    curves = curves_of(data, trained, options, console)
    number = sufficient(curves["pairs"], config)
    rows = [{"kind": f"curve over {name}", **row} for name, each in curves.items() for row in each]
    before = parts.hits(trained.bottleneck, data.test, config)  # [N]
    with track(console, "classes", data.num_classes, "classes") as advance:
        answers = list[Row]()
        for position in range(data.num_classes):
            answers.append(one_class(data, trained, before, position, number, config))
            advance(1)
    rivals = rivals_of(data, config)
    rows += [{"kind": "class", **row} for row in answers] + [{"kind": "rival", **row} for row in rivals]
    artifacts.write_rows(
        folder / "bottleneck.jsonl", [{"kind": "training", **trained.accuracies, **trained.seconds}, *rows]
    )
    artifacts.write_text(folder / "bottleneck.md", page(data, trained, curves, answers, rivals, number))
    for name, figure in pictures(data, trained, curves, config).items():
        figures.save(figure, folder / "figures", f"bottleneck-{name}")
    console.print(listing(summary(answers, trained)), listing(rivals))
    console.print(f"tables and figures: {folder / 'bottleneck.md'}")


def curves_of(data: Dataset, trained: parts.Trained, options: Options, console: Console) -> dict[str, list[Row]]:
    """Curves over N_a and N_e of some classes."""
    config, positions = options.bottleneck, range(min(options.curve_classes, data.num_classes))
    least = int(min(np.bincount(data.train.labels)))
    total = config.codebooks * config.pairs
    pairs = spaced(max(1, round(LEAST_SHARE * total)), total)
    curves: dict[str, list[Row]] = {"pairs": [], "examples": []}
    with track(console, "curves", len(positions), "classes") as advance:
        for position in positions:
            asked = (trained.bottleneck, data, position)
            curves["pairs"] += [{"class": position, **row} for row in parts.by_activations(*asked, pairs, config)]
            found = parts.by_examples(*asked, spaced(1, least), config)
            curves["examples"] += [{"class": position, **row} for row in found]
            advance(1)
    return curves


def spaced(first: int, last: int) -> list[int]:
    """Whole numbers from the first to the last, equally far apart in their logarithm."""
    return sorted({*np.geomspace(min(first, last), last, POINTS).round().astype(int).tolist()})


def sufficient(rows: Sequence[Row], config: BottleneckConfig) -> int:
    """The least N_a of the curves at which no training image of any tried class is classified as it was; all pairs, if there is none."""
    worst = pd.DataFrame(rows).groupby("pairs")["forget training accuracy"].max()
    arrived = worst.index[worst <= FORGOTTEN]
    return int(arrived.min()) if len(arrived) else config.codebooks * config.pairs


def one_class(
    data: Dataset, trained: parts.Trained, before: parts.Floats, position: int, number: int, config: BottleneckConfig
) -> Row:
    """The answer to one request, what it cost, and what comes back without the mask; `before` has the accuracy on every test image [N]."""
    bottleneck = trained.bottleneck
    (after,) = parts.by_activations(bottleneck, data, position, [number], config)
    back = parts.unmasked(bottleneck, data, position, number, config)
    return {
        "class": position,
        **after,
        "seconds": parts.request_seconds(bottleneck, data, position, number, config),
        "retain accuracy lost": float(before[data.test.labels != position].mean()) - after["retain accuracy"],
        "unmasked, forget training accuracy": back["forget training accuracy"],
    }


def rivals_of(data: Dataset, config: BottleneckConfig) -> list[Row]:
    """The first class forgotten by SCRUB, by a ridge head and by a linear head."""
    statistics, position = parts.ridge_statistics(data), 0
    scrub = parts.scrubbed(data, position, config.seed)
    linear, ridge = parts.linear_head(data, position), parts.ridge_head(statistics, data, position)
    return [
        {
            "head": f"SCRUB, {data.input_size}-{parts.HIDDEN}-{data.num_classes}",
            "accuracy": None,
            "forget accuracy": scrub["forget accuracy after"],
            "retain accuracy": scrub["retain accuracy after"],
            "retain accuracy lost": scrub["retain accuracy before"] - scrub["retain accuracy after"],
            "seconds": scrub["seconds"],
            "flops": scrub["flops"],
        },
        {"head": "logistic regression, retrained", **parts.linear_head(data), **linear},
        {"head": "ridge regression, statistics subtracted", **parts.ridge_head(statistics, data), **ridge},
    ]


def summary(answers: Sequence[Row], trained: parts.Trained) -> list[Row]:
    """Median and worst class of every measure of a request."""
    frame = pd.DataFrame(answers)
    measures = ["masked", "forget training accuracy", "forget accuracy", "retain accuracy lost", "seconds", "flops"]
    measures.append("unmasked, forget training accuracy")
    rows = [{"measure": name, "median": frame[name].median(), "worst class": frame[name].max()} for name in measures]
    return [{"measure": "test accuracy before", "median": trained.accuracies["test"], "worst class": None}, *rows]


def page(
    data: Dataset,
    trained: parts.Trained,
    curves: dict[str, list[Row]],
    answers: Sequence[Row],
    rivals: Sequence[Row],
    number: int,
) -> str:
    """The tables, as Markdown."""
    about = machine.about()
    medians = [
        pd.DataFrame(rows).drop(columns=["class", "flops"]).groupby(name).median().reset_index()
        for name, rows in curves.items()
    ]
    tables = [pd.DataFrame(summary(answers, trained)), pd.DataFrame(rivals), *medians]
    over_scrub = rivals[0]["flops"] / pd.DataFrame(answers)["flops"].median()
    made = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in trained.seconds.items())
    titles = (
        f"Each of {data.num_classes} classes forgotten by itself, N_a = {number}; SCRUB takes {over_scrub:.2g} times the operations",
        f"{names_of(data)[0]} forgotten by other heads",
        "Medians over the classes of the curves, activations",
        "Medians over the classes of the curves, examples",
    )
    body = "\n\n".join(f"{title}.\n\n{texts(each)}" for title, each in zip(titles, tables, strict=True))
    return f"# A bottleneck on {data.name}\n\n{about['date']}, {machine.name()}. Trained in: {made}.\n\n{body}\n"


def text(value: float | str | None) -> str:
    """A cell: counts in full, rates to four digits."""
    if isinstance(value, str) or pd.isna(value):
        return value if isinstance(value, str) else ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def names_of(data: Dataset) -> tuple[str, ...]:
    """What people call the classes."""
    return data.class_names or tuple(map(str, data.classes))


def texts(frame: pd.DataFrame) -> str:
    """A table of numbers as Markdown."""
    return to_markdown(frame.map(text))


def pictures(
    data: Dataset, trained: parts.Trained, curves: dict[str, list[Row]], config: BottleneckConfig
) -> dict[str, Figure]:
    """The figures by name."""
    names = names_of(data)
    shown = np.flatnonzero(data.test.labels < MAPPED_CLASSES)[:MAPPED]
    selected = model.as_trained(trained.bottleneck, jnp.asarray(data.test.images[shown]), config)  # [C, n, k]
    return {
        "curves": drawings.curves(curves, trained.accuracies),
        "overlap": drawings.overlap(parts.overlaps(trained.bottleneck, data, config), names),
        "separation": drawings.separation(
            np.asarray(selected[:, :, 0]).T, data.test.labels[shown], names[:MAPPED_CLASSES], config.seed
        ),
    }


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
