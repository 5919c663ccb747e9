"""What the explorer shows: models of every allowed forget set beside retrained ones, small enough for one page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import spaced_images
from hyperforget_jax.pipeline import prompt_book, unlearning
from hyperforget_jax.pipeline.evaluation import predictions
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import explorer
from hyperforget_jax.report.explorer import Group, Shown
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import reference

PAGE = "explorer.html"
MOST_SETS = 64
MOST_BYTES = 6_000_000
"""Of a page: more is slow on a phone."""


@dataclass(frozen=True)
class ExplorerConfig:
    """How much an explorer shows."""

    samples: int = 5
    """Generated models of each forget set, not selected."""
    retrained: int = 2
    """Retrained models of each forget set."""
    images: int = 10
    """Test images a class."""


def explore(run: Run, config: ExplorerConfig) -> Path:
    """Writes `explorer.html` into a finished run and returns its path.

    Args:
      run: its hypernetwork answers every forget set that its task allows.
      config: how much is shown.

    Raises:
      HyperForgetError: more than 64 forget sets are allowed, or the page would be too large; says how many bytes.
    """
    sets = prompt_book.allowed_sets(run)
    if len(sets) > MOST_SETS:
        raise HyperForgetError(
            f"{len(sets)} forget sets are allowed, an explorer shows at most {MOST_SETS}: make a run with more pivots"
        )
    positions = [run.dataset.positions(labels) for labels in sets]
    retrained = _retrained(run, positions, config.retrained)
    groups = list[Group]()
    with track(run.console, "explorer", len(sets), "forget sets") as advance:
        for index, labels in enumerate(sets):
            result = unlearning.unlearn(run, labels).result
            ours = jax.tree.map(lambda leaf: leaf[: config.samples], result.models)
            theirs = jax.tree.map(lambda leaf, index=index: leaf[index + 1], retrained)
            asked = (
                result.candidate_prompts[: config.samples]
                if run.config.request.prompts == "drawn"
                else result.prompt[None]
            )
            groups.append(_group(run, labels, ours, theirs, asked[:, : run.dataset.num_classes]))
            advance(1)
    original = jax.tree.map(lambda leaf: leaf[0, :1], retrained)
    test = run.dataset.test
    rows = spaced_images(test.labels, config.images * run.dataset.num_classes)
    shown = Shown(
        run.dataset.name, run.dataset.classes, run.dataset.class_names, run.dataset.input_shape, run.sizes,
        run.dataset.preprocessing, run.config.task.pivots, run.config.task.always, test.images[rows], test.labels[rows],
        original, _class_means(run, original)[1], tuple(groups),
    )  # fmt: skip
    text = explorer.page(shown)
    if len(text.encode()) > MOST_BYTES:
        raise HyperForgetError(
            f"the page would have {len(text.encode()) / 1e6:.1f} MB, at most {MOST_BYTES / 1e6:.0f} are allowed: "
            "show fewer models or images"
        )
    path = run.folder / PAGE
    artifacts.write_text(path, text)
    return path


def _retrained(run: Run, positions: Sequence[tuple[int, ...]], count: int) -> Params:
    """Models that saw everything, then retrained ones of every forget set: leaves [1 + F, M, …], one program."""
    run.console.print(f"retrained models: {1 + len(positions)} sets x {count} seeds, one program")
    key, settings = prng.stream(run.config.seed, "explorer"), replace(run.config.reference, seeds=count)
    return reference.retrain(key, on_device(run.dataset.train), [(), *positions], run.sizes, settings)


def _group(run: Run, labels: tuple[int, ...], ours: Params, theirs: Params, asked: np.ndarray[Any, Any]) -> Group:
    (reached, accuracies), (_, retrained_accuracies) = (_class_means(run, models) for models in (ours, theirs))
    forgotten = np.isin(run.dataset.test.labels, run.dataset.positions(labels))
    to = [_answers(run, models, forgotten) for models in (ours, theirs)]
    open_ = np.isnan(asked).all(0)
    means = np.where(open_, np.nan, np.nan_to_num(asked).mean(0))
    return Group(labels, ours, theirs, accuracies, retrained_accuracies, means, reached, *to)


def _class_means(run: Run, models: Params) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Loss in nats and accuracy on every class of test, the means over models: two arrays [K]."""
    losses, accuracies = classifier.class_scores_of_many(models, *on_device(run.dataset.test))
    return np.asarray(losses).mean(0), np.asarray(jnp.mean(accuracies, axis=0))


def _answers(run: Run, models: Params, member: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Share of answers that each class gets on some test images [K]."""
    found = predictions(run, models)[:, member]
    return np.bincount(found.ravel(), minlength=run.dataset.num_classes) / found.size
