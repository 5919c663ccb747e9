"""A finished run made small, to be handed on: no zoo, no training, parameters of few bits, and a card that says what it is.

What is packed is a run: it answers requests, exports models, is verified and evaluated like the run it was made from.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import certificate, pretrained, prompt_book, unlearning, workdir
from hyperforget_jax.pipeline.evaluation import predictions
from hyperforget_jax.pipeline.reference import CLEAN_FOLDER, clean_reference
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.report import card
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import requests
from hyperforget_jax.zoo import statistics

Dtype = Literal["float16", "float32"]
CARD = "README.md"


def pack(run: Run, folder: Path, dtype: Dtype) -> list[dict[str, Any]]:
    """Writes the packed run, whole or not at all.

    Args:
      run: a finished run.
      folder: a new one.
      dtype: of the parameters on disk.

    Returns:
      Lines of the card: of each allowed forget set, accuracies on test images of models of the run, of the packed run, and of clean runs.

    Raises:
      HyperForgetError: the folder holds something; more forget sets than the prompt book has; a parameter beyond the range of the type.
    """
    certificate.validate_place(folder, workdir.CONFIG)
    sets = prompt_book.allowed_sets(run)
    model = pretrained.load(run.folder / HYPERNETWORK)
    if missing := [labels for labels in sets if requests.name_of(labels) not in model.book]:
        raise HyperForgetError(
            f"{len(missing)} of {len(sets)} forget sets have no page in the prompt book of {run.folder}, "
            "and are answered from statistics of the whole zoo: hand on the run itself"
        )
    asking = replace(run, config=replace(run.config, task=replace(run.config.task, forget_sets=tuple(sets))))
    clean = clean_reference(asking)
    partial = folder.with_name(f"{folder.name}.partial")
    with artifacts.writing_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        workdir.record(partial, run.config)
        with artifacts.new_artifact(partial / HYPERNETWORK, workdir.identity(run.config)) as inside:
            small = replace(model, statistics=statistics.last_of_runs(model.statistics))
            with np.errstate(over="raise"):
                _save(inside, small, dtype)
        for labels in sets:
            name = requests.name_of(labels)
            shutil.copytree(run.folder / CLEAN_FOLDER / name, partial / CLEAN_FOLDER / name)
        packed = replace(run, folder=partial)
        lines = [
            _line(run, packed, labels, jax.tree.map(lambda leaf, index=index: leaf[index], clean))
            for index, labels in enumerate(sets)
        ]
        artifacts.write_text(partial / CARD, card.card(run.config, run.dataset.name, lines, dtype, _bytes(partial)))
        partial.rename(folder)
    return lines


def _save(folder: Path, model: pretrained.Pretrained, dtype: Dtype) -> None:
    try:
        pretrained.save(folder, model, dtype)
    except FloatingPointError as error:
        raise HyperForgetError(f"a parameter is beyond the range of {dtype}: choose --dtype float32") from error


def _line(run: Run, packed: Run, labels: tuple[int, ...], clean: Params) -> dict[str, Any]:
    """Accuracies on test: the median of the retain set, and the highest of the forget set."""
    groups = {"run": _samples(run, labels), "packed": _samples(packed, labels), "clean": clean}
    forgotten = np.isin(run.dataset.test.labels, run.dataset.positions(labels))
    line: dict[str, Any] = {"forget": [*labels]}
    for name, models in groups.items():
        right = predictions(run, models) == run.dataset.test.labels  # [N, n]
        line[f"retain_{name}"] = float(np.median(right[:, ~forgotten].mean(1)))
        line[f"forget_{name}"] = float(right[:, forgotten].mean(1).max())
    return line


def _samples(run: Run, labels: tuple[int, ...]) -> Params:
    return unlearning.sample_again(unlearning.ask(run, labels, None, None, None, None)).models


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
