"""All methods beside each other: one table, ranks by family of attacks, a Pareto figure and a heat map of distances."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure

from hyperforget_jax.report.attacks import FARTHEST, distances
from hyperforget_jax.report.style import FAINT, INK, LEVEL, OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.report.tables import braces, number, to_markdown

FORGOTTEN = 0.01
"""Highest forget accuracy of a method that forgets."""
NEAR = 0.03
"""Share of an axis within which marks of the Pareto figure have one label."""
CAPTION = (
    "Retain: mean accuracy over forget sets; forget: the highest of a forget set; both on test images, means over models. "
    f"Distance: mean of |z| over attacks and forget sets, each at most {FARTHEST:g}, in standard deviations of the clean reference. "
    "Rank: mean over families among methods that are not exact. An exact method gives models that never saw the forget set; its distance "
    "is that of its recipe. Seconds and FLOPs (matrix products) are of one model, warm, in a call of many; those of a hypernetwork do not "
    "hold its training, those of exact methods are whole trainings. Worst: the allowed forget set with the highest sum of forget accuracy "
    "and retain error."
)


def frame(compared: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a method: what the table shows, as numbers.

    Args:
      compared: name and summary of each contender.
      lines: of `report.attacks`, of all of them.
    """
    apart = distances(lines)
    rows = []
    for each in compared:
        name, summary = each["name"], each["summary"]
        rows.append(
            {
                "method": name,
                "exact": summary["exact"],
                "retain": float(np.mean([one["retain"] for one in summary["sets"]])),
                "forget": float(np.max([one["forget"] for one in summary["sets"]])),
                **apart.loc[name].to_dict(),
                "distance": float(apart.loc[name].mean()),
                "seconds": summary["seconds"],
                "flops": summary["flops"],
                "worst": summary["worst"],
            }
        )
    table, families = pd.DataFrame(rows), list(apart.columns)
    rivals = ~table["exact"]
    table["rank"] = table.loc[rivals, families].rank().mean(axis=1)
    return table


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """The frame as it is printed, nearest methods first."""
    families = families_of(table)
    ordered = table.sort_values("distance")
    columns: dict[str, Any] = {
        "Method": ordered["method"] + np.where(ordered["exact"], " (exact)", ""),
        "Retain": ordered["retain"].map(number),
        "Forget": ordered["forget"].map(number),
        **{family.capitalize(): ordered[family].map(_short) for family in families},
        "Distance": ordered["distance"].map(_short),
        "Rank": ordered["rank"].map(lambda rank: "–" if pd.isna(rank) else f"{rank:.1f}"),
        "ms": (1000 * ordered["seconds"]).map("{:.1f}".format),
        "MFLOP": ordered["flops"].map(lambda count: "–" if pd.isna(count) else f"{count / 1e6:.3g}"),
        "Worst set": ordered["worst"].map(
            lambda worst: f"{braces(worst['forget_set'])}: {number(worst['retain'])}, {number(worst['forget'])}"
        ),
    }
    return pd.DataFrame(columns, dtype=object)


def families_of(table: pd.DataFrame) -> list[str]:
    """The families of attacks among the columns of a frame."""
    columns = list(table.columns)
    return columns[columns.index("forget") + 1 : columns.index("distance")]


def nearer(table: pd.DataFrame, ours: str) -> pd.DataFrame:
    """Of every method that is not exact, in which families it lies nearer to the reference than ours, most first.

    Args:
      table: of `frame`.
      ours: name of our method.
    """
    families = families_of(table)
    mine = table.set_index("method").loc[ours, families]
    rivals = table[~table["exact"] & (table["method"] != ours)].set_index("method")
    closer = rivals[families].lt(mine, axis=1)
    count = closer.sum(axis=1)
    found = pd.DataFrame(
        {
            "Method": closer.index,
            f"Families nearer than {ours}": count.map(str),
            "Which": closer.apply(lambda row: ", ".join(row.index[row]) or "–", axis=1),
        },
        dtype=object,
    )
    return found.loc[count.sort_values(ascending=False, kind="stable").index]


