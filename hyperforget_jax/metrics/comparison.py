"""Unlearned models beside reference models on one split: every metric of every model, and what they come to as a frame."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import accuracy, agreement, membership
from hyperforget_jax.metrics.results import REFERENCE, Context, Ideal, Row, Selection, frame_of, rows_of

Floats = np.ndarray[Any, np.dtype[Any]]

IMAGES_AT_ONCE = 8192
DECIMALS = 4
"""Digits to which values are printed, and compared with a range."""
PHI: Mapping[str, agreement.Variant] = {"phi_jsd": "jsd", "phi_jsd_nat": "jsd_nat", "phi_badt": "badt_compat"}


class LabelledImages(Protocol):
    """A split: `images` [n, D] float32 and `labels` [n], output positions."""

    @property
    def images(self) -> Any:
        """[n, D]."""

    @property
    def labels(self) -> Any:
        """[n]."""


@dataclass(frozen=True)
class Outputs:
    """Models seen from outside.

    Attributes:
      probabilities: [N, n, K] on the images of the split.
      predictions: [N, n].
      train_entropy: [N, n'], nats, on the training images; [N, 0] without these.
      class_metrics: metric -> [N, K], loss (nats) and accuracy on the images of every class.
    """

    probabilities: Floats
    predictions: Floats
    train_entropy: Floats
    class_metrics: Mapping[str, Floats]


@dataclass(frozen=True)
class Comparison:
    """One forget set: the values of every model; of a whole image set [N] or [M], of every class by itself [N, K] or [M, K].

    Attributes:
      metrics: metric -> values of all samples.
      predictions: [N, n].
      selected: rows of the samples selected on validation.
      reference_metrics: metric -> values of the reference models.
      reference_predictions: [M, n].
    """

    metrics: Mapping[str, Floats]
    predictions: Floats
    selected: Floats
    reference_metrics: Mapping[str, Floats]
    reference_predictions: Floats


def compare(
    models: Params,
    selected: Sequence[int] | Floats,
    reference_models: Params,
    split: LabelledImages,
    forget_positions: Sequence[int],
    train: LabelledImages | None = None,
    *,
    classes: Sequence[int] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Accuracies, overlap, unlearning scores, membership inference and class losses of unlearned and of reference models.

    Metrics are `retain_accuracy`, `forget_accuracy`, `test_accuracy` (all images of the split), `overlap_retain`, `overlap_forget`,
    `overlap_test`, `phi_jsd`, `phi_jsd_nat`, `phi_badt`, `mia` (with `train` only), and of every class `class_loss` (nats) and
    `class_accuracy`. Overlap and phi are each model's median over the reference models; a reference model is held against the others.

    Args:
      models: N stacked unlearned models, leaves [N, …].
      selected: rows of the models selected on validation, such as `UnlearningResult.selected`.
      reference_models: M >= 2 stacked models retrained without the forget set, leaves [M, …].
      split: images [n, D] and labels [n] (output positions) to measure on; it holds images of every class.
      forget_positions: output positions of the forgotten classes.
      train: the training images, for membership inference; None: no `mia`.
      classes: [K], labels of the outputs, for the columns `forget_set` and `class`; None: output positions.
      resamples: of the bootstrap behind each interval.
      seed: of the bootstrap.

    Returns:
      A frame with the columns
        `method`: "unlearned" or "retrain" (the reference models);
        `forget_set`: tuple of labels;
        `metric`;
        `class`: label of the class that a per-class metric is about; missing for the others;
        `selection`: "all" or "selected" samples; missing for the reference models;
        `statistic`: "mean", "median", "q05" and "q95" over models, or "value" of a single one;
        `n`: number of models;
        `value`, with `low` and `high`, the ends of its 95% bootstrap interval (mean and median only);
        `ideal`: 0.0 for the forget accuracy, else "reference";
        `against_reference`: "below", "inside" or "above" the reference models' 5-95% range, see `against_reference`.

    Raises:
      HyperForgetError: fewer than 2 reference models; a class without images; an output is not finite.
    """
    chex.assert_trees_all_equal_dtypes(models, reference_models)
    measured = measure(models, selected, reference_models, split, forget_positions, train)
    num_classes = measured.metrics["class_loss"].shape[1]
    labels = tuple(range(num_classes)) if classes is None else tuple(classes)
    forget_set = tuple(labels[position] for position in forget_positions)
    context = Context("", "", "unlearned", forget_set, None, "test", "strict")
    frame = frame_of(summarise(measured, context, labels, resamples, seed))
    frame = frame.drop(columns=["dataset", "classifier", "split", "protocol"])
    return frame.assign(against_reference=against_reference(frame))


def measure(
    models: Params,
    selected: Sequence[int] | Floats,
    reference_models: Params,
    split: LabelledImages,
    forget_positions: Sequence[int],
    train: LabelledImages | None = None,
) -> Comparison:
    """The values of every model behind `compare`; the arguments are its."""
    ours, theirs = (outputs(each, split, train) for each in (models, reference_models))
    values, reference_values = (
        metrics(each, theirs, split, forget_positions, train) | dict(each.class_metrics) for each in (ours, theirs)
    )
    return Comparison(values, ours.predictions, np.asarray(selected), reference_values, theirs.predictions)


def summarise(measured: Comparison, context: Context, classes: Sequence[int], resamples: int, seed: int) -> list[Row]:
    """Rows of all samples, of the selected ones, and of the reference models.

    Args:
      measured: the values of every model.
      context: of all samples and of the selected ones, but for its selection; that of the reference models has the method "retrain".
      classes: [K], labels of the outputs.
      resamples: of the bootstrap.
      seed: of the bootstrap.
    """
    rows: list[Row] = []
    kept_of: dict[Selection, Any] = {"all": slice(None), "selected": measured.selected}
    for selection, kept in kept_of.items():
        values = {name: each[kept] for name, each in measured.metrics.items()}
        rows += metric_rows(replace(context, selection=selection), values, classes, resamples, seed)
    reference = replace(context, method=REFERENCE, selection=None)
    return rows + metric_rows(reference, measured.reference_metrics, classes, resamples, seed)


def metric_rows(
    context: Context, values: Mapping[str, Floats], classes: Sequence[int], resamples: int, seed: int
) -> list[Row]:
    """Rows of metrics: of a whole image set [N], or of every class by itself [N, K], K being the number of `classes`."""
    rows: list[Row] = []
    for name, array in values.items():
        ideal: Ideal = 0.0 if name == "forget_accuracy" else "reference"
        by_class = [(None, array)] if array.ndim == 1 else [*zip(classes, array.T, strict=True)]
        for label, column in by_class:
            about: dict[str, Any] = {"metric": name, "class_": label, "ideal": ideal}
            rows += rows_of(column, context, **about, resamples=resamples, seed=seed)
    return rows


@jax.jit
def _probabilities(models: Params, images: jax.Array) -> jax.Array:
    return jax.nn.softmax(classifier.logits_of_many(models, images))  # [N, n, K]


def outputs(models: Params, split: LabelledImages, train: LabelledImages | None) -> Outputs:
    """Runs N stacked models on the images of a split and on the training images."""
    images = jnp.asarray(split.images)
    probabilities = np.asarray(_probabilities(models, images))
    losses, accuracies = classifier.class_scores_of_many(models, images, jnp.asarray(split.labels))
    class_metrics = {"class_loss": np.asarray(losses), "class_accuracy": np.asarray(accuracies)}
    seen = images[:0] if train is None else jnp.asarray(train.images)
    parts = [seen[first : first + IMAGES_AT_ONCE] for first in range(0, max(1, len(seen)), IMAGES_AT_ONCE)]
    entropies = [membership.entropy(_probabilities(models, part)) for part in parts]
    return Outputs(probabilities, probabilities.argmax(-1), np.concatenate(entropies, axis=1), class_metrics)


def metrics(
    models: Outputs,
    reference: Outputs,
    split: LabelledImages,
    forget_positions: Sequence[int],
    train: LabelledImages | None,
) -> dict[str, Floats]:
    """Metrics of N models, [N] each: agreement is the median over the reference models.

    Args:
      models: their outputs; if they are `reference` itself, every model is held against the others.
      reference: outputs of the reference models.
      split: images that the outputs are of.
      forget_positions: output positions of the forgotten classes.
      train: training images that `train_entropy` is of; None: no membership inference.

    Raises:
      HyperForgetError: a set has no image; fewer than 2 reference models are held against each other.
    """
    labels = np.asarray(split.labels)
    forgotten = np.isin(labels, forget_positions)
    sets = {"retain": ~forgotten, "forget": forgotten, "test": np.ones(len(labels), bool)}
    typical = partial(_typical, themselves=models is reference)
    values = {
        f"{name}_accuracy": accuracy.accuracy(models.predictions, labels, member) for name, member in sets.items()
    }
    for name, member in sets.items():
        values[f"overlap_{name}"] = typical(agreement.overlap(models.predictions, reference.predictions, member))
    for name, variant in PHI.items():
        values[name] = typical(agreement.unlearning_score(models.probabilities, reference.probabilities, variant))
    if train is not None:
        retained = ~np.isin(np.asarray(train.labels), forget_positions)
        values["mia"] = membership.membership_inference(
            models.train_entropy[:, retained],
            membership.entropy(models.probabilities),
            models.train_entropy[:, ~retained],
        )
    return values


def _typical(pairs: Floats, themselves: bool) -> Floats:
    """Median [N] of agreement over pairs [N, M], so that one failed model decides nothing; `themselves`: each against the others."""
    if themselves and len(pairs) < 2:
        raise HyperForgetError(
            f"a comparison got {len(pairs)} reference models, expected at least 2: retrain more models"
        )
    return np.median(agreement.pairs_without_self(pairs).reshape(len(pairs), -1) if themselves else pairs, axis=1)


def against_reference(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Whether each value lies "below", "inside" or "above" the reference models' 5-95% range of its forget set, metric and class.

    Values and ends are compared as printed, to 4 decimals; the ends belong to the range. Missing for quantiles, for the reference models
    themselves, and where there are no reference models. The value of a single reference model stands for both ends.

    Args:
      frame: results in long form.

    Returns:
      A series with the frame's index.
    """
    against = [*map(relative_to, frame["value"], _reference(frame, "q05"), _reference(frame, "q95"))]
    compared = (frame["method"] != REFERENCE) & frame["statistic"].isin(["mean", "median", "value"])
    return pd.Series(against, frame.index, object).where(compared, None)


def relative_to(value: float, low: float, high: float) -> Literal["below", "inside", "above"] | None:
    """Where a value lies relative to [low, high], all as printed, so that no table contradicts itself; None if an end is NaN."""
    if math.isnan(low):
        return None
    low, value, high = (round(each, DECIMALS) for each in (low, value, high))
    return "below" if value < low else "above" if value > high else "inside"


def _reference(frame: pd.DataFrame, quantile: str) -> Floats:
    """A quantile of the reference models, for every row of the frame; NaN where there is none."""
    keys = ["forget_set", "metric", "class"]
    rows = frame[(frame["method"] == REFERENCE) & frame["statistic"].isin([quantile, "value"])]
    return frame[keys].merge(rows[[*keys, "value"]], "left", keys)["value"].to_numpy()
