"""What a zoo holds: its combinations, its losses, what resampling makes of them, what rounded weights change; as tables and figures."""

import json
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import zoo_path
from hyperforget_jax.report import figures, zoo_figures, zoo_tables
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo import coverage, exposure, storage
from hyperforget_jax.zoo.storage import Zoo

Floats = np.ndarray[Any, np.dtype[Any]]
PRINTED = 16
"""Combinations in the printed table, the rarest; the files have all."""
ROUNDED = 2000
"""Checkpoints whose weights are rounded."""
TYPES = ("float32", "bfloat16", "float16")


def report(run: Run, zoo: Zoo) -> None:
    """Prints what a complete zoo covers; leaves `coverage.md`, `coverage.json` and `figures/` in the workdir."""
    config, folder = run.config, run.folder / "figures"
    summary = storage.read_summary(zoo_path(config))
    assert summary is not None  # a zoo that could be opened is complete
    labels, edges = [run.dataset.classes[position] for position in run.forgettable], config.zoo.bin_edges
    covered = zoo_tables.combinations(summary, labels, config.zoo)
    histograms = dict(zip(run.dataset.classes, coverage.histograms(zoo.losses, edges), strict=True))
    tables = {"combinations": covered, "losses": zoo_tables.losses(histograms, edges)}
    pictures = {
        "coverage": figures.coverage(dict(zip(zoo_figures.bar_names(labels), covered["kept"], strict=True))),
        "losses": zoo_figures.losses(histograms, edges, config.task.pivots),
    }
    if codes := summary["clean_codes"]:
        tables["clean_runs"] = clean = clean_runs(run, zoo, codes)
        bars = dict(zip(clean["forget_set"], clean["runs"], strict=True))
        pictures["clean_runs"] = figures.coverage(bars, "clean runs in the training part, by forget set", "forget sets")
    if len(zoo):
        bounds, shares = resampled(run, zoo)
        columns = {"from": bounds[:-1], "to": bounds[1:]} | {f"share_{name}": each for name, each in shares.items()}
        tables["resampling"], pictures["resampling"] = pd.DataFrame(columns), zoo_figures.resampling(bounds, shares)
    if len(zoo) and config.zoo.dtype == "float32":
        tables["precision"] = precision(run, zoo)
    for name, picture in pictures.items():
        figures.save(picture, folder, name)
    headline = zoo_tables.headline(covered)
    records = {name: table.to_dict("records") for name, table in tables.items()}
    numbers = {"checkpoints": len(zoo), "least_share": covered["share"].min(), **records}
    artifacts.write_text(run.folder / "coverage.json", json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    artifacts.write_text(run.folder / "coverage.md", zoo_tables.page(headline, tables))
    show(run, tables)
    run.console.print(f"{headline}\ncoverage: {run.folder / 'coverage.md'}")


def show(run: Run, tables: dict[str, pd.DataFrame]) -> None:
    """Prints the combinations and the clean runs (of many the rarest), why some are short, and what rounding changes."""
    covered, say = tables["combinations"], run.console.print
    rarest = covered.sort_values("kept", kind="stable")
    shown = covered if len(covered) <= PRINTED else rarest.head(PRINTED)
    say(listing(zoo_tables.texts(shown.drop(columns="short_because"))))
    if "clean_runs" in tables:
        clean = tables["clean_runs"]
        say(listing(zoo_tables.texts(clean.sort_values("runs", kind="stable").head(PRINTED).sort_index())))
    short = rarest.groupby("short_because", sort=False)["combination"]  # passes over None
    for because, names in [*short][:PRINTED]:
        others = f" and {len(names) - 1:,} others" if len(names) > 1 else ""
        say(f"short: {names.iloc[0]}{others}: {because}")
    if "precision" in tables:
        say(listing(zoo_tables.texts(tables["precision"].drop(columns="checkpoints"))))
    else:
        say(f"rounded weights: not measured, that takes checkpoints of float32; zoo.dtype is {run.config.zoo.dtype}")


def clean_runs(run: Run, zoo: Zoo, codes: Sequence[int]) -> pd.DataFrame:
    """Clean runs of the training and of the held-out part, and clean checkpoints, for the forget sets of some codes, one line each."""
    config = run.config.zoo
    clean = exposure.clean_codes(zoo.exposures, zoo.progress, run.forgettable)  # [n]
    ends = exposure.is_last(zoo.progress)  # [n], one a run
    last = clean[ends]
    held_out = storage.is_held_out(zoo.run[ends], config.runs, config.validation_share)
    count = 2 ** len(run.forgettable)
    counts = [np.bincount(each[each >= 0], minlength=count) for each in (last[~held_out], last[held_out], clean)]
    labels = [run.dataset.classes[position] for position in run.forgettable]
    sets = [", ".join(map(str, coverage.members(code, labels))) for code in codes]
    columns = zip(
        ("runs", "held_out_runs", "checkpoints"), (each[list(codes)].tolist() for each in counts), strict=True
    )
    return pd.DataFrame({"forget_set": [f"{{{each}}}" for each in sets]} | dict(columns))


def resampled(run: Run, zoo: Zoo) -> tuple[Floats, dict[str, Floats]]:
    """Bounds [L + 1] of levels of the mean loss (nats), and the share [L] of the draws in each by `loader.resample`."""
    count = run.config.loader.loss_levels
    levels = coverage.loss_levels(zoo.losses, count)  # [n]
    groups = {
        "none": np.zeros_like(levels),
        "combinations": coverage.combination(zoo.accuracies, run.forgettable),
        "losses": levels,
    }
    shares = {name: np.bincount(levels, coverage.balanced(codes), count) for name, codes in groups.items()}
    return coverage.level_bounds(zoo.losses, count), shares


def changes(run: Run, some: Zoo, models: Params) -> tuple[Floats, Floats]:
    """|Δ log(loss + c)| and the accuracy lost, [n, K] each, where n models take the places of a zoo's n checkpoints."""
    floor = run.config.hypernetwork.loss_floor
    scores = classifier.class_scores_of_many(models, *on_device(run.dataset.validation))
    losses, accuracies = (np.asarray(score, np.float64) for score in scores)  # [n, K]
    change = np.abs(np.log(losses + floor) - np.log(some.losses.astype(np.float64) + floor))  # [n, K]
    return change, some.accuracies - accuracies


def precision(run: Run, zoo: Zoo) -> pd.DataFrame:
    """What rounding the weights of evenly spaced checkpoints changes, one line per type."""
    some = zoo.spaced(ROUNDED)
    weights, rows = np.asarray(some.weights), []  # [n, P]
    for name in TYPES:
        rounded = weights.astype(jnp.dtype(name)).astype(np.float32)  # [n, P]
        change, lost = changes(run, some, unflatten_many(rounded, run.sizes))
        distances = np.median(change), np.quantile(change, 0.95), change.max(), lost.mean(), np.abs(lost).max()
        rows.append((name, len(some), *map(float, distances)))
    measures = ("log_loss_change_median", "log_loss_change_q95", "log_loss_change_max")
    columns = ["weights", "checkpoints", *measures, "accuracy_lost_mean", "accuracy_change_max"]
    return pd.DataFrame(rows, columns=columns)
