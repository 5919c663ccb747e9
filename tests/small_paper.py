"""A small paper: every target of MNIST-4 on four digits with bad models, for the tests of `experiments.reproduce` and what it makes."""

import contextlib
import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from configs import smoke_dihyfo1, smoke_dihyfo2
from experiments.reproduce import main
from hyperforget_jax import classifier
from hyperforget_jax.config import Config, LoaderConfig, TaskConfig

SEEDS = "seeds-mnist4-dihyfo2"
PIVOTS = "pivots-mnist4"
PER_METHOD = ("subsets-mnist4-dihyfo1", "subsets-mnist4-dihyfo2")
PICTURES = {
    **{name: (name,) for name in ("table3", "table4", "table5", "fig2", "fig6", "fig8", "fig31", PIVOTS, *PER_METHOD)},
    **{name: (name,) for name in ("fig11", "fig12", "fig13", "fig14")},
    **{name: (f"{name}_dihyfo1", f"{name}_dihyfo2") for name in ("fig3", "fig9")},
    **dict.fromkeys(("attacks-mnist4-dihyfo1", "grids-mnist4-dihyfo1", "grids-mnist4-dihyfo2"), ()),
    **dict.fromkeys(("rivals-mnist4-dihyfo1", "rivals-mnist4-dihyfo2", "cost-mnist4", SEEDS), ()),
}
"""The targets of MNIST-4, and the figures that each leaves; further seeds of one hypernetwork stand for those of both."""
HAVE_ROWS = [name for name in PICTURES if not name.startswith("fig")]


def small(config: Config) -> Config:
    """The forget sets of the paper's MNIST-4, few untrained models, a loss that compiles fast, and no clean runs."""
    return replace(
        config,
        task=replace(config.task, forget_sets=((2,), (2, 3))),
        diffusion=replace(config.diffusion, functional_weight=0.0),
        training=replace(config.training, untrained=16),
        evaluation=replace(config.evaluation, distribution_models=0),
    )


def settings() -> dict[str, dict[str, Callable[[], Config]]]:
    """Four digits in place of MNIST-4."""
    both = {"dihyfo1": smoke_dihyfo1.get_config(), "dihyfo2": smoke_dihyfo2.get_config()}
    return {
        "mnist4": {method: partial(small, config) for method, config in both.items()},
        "mnist4_nopivots": {"dihyfo2": no_pivots},
    }


def no_pivots() -> Config:
    """Any class may be forgotten."""
    config = small(smoke_dihyfo2.get_config())
    task = TaskConfig(pivots=(), forget_sets=((0,), (2,), (0, 2)))
    return replace(config, task=task, zoo=replace(config.zoo, min_learned=1))


def one_number() -> Config:
    """G.pt in seconds."""
    config = small(smoke_dihyfo1.get_config())
    asked = replace(config.hypernetwork, metric="one_loss", metric_class=2)
    return replace(config, hypernetwork=asked, loader=LoaderConfig(resample="none"))


def paper(*arguments: str) -> tuple[int, str, str]:
    """Exit status, and what was told on stdout and stderr."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as error:
        status = main(arguments, settings())
    return status, out.getvalue(), error.getvalue()


class Finished(NamedTuple):
    """A folder of runs with every target of MNIST-4, and what was told when it was made."""

    folder: Path
    told: str


def lines_of(finished: Finished, name: str) -> list[dict[str, str]]:
    """The rows of a target's CSV file."""
    with (finished.folder / "paper" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def value_of(rows: Sequence[dict[str, Any]], **about: Any) -> float:
    """The value of the one row on test that is about this and no single class."""
    (row,) = (
        row
        for row in rows
        if row["split"] == "test" and row["class"] is None
        if all(row[name] == value for name, value in about.items())
    )
    return float(row["value"])


TWO, THREE = ((2,), (2, 3)), ((2,), (2, 3, 4), (0, 1, 2, 3, 4))


def answers_of(models: classifier.Params, images: Any) -> Any:
    """Predictions [N, n] of stacked models, by NumPy."""
    first, last = (jax.tree.map(np.asarray, layer) for layer in models)
    hidden = np.maximum(np.einsum("nd,Nhd->Nnh", images, first["w"]) + first["b"][:, None], 0.0)
    return (np.einsum("Nnh,Nkh->Nnk", hidden, last["w"]) + last["b"][:, None]).argmax(-1)
