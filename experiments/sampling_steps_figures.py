"""Samplers of one hypernetwork: the table and the figure of `experiments.sampling_steps`.

A row is a sampler: "sampler", "steps"; `retain_2-3`, `forget_2-3`, … of forget set {2, 3}, medians of unselected models;
"models_per_second"; "device". The first row is what the others are held against.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from hyperforget_jax.report.style import INK, WIDTH, styled
from hyperforget_jax.report.tables import Row, braces, markdown, number

SPEEDS = ("models a second", "times as fast")
"""Columns with one decimal."""


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One line per sampler: accuracies, the most that retain accuracy falls below the first row's on any forget set, and the speed."""
    first, names = rows[0], _sets(rows[0])
    return [
        {
            "sampler": f"{row['sampler']} {row['steps']}",
            **{f"retain {_set(name)}": row[f"retain_{name}"] for name in names},
            **{f"forget {_set(name)}": row[f"forget_{name}"] for name in names},
            "most lost": max(first[f"retain_{name}"] - row[f"retain_{name}"] for name in names),
            "models a second": row["models_per_second"],
            "times as fast": row["models_per_second"] / first["models_per_second"],
        }
        for row in rows
    ]


def page(rows: Sequence[Row]) -> str:
    """The table as Markdown, with the figure."""
    lines = summary(rows)
    body = [[_text(name, value) for name, value in line.items()] for line in lines]
    heads = [name[0].upper() + name[1:] for name in lines[0]]
    return (
        "# How many sampling steps\n\n"
        "On test images: median accuracies of unselected models, all samplers with the same noise and prompts. Most lost: by how much "
        f"the median retain accuracy falls below the first row's on any forget set. Once compiled, on: {rows[0]['device']}.\n\n"
        f"{markdown(heads, 'l' + 'r' * (len(heads) - 1), body)}\n"
        "![Retain accuracy against models per second](figures/samplers.png)\n"
    )


def _text(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.1f}" if name in SPEEDS else number(value)


@styled
def cost(rows: Sequence[Row]) -> Figure:
    """Median retain accuracy against models per second on a logarithmic axis, one panel per forget set, a mark per sampler."""
    names = _sets(rows[0])
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), sharex=True, squeeze=False)[0]
    speeds = [row["models_per_second"] for row in rows]
    for panel, name in zip(panels, names, strict=True):
        values = [row[f"retain_{name}"] for row in rows]
        panel.plot(speeds, values, "o-", color=INK, markersize=4, linewidth=0.8)
        for row, speed, value in zip(rows, speeds, values, strict=True):
            panel.annotate(
                f"{row['sampler']} {row['steps']}",
                (speed, value),
                xytext=(3, 5),
                textcoords="offset points",
                fontsize=7,
                rotation=35,
            )
        panel.set(title=f"forget {_set(name)}", xscale="log", xlabel="models per second")
        panel.margins(x=0.2, y=0.35)
    panels[0].set_ylabel("median retain accuracy")
    return figure


def _sets(row: Row) -> list[str]:
    """The forget sets of a row, as its names have them: `2-3`."""
    return [name.removeprefix("retain_") for name in row if name.startswith("retain_")]


def _set(name: str) -> str:
    """`2-3` as people write it: `{2, 3}`."""
    return braces(map(int, name.split("-")))