def settings_table(compared: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Accuracies and searched settings of every method and forget set."""
    rows = [
        {
            "Method": each["name"],
            "Forget": braces(one["forget_set"]),
            "Retain accuracy": number(one["retain"]),
            "Forget accuracy": number(one["forget"]),
            "Settings found": ", ".join(f"{name} {value:.3g}" for name, value in one["settings"].items()) or "–",
        }
        for each in compared
        for one in each["summary"]["sets"]
    ]
    return pd.DataFrame(rows, dtype=object)


def not_forgotten(table: pd.DataFrame, reasons: Mapping[str, str | None]) -> str:
    """A line for every method that has not forgotten some set, and why, as Markdown; empty if all have.

    Args:
      table: of `frame`.
      reasons: method to what keeps it from forgetting; None: nothing in principle.
    """
    missed = table[table["forget"] > FORGOTTEN]
    usual = (
        "its settings forget on the models that they were searched on, or come nearest to it; on all models it does not"
    )
    lines = [
        f"- `{method}`, {number(forget)}: {reasons.get(method) or usual}.\n"
        for method, forget in zip(missed["method"], missed["forget"], strict=True)
    ]
    heading = f"Forget accuracy above {FORGOTTEN} on some set:\n\n"
    return heading + "".join(lines) + "\n" if lines else ""


def page(
    compared: Sequence[Mapping[str, Any]], table: pd.DataFrame, ours: str, reasons: Mapping[str, str | None]
) -> str:
    """All tables and figures as Markdown; `reasons` as of `not_forgotten`."""
    return (
        f"# Methods of unlearning beside each other\n\n{CAPTION}\n\n{to_markdown(texts(table), ['Method', 'Worst set'])}\n"
        "![Distance from retraining against retain accuracy](figures/pareto.png)\n\n"
        "![Distance by family of attacks](figures/distances.png)\n\n"
        f"{not_forgotten(table, reasons)}"
        f"{to_markdown(nearer(table, ours), ['Method', 'Which'])}\n"
        f"{to_markdown(settings_table(compared), ['Method', 'Forget', 'Settings found'])}"
    )


@styled
def pareto(table: pd.DataFrame, ours: Sequence[str]) -> Figure:
    """Mean distance over families against retain accuracy; hollow marks have not forgotten. Best is at the lower right.

    Args:
      table: of `frame`.
      ours: names of the hypernetwork's modes.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    panel, names = figure.subplots(1, 2, width_ratios=(3, 1))
    rows: list[dict[str, Any]] = table.sort_values("distance").to_dict("records")  # type: ignore[assignment]
    width, height = (max(np.ptp(table[name]), 1e-9) for name in ("retain", "distance"))
    together: dict[tuple[float, float], list[str]] = {}  # numbers of methods that lie at one place
    for place, row in enumerate(rows, start=1):
        at, up = row["retain"], row["distance"]
        colour = OURS if row["method"] in ours else LEVEL if row["exact"] else REFERENCE
        panel.plot(
            at, up, "o", markersize=5, color=colour, markerfacecolor=colour if row["forget"] <= FORGOTTEN else "none"
        )
        near = (other for other in together if abs(other[0] - at) < NEAR * width and abs(other[1] - up) < NEAR * height)
        together.setdefault(next(near, (at, up)), []).append(str(place))
        names.text(0.0, 1.0 - place / (len(rows) + 1), f"{place}  {row['method']}", fontsize=7.5, color=colour)
    for (at, up), places in together.items():
        panel.annotate(", ".join(places), (at + 0.02 * width, up), fontsize=7, color=INK, va="center")
    names.set_axis_off()
    panel.margins(x=0.1)
    panel.set(xlabel="mean retain accuracy on test", ylabel="mean distance from clean runs")
    for colour, name in ((OURS, "hypernetwork"), (REFERENCE, "baseline"), (LEVEL, "exact: never saw the set")):
        panel.plot([], [], "o", markersize=5, color=colour, label=name)
    panel.plot(
        [], [], "o", markersize=5, color=FAINT, markerfacecolor="none", label=f"forget accuracy above {FORGOTTEN}"
    )
    figure.legend(loc="outside lower center", ncols=4, fontsize=7)
    return figure


@styled
def heatmap(table: pd.DataFrame) -> Figure:
    """Distance of every method (rows, nearest first) in every family of attacks (columns)."""
    families = families_of(table)
    ordered = table.sort_values("distance")
    values = ordered[families].to_numpy(float)
    figure = Figure(figsize=(WIDTH, 1.0 + 0.22 * len(ordered)), layout="constrained")
    panel = figure.subplots()
    seaborn.heatmap(
        values, ax=panel, cmap="Oranges", vmin=0.0, vmax=FARTHEST, annot=np.vectorize(_short)(values), fmt="",
        annot_kws={"size": 6.5}, xticklabels=[family.replace(" ", "\n") for family in families],
        yticklabels=list(ordered["method"] + np.where(ordered["exact"], " (exact)", "")), linewidths=0.6,
        cbar_kws={"label": "mean |z|"},
    )  # fmt: skip
    panel.grid(visible=False)
    panel.tick_params(length=0, labelsize=7, labelrotation=0)
    panel.xaxis.tick_top()
    return figure


def _short(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
