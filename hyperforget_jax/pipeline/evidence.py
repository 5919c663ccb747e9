"""What can be said of one model in a few seconds: its accuracies on test images and fast attacks, beside clean runs."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.attacks import entropy, margin, two_sample
from hyperforget_jax.attacks.result import AttackResult, beside_reference
from hyperforget_jax.attacks.suite import line, of_classes
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.statistics import summarise, wilson
from hyperforget_jax.metrics.two_sample import FOLDS
from hyperforget_jax.pipeline.evaluation import predictions
from hyperforget_jax.pipeline.reference import clean_reference
from hyperforget_jax.pipeline.run import Run, on_device

C2ST = "c2st"
SPLITS = 5
"""Random halves of the clean runs behind the two-sample test: half the time of a whole suite of attacks."""
OF_THE_MODEL, OF_ALL_SAMPLES = "the model", "all samples"


def measure(run: Run, model: Params, samples: Params) -> dict[str, Any]:
    """Accuracies and attacks of a model that answers the run's one forget set, JSON-ready.

    Args:
      run: its config names the forget set alone. Its clean reference is made if it is missing.
      model: one.
      samples: N models of the same answer, stacked.

    Returns:
      `accuracies`: of the retain set, the forget set and every class: `value` of the model with its 95% `low` and `high` over images,
      `reference` (median) with `reference_low` and `reference_high` (5% and 95%) of clean runs, and the `position` of the value there.
      `attacks`: lines of `attacks.suite.line`, with `of`: the model or all samples. `left_out`: attacks that could not be made, and why.
      `reference_models`: how many clean runs there are.
    """
    (labels,), (positions,) = run.config.task.forget_sets, run.forget_sets
    clean = jax.tree.map(lambda leaf: leaf[0], clean_reference(run))
    one = jax.tree.map(lambda leaf: leaf[None], model)
    found, left_out = _attacks(run, positions, one, samples, clean)
    lines = [{**line(run.method, labels, result), "of": of} for of, result in found]
    return {
        "accuracies": accuracy_lines(run, positions, one, clean),
        "attacks": lines,
        "left_out": left_out,
        "reference_models": len(clean[-1]["b"]),
    }


def of_whole_sets(measures: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Lines of what `measure` found, by metric or attack, but for those of single classes."""
    accuracies = {line["metric"]: line for line in measures["accuracies"] if line["class"] is None}
    return accuracies | {line["attack"]: line for line in measures["attacks"]}


def accuracy_lines(run: Run, positions: Sequence[int], one: Params, clean: Params) -> list[dict[str, Any]]:
    """Accuracies of one stacked model on test, beside M clean runs."""
    labels = run.dataset.test.labels
    forgotten = np.isin(labels, list(positions))
    sets: list[tuple[str, int | None, np.ndarray[Any, Any]]] = [
        ("retain_accuracy", None, ~forgotten),
        ("forget_accuracy", None, forgotten),
        *(("class_accuracy", label, labels == position) for position, label in enumerate(run.dataset.classes)),
    ]
    right, theirs = (predictions(run, models) == labels for models in (one, clean))  # [1, n], [M, n]
    lines = list[dict[str, Any]]()
    for metric, label, member in sets:
        hits, images = int(right[0, member].sum()), int(member.sum())
        low, high = wilson(hits, images)
        reference = summarise(theirs[:, member].mean(1))
        lines.append(
            {
                "metric": metric,
                "class": label,
                "images": images,
                "value": hits / images,
                "low": low,
                "high": high,
                "reference": reference["median"],
                "reference_low": reference["q05"],
                "reference_high": reference["q95"],
                "position": relative_to(hits / images, reference["q05"], reference["q95"]),
            }
        )
    return lines


def _attacks(
    run: Run, positions: Sequence[int], one: Params, samples: Params, clean: Params
) -> tuple[list[tuple[str, AttackResult]], list[str]]:
    """Attacks by what they are of, and reasons for those that are left out."""
    config = AttackConfig(seed=run.config.seed, two_sample_splits=SPLITS)
    train, test = on_device(run.learned_images), on_device(run.dataset.test)
    found, left_out = list[tuple[str, AttackResult]](), list[str]()
    if np.isin(run.learned_images.labels, list(positions)).any():
        both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), one, clean)  # one program for all
        seen, unseen = of_classes(train, positions), of_classes(test, positions)
        values = {
            "entropy": entropy.member_shares(both, train, test, positions, config),
            "margin_auc": margin.aucs(both, seen, unseen, config),
        }
        found = [(OF_THE_MODEL, beside_reference(name, each[:1], each[1:])) for name, each in values.items()]
    else:
        left_out.append("membership: every class to forget is purged, so that no training image is left to ask about")
    count, reference = len(samples[-1]["b"]), len(clean[-1]["b"])
    if count < FOLDS or reference < 2 * FOLDS:
        left_out.append(
            f"two-sample test: it needs {FOLDS} samples and {2 * FOLDS} clean runs, there are {count} and {reference}"
        )
    else:
        ours, theirs = (two_sample.answers_of(models, test) for models in (samples, clean))
        found += [(OF_ALL_SAMPLES, result) for result in two_sample.tell_apart(ours, theirs, config).values()]
    return found, left_out
