"""Tables of what a zoo holds, as frames of JSON-ready values, and in words why a combination is short of checkpoints."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.report.tables import to_markdown
from hyperforget_jax.zoo import coverage

TITLES = {
    "combinations": "Combinations of high and low classes; high means not learned: an accuracy of at most 0.5. Of the snapshots of all "
    "runs (trained), some are good enough on the pivots (good); of these, chance and caps leave some in the zoo (kept).",
    "clean_runs": "Clean runs for each forget set: they never saw it and saw all else in full, and their last checkpoint is in the zoo. "
    "Clean checkpoints are those of any moment. Sets that contain one of `zoo.held_out_sets` have none.",
    "losses": "Checkpoints by their loss on each class, in nats.",
    "resampling": "Mean loss over the classes, in nats: share of each level among the checkpoints as stored (none), and among the "
    "draws of a training with `loader.resample` combinations and losses (section A.6, Figures 28 and 29).",
    "precision": "What rounding the weights, as `zoo.dtype` would, changes in log(loss + `hypernetwork.loss_floor`) of a class and in its "
    "accuracy. The line of float32 is the noise of scoring anew.",
}
"""What each table of the page shows."""
WORDS = ("combination", "short_because", "forget_set", "weights")
"""Columns of words; the others hold numbers and stand to the right."""


def combinations(summary: Mapping[str, Any], labels: Sequence[int], config: ZooConfig) -> pd.DataFrame:
    """What every high/low combination of the forgettable classes has, in the order of their codes.

    Args:
      summary: the zoo's, as `zoo.build` writes it.
      labels: original labels of the m forgettable classes, lowest bit first.
      config: the protocol.

    Returns:
      2^m lines; `short_because` is None where there is enough.
    """
    total = max(1, summary["checkpoints"])
    table = pd.DataFrame({name: summary[name] for name in ("trained", "good", "kept")}, dtype=object)
    table.insert(0, "combination", [coverage.name(code, labels) for code in table.index])
    reasons = [reason(config, summary["added_blocks"], *tally[1:]) for tally in table.itertuples(index=False)]
    for code in table.index[table["kept"] < max(1, config.min_per_combination)]:
        high = set(coverage.members(code, labels))
        if any(high >= set(forget) for forget in config.held_out_sets):
            reasons[code] = "no run is aimed at it: it contains one of zoo.held_out_sets"
    shares = [kept / total for kept in summary["kept"]]
    return table.assign(share=shares, short_because=pd.Series(reasons, dtype=object))


def reason(config: ZooConfig, added: int, trained: int, good: int, kept: int) -> str | None:
    """Why a combination has too few checkpoints, and what to change.

    Args:
      config: the protocol.
      added: blocks that were added for coverage.
      trained: snapshots that had the combination.
      good: those of them that were good enough on the pivots.
      kept: those of them that were stored.

    Returns:
      None if it has `min_per_combination` checkpoints, and at least one.
    """
    wanted = max(1, config.min_per_combination)
    if kept >= wanted:
        return None
    if trained == 0 and not config.min_per_combination:
        return "no run reached it: set zoo.min_per_combination, which aims blocks at it"
    if trained == 0 and added < config.max_added_blocks:
        return "no run reached it, nor one aimed at it: raise zoo.epochs or widen classifier.hidden"
    if trained == 0:
        return f"no run reached it, {added} added blocks included: raise zoo.max_added_blocks or zoo.epochs"
    if good < wanted <= trained or good == 0:
        least = f" and zoo.min_learned {config.min_learned}" if config.min_learned else ""
        passed = f"{good:,} of these passed zoo.pivot_accuracy {config.pivot_accuracy:g}{least}"
        return f"{trained:,} of the snapshots had it, {passed}: lower it, or raise zoo.epochs"
    if good >= wanted:
        caps = [name for name in ("max_per_bin", "max_per_combination") if getattr(config, name) is not None]
        remedies = " or ".join(f"zoo.{name}" for name in ("selection_probability", *caps))
        return f"{good:,} were good, {kept:,} of these kept: raise {remedies}"
    if added < config.max_added_blocks:
        return f"{trained:,} of the snapshots had it, but the last block aimed at it kept none: raise zoo.runs"
    return f"{trained:,} of the snapshots had it, {added} added blocks included: raise zoo.max_added_blocks"


def losses(histograms: Mapping[int, NDArray[np.integer]], edges: Sequence[float]) -> pd.DataFrame:
    """Checkpoints per class (original label) and loss level, [E + 1] counts each; E edges in nats."""
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    levels = [f"below {edges[0]:g}", *inner, f"from {edges[-1]:g}"]
    table = pd.DataFrame([*histograms.values()], columns=levels)
    table.insert(0, "class", [*histograms])
    return table


def headline(covered: pd.DataFrame) -> str:
    """How many checkpoints there are, and the rarest of the lines of `combinations`, or how many are empty."""
    total, empty = covered["kept"].sum(), (covered["kept"] == 0).sum()
    if empty:
        return f"{total:,} checkpoints; {empty:,} of {len(covered):,} combinations have none"
    rarest = min(covered.to_dict("records"), key=lambda line: line["kept"])
    share = f"{rarest['share']:.2%} ({rarest['combination']})"
    return f"{total:,} checkpoints; the rarest of {len(covered):,} combinations has {share}"


def page(headline: str, tables: Mapping[str, pd.DataFrame]) -> str:
    """All tables as Markdown, each under what it shows.

    Args:
      headline: one sentence.
      tables: key of `TITLES` to its table, with at least one line.
    """
    left = [name.replace("_", " ") for name in WORDS]
    printed = {
        name: texts(table).rename(columns=lambda column: column.replace("_", " ")) for name, table in tables.items()
    }
    sections = (f"\n{TITLES[name]}\n\n{to_markdown(table, left)}" for name, table in printed.items())
    return f"# What the zoo holds\n\n{headline}.\n{''.join(sections)}"


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """A table as it is printed: shares in percent, counts in groups of three, other numbers to three digits, nothing for None."""
    return pd.DataFrame({name: [_text(str(name), value) for value in table[name].tolist()] for name in table})


def _text(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case float() if name.startswith("share"):
            return f"{value:.2%}" if value >= 0.001 else f"{100.0 * value:.1g}%"
        case float():
            return f"{value:.3g}"
        case int() if name != "class":
            return f"{value:,}"
    return str(value)
