"""All attacks on models of one forget set, beside the same attacks on its reference models, which are made once.

Attacks on single models take evenly spaced ones of a stack, attacks on groups of models more of them. An attack that needs more models than
there are is left out; `Suite.left_out` says which, and why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.attacks import cmia, entropy, margin, representation, shadow, two_sample
from hyperforget_jax.attacks.klom import klom
from hyperforget_jax.attacks.recovery import after_attacks
from hyperforget_jax.attacks.result import AttackResult, Doubles, Images, beside_reference, validate_models
from hyperforget_jax.attacks.shadow import LEAST_MODELS, shadow_attack
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.two_sample import FOLDS, spaced_images
from hyperforget_jax.weights.canonical import gauge_of_many

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "membership": ("entropy", "margin"),
    "neighbour classes": ("cmia",),
    "margins": ("klom",),
    "shadow models": ("ulira", "ruli"),
    "recovery": ("relearn", "prototypical", "head", "rounded"),
    "representation": ("cka", "linear_probe", "knn"),
    "distribution": ("c2st", "disagreement", "loss_spread"),
    "generator": ("generator",),
}
"""Family of attacks to the beginnings of their names."""


def family_of(attack: str) -> str:
    """The family that an attack belongs to, by its name, such as "relearn_5" or "ulira_auc"."""
    return next(family for family, names in FAMILIES.items() if attack.startswith(names))


def line(method: str, forget_set: Sequence[int], result: AttackResult) -> dict[str, Any]:
    """One line: what one attack found in one method's models for one forget set (labels). An infinite z-score is None."""
    low, high = result.interval
    return {
        "method": method,
        "forget_set": [*forget_set],
        "family": family_of(result.attack),
        "attack": result.attack,
        "models": len(result.ours),
        "value": result.value,
        "reference": float(result.reference.mean()),
        "low": low,
        "high": high,
        "position": result.position,
        "share_inside": result.share_inside,
        "z": result.z_score if math.isfinite(result.z_score) else None,
    }


def evenly(models: Params, count: int) -> Params:
    """At most so many of N stacked models, evenly spaced: clean runs that follow each other share an order of minibatches."""
    total = len(models[-1]["b"])
    if total <= count:
        return models
    rows = np.linspace(0, total - 1, count).round().astype(np.int64)
    return jax.tree.map(lambda leaf: leaf[rows], models)


@dataclass(frozen=True)
class Group:
    """What attacks on groups of models see of N models.

    Attributes:
      answers: on test images.
      margins: [N, n], on test images of all classes, evenly spaced.
      confidences: [N, T], margins on forgotten training images, evenly spaced.
    """

    answers: two_sample.Answers
    margins: Doubles
    confidences: Doubles


@dataclass(frozen=True)
class Suite:
    """Attacks that are ready for any models of one forget set; `suite` makes it.

    Attributes:
      train: training images.
      test: test images.
      forget: output positions of the forgotten classes.
      config: of all attacks.
      attackers: images of CMIA.
      audit: of hidden units.
      control: attack to its values on reference models, one by one.
      group: of all M reference models.
    """

    train: Images
    test: Images
    forget: tuple[int, ...]
    config: AttackConfig
    attackers: Sequence[cmia.Attacker]
    audit: representation.Audit
    control: Mapping[str, Doubles]
    group: Group

    def attack(self, models: Params) -> dict[str, AttackResult]:
        """Results of all attacks on N stacked models, by name, but for those that `left_out` names.

        Raises:
          HyperForgetError: a weight is not finite.
        """
        validate_models("an attack", models)
        config = self.config
        one_by_one = evenly(models, config.attacked_models)
        values = alone(one_by_one, self.train, self.test, self.forget, self.attackers, config)
        values |= self.audit.values(one_by_one)
        found = {name: beside_reference(name, values[name], self.control[name]) for name in values}
        ours, theirs, missing = self._group(models), self.group, self.left_out(len(models[-1]["b"]))
        if "klom" not in missing:
            found["klom"] = klom(ours.margins, theirs.margins, config)
        if "shadow" not in missing:
            for density in shadow.ATTACKS:
                found |= shadow_attack(ours.confidences, theirs.confidences, density, config)
        if "two_sample" not in missing:
            found |= two_sample.tell_apart(ours.answers, theirs.answers, config)
        return found

    def left_out(self, num_models: int) -> dict[str, str]:
        """Attacks on groups, by module, for which there are too few models, and what they need."""
        num_reference = len(self.group.confidences)
        needs = {"klom": self.config.klom_models, "shadow": LEAST_MODELS, "two_sample": FOLDS}
        return {
            name: f"{name} needs {least} unlearned and {2 * least} reference models, got {num_models} and {num_reference}"
            for name, least in needs.items()
            if num_models < least or num_reference < 2 * least
        }

    def _group(self, models: Params) -> Group:
        return group_of(models, self.train, self.test, self.forget, self.config)


def suite(
    reference_models: Params, original: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> Suite:
    """Attacks the reference models, and makes the suite for models that shall be like them.

    Args:
      reference_models: M stacked models that never saw the forget set.
      original: one model, trained on everything.
      train: training images of all classes.
      test: test images of all classes.
      forget: output positions of the forgotten classes; at least two others are left.
      config: of all attacks.

    Raises:
      HyperForgetError: too few retained classes, a split lacks images of a class, or a weight is not finite.
    """
    if (count := len(reference_models[-1]["b"])) < 2:
        raise HyperForgetError(f"a suite of attacks got {count} reference models, expected at least 2: train more")
    validate_models("a suite of attacks", reference_models)
    one_by_one = evenly(reference_models, config.attacked_reference)
    attackers = cmia.attackers(one_by_one, train, test, forget, config)
    audit = representation.audit_of(one_by_one, original, train, test, forget, config)
    control = alone(one_by_one, train, test, forget, attackers, config) | audit.control()
    group = group_of(reference_models, train, test, forget, config)
    return Suite(train, test, tuple(forget), config, attackers, audit, control, group)


def alone(
    models: Params,
    train: Images,
    test: Images,
    forget: Sequence[int],
    attackers: Sequence[cmia.Attacker],
    config: AttackConfig,
) -> dict[str, Doubles]:
    """Values [N] of every attack that needs one model at a time, but for those on hidden units."""
    forgotten, unseen = (of_classes(images, forget) for images in (train, test))
    values = {
        "entropy": entropy.member_shares(models, train, test, forget, config),
        "margin_auc": margin.aucs(models, forgotten, unseen, config),
        "cmia": cmia.accuracies(models, attackers, config),
    }
    return values | after_attacks(gauge_of_many(models), train, test, forget, config)


def group_of(models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig) -> Group:
    """What attacks on groups see of N stacked models."""
    shown = spaced_images(np.asarray(test[1]), config.klom_images)
    forgotten = of_classes(train, forget)
    asked = spaced_images(np.asarray(forgotten[1]), config.shadow_images)
    return Group(
        two_sample.answers_of(models, test),
        margin.margins(models, (test[0][shown], test[1][shown]), config),
        margin.margins(models, (forgotten[0][asked], forgotten[1][asked]), config),
    )


def of_classes(images: Images, classes: Sequence[int]) -> Images:
    """The images of some classes."""
    rows = np.flatnonzero(np.isin(np.asarray(images[1]), list(classes)))
    return jnp.asarray(images[0])[rows], jnp.asarray(images[1])[rows]
