"""What an attacker's scores are worth: the area under the ROC curve, and its points that are reported."""

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def area_under_curve(members: Doubles, others: Doubles) -> Doubles:
    """Chance that a member's score is above another one's, ties half.

    Args:
      members: [..., a], scores.
      others: [..., b].

    Returns:
      [...], in [0, 1]; 0.5 says that scores tell nothing.
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]  # slow, and requests for models need none of it

    count = members.shape[-1]
    ranks = rankdata(np.concatenate([members, others], axis=-1), axis=-1)[..., :count]  # from 1; ties share their mean
    return np.asarray((ranks.mean(-1) - (count + 1) / 2) / others.shape[-1])


def balanced_accuracy(members: Doubles, others: Doubles) -> float:
    """Mean of both sides' shares that are told rightly by the sign of a log-likelihood ratio; a ratio of 0 is told half rightly.

    Args:
      members: any shape, log-likelihood ratios.
      others: any shape.
    """
    return float(0.5 + (np.sign(members).mean() - np.sign(others).mean()) / 4)


def true_positive_rate(members: Doubles, others: Doubles, false_positive_rate: float) -> float:
    """Share of members above the least threshold that at most so many others exceed.

    Args:
      members: [a], scores.
      others: [b]; below 1 / `false_positive_rate` of them, none may exceed the threshold.
      false_positive_rate: in [0, 1).
    """
    allowed = int(false_positive_rate * len(others) + 1e-9)
    threshold = np.sort(others)[len(others) - 1 - allowed]
    return float(np.mean(members > threshold))
