"""Other attackers on the entropy of a model's outputs, beside that of the paper (`membership`), and what they measure.

The paper's attacker learns retained training images from test images, and a forgotten class differs from both. Two of these ask the
plainer question: does the model tell forgotten training images from test images of the same classes, which it never saw? A model
that never saw either cannot. The reference models say what a number means.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_score
from sklearn.svm import SVC

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.membership import validate_entropies

Doubles = NDArray[np.float64]

FOLDS = 5
PENALTY = 3.0
"""C of the support vector machine."""


def area_under_curve(members: Doubles, others: Doubles) -> Doubles:
    """Chance that a member has a lower entropy than another image, ties half: the AUC of an attacker with any threshold.

    Args:
      members: [N, a], entropies of N models.
      others: [N, b].

    Returns:
      [N], in [0, 1]; 0.5 says that entropy tells nothing.

    Raises:
      HyperForgetError: a set has no image, or an entropy is not finite.
    """
    validate_entropies({"member": members, "non-member": others})
    pairs = members.shape[1] * others.shape[1]
    return np.asarray(mannwhitneyu(others, members, axis=1, method="asymptotic").statistic / pairs)


def cross_validated(members: Doubles, others: Doubles) -> Doubles:
    """Balanced accuracy of the logistic regression on entropies that it was not fitted on, the mean of 5 folds.

    A fold holds every fifth image: neighbours may be of one source, as in the test images of MNIST.

    Args:
      members: [N, a], entropies of N models; a is at least 5.
      others: [N, b]; b is at least 5.

    Returns:
      [N], in [0, 1]; 0.5 says that the attacker learned nothing.

    Raises:
      HyperForgetError: a set has fewer images than folds, or an entropy is not finite.
    """
    sets = {"member": members, "non-member": others}
    validate_entropies(sets)
    for name, entropies in sets.items():
        if entropies.shape[1] < FOLDS:
            raise HyperForgetError(
                f"cross-validation got {entropies.shape[1]} {name} images, and {FOLDS} folds need as many: use a larger split"
            )
    attacker = LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-8)
    labels = np.repeat([1, 0], [entropies.shape[1] for entropies in sets.values()])
    folds = PredefinedSplit(np.concatenate([np.arange(each.shape[1]) % FOLDS for each in sets.values()]))
    shares = [
        cross_val_score(attacker, each[:, None], labels, cv=folds, scoring="balanced_accuracy").mean()
        for each in np.concatenate([members, others], axis=1)
    ]
    return np.array(shares, np.float64)


def kernel_membership(retain_train: Doubles, test: Doubles, forget_train: Doubles, images: int) -> Doubles:
    """Share of forgotten training images that a support vector machine with an RBF kernel takes for members.

    Args:
      retain_train: [N, a], entropies of N models on the retained training images, the members.
      test: [N, b], on the test images, the non-members.
      forget_train: [N, c], on the forgotten training images.
      images: most images of either kind that it learns from, evenly spaced.

    Returns:
      [N], in [0, 1].

    Raises:
      HyperForgetError: a set has no image, or an entropy is not finite.
    """
    validate_entropies({"retain-train": retain_train, "test": test, "forget-train": forget_train})
    members, others = (_spaced(entropies, images) for entropies in (retain_train, test))
    labels = np.repeat([1, 0], [members.shape[1], others.shape[1]])
    shares = []
    for member, other, forgotten in zip(members, others, forget_train, strict=True):
        machine = SVC(C=PENALTY, kernel="rbf", class_weight="balanced")
        machine.fit(np.concatenate([member, other])[:, None], labels)
        shares.append(machine.predict(forgotten[:, None]).mean())
    return np.array(shares, np.float64)


def _spaced(entropies: Doubles, images: int) -> Doubles:
    """At most so many columns."""
    count = entropies.shape[1]
    return entropies[:, np.linspace(0, count - 1, min(count, images)).round().astype(np.int64)]
