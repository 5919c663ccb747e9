"""MIA-NN, published as CMIA (arXiv 2506.20893; reconstructed from its abstract): membership from the classes next to a forgotten one.

A retrained model answers for a forgotten image as its look demands: often one of a few neighbour classes. A model that only lost the
class answers otherwise. For each neighbour class an attacker, a support vector machine on logits, learns to tell forgotten training images
from test images of the neighbour; its accuracy is the share of forgotten test images that it takes for forgotten ones. Attackers are fitted
to every model by itself, unlearned and retrained, on the logits of retained classes, since a method may cut off the other outputs. The
attack's metric is the gap of the two accuracies.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import AttackResult, Doubles, Images, beside_reference, validate_models
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

Integers = NDArray[np.int64]


def cmia(
    models: Params, reference_models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> AttackResult:
    """Accuracy of the attackers on forgotten test images, of every model, the mean over forgotten classes and their neighbours.

    Args:
      models: N stacked unlearned models.
      reference_models: M stacked retrained models, of which the neighbour classes are found.
      train: training images, of which the attackers see those of the forgotten classes.
      test: test images; attackers are fitted on those of a neighbour class and measured on those of a forgotten class.
      forget: output positions of the forgotten classes; at least two others are left.
      config: numbers of neighbours and images, and the attackers' penalty.

    Returns:
      "cmia": the gap is `value` less the mean of the reference; `z_score` is that gap in the reference's standard deviations.

    Raises:
      HyperForgetError: fewer than two retained classes, a split lacks images of a class, or a weight is not finite.
    """
    for each in (models, reference_models):
        validate_models("cmia", each)
    asked = attackers(reference_models, train, test, forget, config)
    return beside_reference("cmia", accuracies(models, asked, config), accuracies(reference_models, asked, config))


class Attacker(NamedTuple):
    """What one attacker is fitted on and asked about.

    Attributes:
      members: [a, D], training images of a forgotten class.
      others: [b, D], test images of a neighbour class.
      held_out: [c, D], test images of the forgotten class.
      retained: [k], output positions of the retained classes, whose logits it sees.
    """

    members: jax.Array
    others: jax.Array
    held_out: jax.Array
    retained: Integers


def attackers(
    reference_models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> list[Attacker]:
    """The images of every attacker, one for each forgotten class and neighbour; arguments and errors are those of `cmia`."""
    retained = np.setdiff1d(np.arange(reference_models[-1]["b"].shape[-1]), [*forget])
    if len(retained) < 2 or not forget:
        raise HyperForgetError(
            f"cmia got the forget set {[*forget]}, which leaves {len(retained)} classes: forget some, and retain at least 2"
        )
    found = []
    for label in forget:
        members = train[0][_rows(train, label, config.cmia_images)]
        held_out = test[0][np.flatnonzero(np.asarray(test[1]) == label)]
        if len(members) == 0 or len(held_out) == 0:
            raise HyperForgetError(
                f"cmia got {len(members)} training and {len(held_out)} test images of output {label}, expected some: "
                "name classes that both splits contain"
            )
        for neighbour in neighbour_classes(reference_models, members, forget, config.cmia_neighbours):
            rows = _rows(test, neighbour, config.cmia_images)
            if len(rows) == 0:
                raise HyperForgetError(f"cmia got 0 test images of output {neighbour}: use a split with all classes")
            found.append(Attacker(members, test[0][rows], held_out, retained))
    return found


def accuracies(models: Params, asked: Sequence[Attacker], config: AttackConfig) -> Doubles:
    """Share [N] of forgotten test images that attackers fitted to each of N stacked models recognise, the mean over attackers."""
    found = []
    for members, others, held_out, retained in asked:
        known, near, new = (_logits(models, images, retained) for images in (members, others, held_out))
        found.append(_accuracies(known, near, new, config.cmia_penalty))
    return np.mean(found, axis=0)


def neighbour_classes(
    reference_models: Params, images: jax.Array, forget: Sequence[int], count: int
) -> tuple[int, ...]:
    """The retained classes that several retrained models answer most on images of a forgotten class, the most frequent first.

    Args:
      reference_models: M stacked models.
      images: [n, D], of the class.
      forget: output positions of all forgotten classes, none of them a neighbour.
      count: how many, at most; every one is answered at least once.
    """
    logits = np.array(classifier.logits_of_many(reference_models, images))  # [M, n, K]
    logits[..., list(forget)] = -np.inf
    answers = np.bincount(logits.argmax(-1).ravel(), minlength=logits.shape[-1])  # [K]
    order = np.argsort(-answers, kind="stable")[:count]
    return tuple(int(each) for each in order if answers[each])


def _rows(images: Images, label: int, count: int) -> Integers:
    """At most so many rows of a class, evenly spaced."""
    rows = np.flatnonzero(np.asarray(images[1]) == label)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).round().astype(np.int64)]


def _logits(models: Params, images: jax.Array, retained: Integers) -> Doubles:
    """Centred logits [N, n, k] of the k retained classes: a shift of all logits changes no answer."""
    logits = np.asarray(classifier.logits_of_many(models, images), np.float64)[..., retained]
    return np.asarray(logits - logits.mean(-1, keepdims=True))


def _accuracies(members: Doubles, others: Doubles, held_out: Doubles, penalty: float) -> Doubles:
    """Share [N] of held-out forgotten images that one attacker a model takes for forgotten ones."""
    from sklearn.pipeline import make_pipeline  # slow, and requests for models need none of it
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from threadpoolctl import threadpool_limits

    labels, shares = np.repeat([1, 0], [members.shape[1], others.shape[1]]), []
    with threadpool_limits(1):  # the fits are small
        for member, other, asked in zip(members, others, held_out, strict=True):
            attacker = make_pipeline(StandardScaler(), SVC(C=penalty, kernel="rbf", class_weight="balanced"))
            shares.append(attacker.fit(np.concatenate([member, other]), labels).predict(asked).mean())
    return np.array(shares, np.float64)
