"""MIA-NN, published as CMIA (arXiv 2506.20893; reconstructed from its abstract): membership from the classes next to a forgotten one.

A retrained model answers for a forgotten image as its look demands: often one of a few neighbour classes. A model that only lost the
class answers otherwise. For each neighbour class an attacker, a support vector machine on logits, learns to tell forgotten training images
from test images of the neighbour; its accuracy is the share of forgotten test images that it takes for forgotten ones. Attackers are fitted
to every model by itself, unlearned and retrained, on all logits but that of the forgotten class: its output may be cut off, and that is no
secret. The attack's metric is the gap of the two accuracies.
"""

import jax
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import AttackResult, Images, beside_reference
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

Integers = NDArray[np.int64]


def neighbour_classes(reference_models: Params, forgotten: Images, forget: int, count: int) -> tuple[int, ...]:
    """The classes that several retrained models answer most on images of a forgotten class, the most frequent first.

    Args:
      reference_models: M stacked models.
      forgotten: images of the class.
      forget: its output position, itself no neighbour.
      count: how many, at most; every one is answered at least once.
    """
    logits = np.array(classifier.logits_of_many(reference_models, forgotten[0]))  # [M, n, K]
    logits[..., forget] = -np.inf
    answers = np.bincount(logits.argmax(-1).ravel(), minlength=logits.shape[-1])  # [K]
    order = np.argsort(-answers, kind="stable")[:count]
    return tuple(int(each) for each in order if answers[each])


def cmia(
    models: Params, reference_models: Params, train: Images, test: Images, forget: int, config: AttackConfig
) -> AttackResult:
    """Accuracy of the attackers on forgotten test images, of every model, the mean over neighbour classes.

    Args:
      models: N stacked unlearned models.
      reference_models: M stacked retrained models, of which the neighbour classes are found.
      train: training images, of which the attackers see those of the forgotten class.
      test: test images; attackers are fitted on those of the neighbour class and measured on those of the forgotten class.
      forget: output position of the forgotten class; call once for every class of a forget set.
      config: numbers of neighbours and images, and the attackers' penalty.

    Returns:
      "cmia": the gap is `value` less the mean of the reference; `z_score` is that gap in the reference's standard deviations.

    Raises:
      HyperForgetError: a split has no image of the class, or a logit is not finite.
    """
    train_rows = _rows(train, forget, config.cmia_images)
    test_rows = np.flatnonzero(np.asarray(test[1]) == forget)
    if len(train_rows) == 0 or len(test_rows) == 0:
        raise HyperForgetError(
            f"cmia got {len(train_rows)} training and {len(test_rows)} test images of output {forget}, expected some: "
            "name a class that both splits contain"
        )
    forgotten = train[0][train_rows], train[1][train_rows]
    others = {
        neighbour: rows
        for neighbour in neighbour_classes(reference_models, forgotten, forget, config.cmia_neighbours)
        if len(rows := _rows(test, neighbour, config.cmia_images))
    }
    if not others:
        raise HyperForgetError(
            f"cmia got no test image of a class next to output {forget}: use a split with all classes"
        )

    def accuracies(each: Params) -> NDArray[np.float64]:
        members = _logits(each, forgotten[0], forget)  # [N, a, K - 1]
        held_out = _logits(each, test[0][test_rows], forget)  # [N, b, K - 1]
        found = [
            _accuracies(members, _logits(each, test[0][rows], forget), held_out, config.cmia_penalty)
            for rows in others.values()
        ]
        return np.mean(found, axis=0)

    return beside_reference("cmia", accuracies(models), accuracies(reference_models))


def _rows(images: Images, label: int, count: int) -> Integers:
    """At most so many rows of a class, evenly spaced."""
    rows = np.flatnonzero(np.asarray(images[1]) == label)
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).round().astype(np.int64)]


def _logits(models: Params, images: jax.Array, forget: int) -> NDArray[np.float64]:
    """Centred logits [N, n, K - 1] without the forgotten class: a shift of all logits changes no answer."""
    logits = np.delete(np.asarray(classifier.logits_of_many(models, images), np.float64), forget, axis=-1)
    if not np.isfinite(logits).all():
        raise HyperForgetError("cmia got logits that are not finite: drop models with NaN weights first")
    return logits - logits.mean(-1, keepdims=True)


def _accuracies(
    members: NDArray[np.float64], others: NDArray[np.float64], held_out: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Share [N] of held-out forgotten images that one attacker a model takes for forgotten ones."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC
    from threadpoolctl import threadpool_limits

    labels, shares = np.repeat([1, 0], [members.shape[1], others.shape[1]]), []
    with threadpool_limits(1):  # the fits are small
        for member, other, asked in zip(members, others, held_out, strict=True):
            attacker = make_pipeline(StandardScaler(), SVC(C=penalty, kernel="rbf", class_weight="balanced"))
            shares.append(attacker.fit(np.concatenate([member, other]), labels).predict(asked).mean())
    return np.array(shares, np.float64)
