"""The attacks on a run's forget sets: its clean reference, its images and a model that was trained on everything, made into suites."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hyperforget_jax.attacks.suite import Suite, line, suite
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.config.attacks import validate_attacks
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.reference import clean_reference, new_clean_runs
from hyperforget_jax.pipeline.run import Run, on_device

LEAST_RETAINED = 2
"""Classes that an attack needs besides the forgotten ones."""


def validate(run: Run) -> None:
    """Refuses a run with a forget set that cannot be attacked.

    Raises:
      HyperForgetError: it leaves fewer than 2 classes, or all of its images are purged.
    """
    present = np.unique(run.learned_images.labels)
    for labels, forget in zip(run.config.task.forget_sets, run.forget_sets, strict=True):
        if len(run.dataset.classes) - len(forget) < LEAST_RETAINED:
            raise HyperForgetError(
                f"the forget set {[*labels]} leaves fewer than {LEAST_RETAINED} classes: attack others, --task.forget-sets"
            )
        if not np.isin(forget, present).all():
            raise HyperForgetError(
                f"the forget set {[*labels]} has classes that are purged, so that no image is left to attack with: attack others, "
                "--task.forget-sets"
            )


def original(run: Run) -> Params:
    """One model trained on all classes by the zoo's recipe, which no hypernetwork was trained on."""
    return jax.tree.map(lambda leaf: leaf[0], new_clean_runs(run, "attacks/original", (), 1))


def suites(run: Run, trained_on_all: Params, config: AttackConfig) -> Iterator[tuple[tuple[int, ...], Suite]]:
    """Every forget set of the run, by labels, with the attacks on it.

    Args:
      run: its clean reference is the control; made if it is missing.
      trained_on_all: one model, which hidden units are compared with.
      config: of the attacks.
    """
    validate_attacks(config)
    reference = clean_reference(run)
    train, test = on_device(run.learned_images), on_device(run.dataset.test)
    for index, labels in enumerate(run.config.task.forget_sets):
        of_set = jax.tree.map(lambda leaf, index=index: leaf[index], reference)
        yield labels, suite(of_set, trained_on_all, train, test, run.forget_sets[index], config)


def attack(labels: Sequence[int], prepared: Suite, models: Mapping[str, Params]) -> list[dict[str, Any]]:
    """Lines, one for each attack, of some methods' models for one forget set.

    Args:
      labels: of the forget set.
      prepared: the attacks on it.
      models: of each method, by its name in results: N stacked models.
    """
    return [
        line(method, labels, result)
        for method, of_method in models.items()
        for result in prepared.attack(of_method).values()
    ]
