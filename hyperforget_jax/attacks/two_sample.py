"""Two groups of models: does a random forest tell them apart by their class scores, and do they differ among themselves as much?

Groups are drawn at random, as many models of each: unlearned ones and one half of the reference, which are held against the other half.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import AttackResult, Doubles, Images, beside_reference, groups
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.metrics import diversity
from hyperforget_jax.metrics.two_sample import FOLDS, class_score_features, two_sample_test


class Answers(NamedTuple):
    """What models say of test images.

    Attributes:
      losses: [N, K], mean loss on every class, nats.
      accuracies: [N, K].
      predictions: [N, n].
    """

    losses: Doubles
    accuracies: Doubles
    predictions: NDArray[np.int32]


def answers_of(models: Params, test: Images) -> Answers:
    """The answers of N stacked models."""
    losses, accuracies = classifier.class_scores_of_many(models, *test)
    predictions = classifier.logits_of_many(models, jnp.asarray(test[0])).argmax(-1)
    return Answers(
        np.asarray(losses, np.float64), np.asarray(accuracies, np.float64), np.asarray(predictions, np.int32)
    )


def tell_apart(ours: Answers, reference: Answers, config: AttackConfig) -> dict[str, AttackResult]:
    """Results of groups of models, one value a draw.

    Args:
      ours: of N unlearned models.
      reference: of M reference models.
      config: draws, models a side at most, trees.

    Returns:
      "c2st": cross-validated AUC of the forest, 0.5 if nothing tells the groups apart; "disagreement": mean share of test images to which
      two models of a group give different classes; "loss_spread": standard deviation of log class losses, the mean over classes.

    Raises:
      HyperForgetError: fewer than 5 unlearned or 10 reference models, or a class loss is not finite.
    """
    names, num_classes = ("c2st", "disagreement", "loss_spread"), ours.losses.shape[1]
    drawn = groups("c2st", len(ours.losses), len(reference.losses), FOLDS, config.two_sample_splits, config.seed)
    found: list[list[tuple[float, float, float]]] = [[], []]
    for rows in drawn:
        mine, control, against = (each[: config.two_sample_models] for each in rows)
        theirs = class_score_features(reference.losses[against], reference.accuracies[against])
        for values, group, chosen in zip(found, (ours, reference), (mine, control), strict=True):
            features = class_score_features(group.losses[chosen], group.accuracies[chosen])
            test = two_sample_test(
                features, theirs, "forest", trees=config.two_sample_trees, permutations=0, seed=config.seed
            )
            values.append(
                (
                    test.auc,
                    diversity.disagreement(group.predictions[chosen], num_classes),
                    float(diversity.loss_spread(group.losses[chosen]).mean()),
                )
            )
    columns = (np.array(values, np.float64).T for values in found)  # two of [3, splits]
    return {name: beside_reference(name, *both) for name, *both in zip(names, *columns, strict=True)}
