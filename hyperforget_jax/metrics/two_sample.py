"""Classifier two-sample test (C2ST; Lopez-Paz and Oquab, arXiv 1610.06545): can a classifier tell two groups of models apart?

Its measure is the area under the ROC curve on models that the classifier was not fitted on: 0.5 if the groups have one distribution,
1 if every model gives its group away. scikit-learn is imported where it fits: that takes a second, and a request for models fits nothing.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import machine

Floats = NDArray[np.float32]
Classifier = Literal["forest", "logistic"]
"""A random forest, or a logistic regression on standardised features."""

FOLDS = 5
LOSS_FLOOR = 1e-3
"""Nats added to a loss before its logarithm is taken."""
NULL_TREES = 20
"""Trees of the forests that are fitted to permuted labels: the spread of their AUCs is that of larger forests within 10%, at a tenth of the
time."""
CENTRAL_95 = 1.959964


class TwoSample(NamedTuple):
    """Result of one test.

    Attributes:
      auc: mean over the folds.
      low: lower end of the central 95% of the AUC if the groups have one distribution; NaN without permutations.
      high: its upper end.
    """

    auc: float
    low: float
    high: float


def two_sample_test(
    first: Floats, second: Floats, classifier: Classifier, *, trees: int, permutations: int, seed: int
) -> TwoSample:
    """The cross-validated AUC of a classifier that tells two groups apart, and what it would be if nothing told them apart.

    Five stratified folds, each scored by a classifier fitted on the other four. The null interval comes from refits to permuted labels:
    that of a normal distribution around 0.5 with the root mean square deviation of the permuted AUCs, so that few of them are enough.
    It is no narrower than Mann-Whitney's for independent folds; they share models, so that the AUC spreads by about a fifth more.

    Args:
      first: [n, d], features of one group.
      second: [m, d], of the other; of either the first min(n, m) count.
      classifier: what tells them apart.
      trees: of a random forest.
      permutations: refits to permuted labels; 0: no interval.
      seed: of folds, forests and permutations.

    Raises:
      HyperForgetError: fewer than 5 models a side, or a feature is not finite.
    """
    count = min(len(first), len(second))
    if count < FOLDS:
        raise HyperForgetError(
            f"a two-sample test got {len(first)} and {len(second)} models, and {FOLDS} folds need {FOLDS} of each: sample more models"
        )
    features: NDArray[np.floating] = np.concatenate([first[:count], second[:count]]).astype(np.float32)
    if not np.isfinite(features).all():
        raise HyperForgetError(
            "a two-sample test got features that are not finite: drop models with NaN or infinite weights"
        )
    labels, rng = np.repeat([1, 0], count), np.random.default_rng(seed)
    with threadpool_limits(1):  # threads cost more than products of so few rows, and numbers would depend on the cores
        if classifier == "logistic":
            features = _rotated(features)
        auc, *_ = _cross_validated_aucs(features, [labels], classifier, trees, seed)
        if permutations == 0:
            return TwoSample(auc, math.nan, math.nan)
        nulls = [rng.permutation(labels) for _ in range(permutations)]
        permuted = _cross_validated_aucs(features, nulls, classifier, min(trees, NULL_TREES), seed)
    independent = (2 * count / FOLDS + 1) / (12 * (count / FOLDS) ** 2) / FOLDS  # variance
    reach = CENTRAL_95 * math.sqrt(max(independent, float(np.mean(np.square(np.subtract(permuted, 0.5))))))
    return TwoSample(auc, max(0.0, 0.5 - reach), min(1.0, 0.5 + reach))


def class_score_features(losses: NDArray[np.floating], accuracies: NDArray[np.floating]) -> Floats:
    """Features [N, 2 K] of class losses [N, K] (nats; their logarithms) and accuracies [N, K]."""
    logs = np.log(np.asarray(losses, np.float64) + LOSS_FLOOR)
    return np.concatenate([logs, accuracies], axis=1).astype(np.float32)


def spaced_images(labels: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Rows of at most `count` images: equal numbers of every class, evenly spaced among its images; in rising order.

    Args:
      labels: [n].
      count: at least one image a class is taken.
    """
    classes = np.unique(labels)
    of_class = (np.flatnonzero(labels == label) for label in classes)
    each = max(1, count // len(classes))
    chosen = [rows[np.linspace(0, len(rows) - 1, min(each, len(rows))).round().astype(np.int64)] for rows in of_class]
    return np.sort(np.concatenate(chosen))


def _estimator(classifier: Classifier, trees: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if classifier == "forest":
        return RandomForestClassifier(trees, random_state=seed, n_jobs=machine.cores())
    return LogisticRegression(solver="newton-cholesky")


def _rotated(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Standardised features [n, d] in the basis of their principal components, [n, min(n, d)].

    All their products stay, and so does a regression with an L2 penalty, which sees nothing else. Means and deviations are those of both
    groups together, which tell no label.
    """
    from sklearn.preprocessing import scale

    left, singular, _ = np.linalg.svd(scale(features.astype(np.float64)), full_matrices=False)
    return left * singular


def _cross_validated_aucs(
    features: NDArray[np.floating],
    labelings: Sequence[NDArray[np.int64]],
    classifier: Classifier,
    trees: int,
    seed: int,
) -> list[float]:
    """Mean AUC over shuffled folds, for each of some labels [n]; fits share the cores, and their number changes no result."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    jobs = [(labels, *rows) for labels in labelings for rows in splitter.split(features, labels)]

    def score(job: tuple[NDArray[np.int64], ...]) -> float:
        labels, fitted, held_out = job
        estimator = _estimator(classifier, trees, seed).fit(features[fitted], labels[fitted])
        if classifier == "forest":
            estimator.set_params(n_jobs=1)  # threads would add votes in any order
        return float(roc_auc_score(labels[held_out], estimator.predict_proba(features[held_out])[:, 1]))

    if classifier == "forest":  # its trees share the cores
        scores = np.array([score(job) for job in jobs])
    else:
        with ThreadPoolExecutor(machine.cores()) as pool:
            scores = np.array(list(pool.map(score, jobs)))
    means: list[float] = scores.reshape(-1, FOLDS).mean(1).tolist()
    return means
