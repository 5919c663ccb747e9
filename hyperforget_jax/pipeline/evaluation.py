"""Generated models beside retrained ones, on test images: the metrics and the arrays behind the pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.data import Split
from hyperforget_jax.evaluate import accuracy, agreement, membership
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.requests import UnlearningResult

Floats = np.ndarray[Any, np.dtype[Any]]
IMAGES_AT_ONCE = 8192


@dataclass(frozen=True)
class Outputs:
    """Models seen from outside.

    Attributes:
      probabilities: [N, n, K] on the test images.
      predictions: [N, n].
      train_entropy: [N, n'], nats, on the training images.
      of_classes: metric -> [N, K], loss (nats) and accuracy on the test images of every class.
    """

    probabilities: Floats
    predictions: Floats
    train_entropy: Floats
    of_classes: Mapping[str, Floats]


@jax.jit
def _probabilities(models: Params, images: jax.Array) -> jax.Array:
    return jax.nn.softmax(classifier.logits_of_many(models, images))  # [N, n, K]


def outputs(models: Params, dataset_test: Split, dataset_train: Split) -> Outputs:
    """Runs N stacked models on the test and training images."""
    probabilities = np.asarray(_probabilities(models, jnp.asarray(dataset_test.images)))
    images = dataset_train.images
    entropies = [
        membership.entropy(_probabilities(models, jnp.asarray(images[first : first + IMAGES_AT_ONCE])))
        for first in range(0, len(images), IMAGES_AT_ONCE)
    ]
    losses, accuracies = classifier.class_scores_of_many(models, *on_device(dataset_test))
    of_classes = {"class_loss": np.asarray(losses), "class_accuracy": np.asarray(accuracies)}
    return Outputs(probabilities, probabilities.argmax(-1), np.concatenate(entropies, axis=1), of_classes)


def predictions(run: Run, models: Params) -> Floats:
    """Answers [N, n] of N stacked models on test."""
    return np.asarray(classifier.logits_of_many(models, jnp.asarray(run.dataset.test.images)).argmax(-1))


@dataclass(frozen=True)
class Evaluated:
    """One answered request, measured on test.

    Attributes:
      forget_set: labels.
      generated: metric -> [N], all samples.
      selected: rows of the samples selected on validation.
      retrained: metric -> [M], the reference models.
      generated_classes: metric -> [N, K], every class by itself.
      retrained_classes: metric -> [M, K].
      confusion_generated: [K, K] counts, true class by predicted class, over the selected samples.
      confusion_retrained: the same over the reference models.
    """

    forget_set: tuple[int, ...]
    generated: Mapping[str, Floats]
    selected: Floats
    retrained: Mapping[str, Floats]
    generated_classes: Mapping[str, Floats]
    retrained_classes: Mapping[str, Floats]
    confusion_generated: Floats
    confusion_retrained: Floats


def evaluate(run: Run, answers: list[UnlearningResult], reference: Params) -> list[Evaluated]:
    """Accuracy, overlap, unlearning score and MIA of the answers and of the reference models, for every request."""
    found: list[Evaluated] = []
    test, train = run.dataset.test, run.dataset.train
    with (
        run.timed("evaluation", resumes=False),
        track(run.console, "evaluation", len(answers), "requests") as advance,
    ):
        for index, answer in enumerate(answers):
            forget = run.forget_sets[index]
            ours = outputs(answer.models, test, train)
            theirs = outputs(jax.tree.map(lambda x, i=index: x[i], reference), test, train)
            found.append(
                Evaluated(
                    forget_set=run.config.task.forget_sets[index],
                    generated=measures(run, forget, ours, theirs, same=False),
                    selected=answer.selected,
                    retrained=measures(run, forget, theirs, theirs, same=True),
                    generated_classes=ours.of_classes,
                    retrained_classes=theirs.of_classes,
                    confusion_generated=confusion(ours.predictions[answer.selected], test, run.sizes[-1]),
                    confusion_retrained=confusion(theirs.predictions, test, run.sizes[-1]),
                )
            )
            advance(1)
    return found


def confusion(predictions: Floats, split: Split, size: int) -> Floats:
    """Counts [K, K] of true class by predicted class, over all models [N, n] and images."""
    true = np.broadcast_to(split.labels, predictions.shape)
    return np.bincount((true * size + predictions).ravel(), minlength=size * size).reshape(size, size)


def measures(
    run: Run, forget: tuple[int, ...], models: Outputs, reference: Outputs, *, same: bool
) -> dict[str, Floats]:
    """Metrics of N models, one value each: agreement is the median over the reference models, self-comparison left out."""
    test, train = run.dataset.test, run.dataset.train
    everything = np.ones(len(test.labels), bool)
    forgotten = np.isin(test.labels, forget)
    sets = {"retain": ~forgotten, "forget": forgotten, "test": everything}
    average = leave_one_out if same else over_reference
    values: dict[str, Floats] = {}
    for name, member in sets.items():
        values[f"{name}_accuracy"] = accuracy.accuracy(models.predictions, test.labels, member)
    for name, member in sets.items():
        values[f"overlap_{name}"] = average(
            agreement.overlap(models.predictions, reference.predictions, member)
        )
    scores: Mapping[str, agreement.Variant] = {
        "phi_jsd": "jsd",
        "phi_jsd_nat": "jsd_nat",
        "phi_badt": "badt_compat",
    }
    for name, variant in scores.items():
        values[name] = average(
            agreement.unlearning_score(models.probabilities, reference.probabilities, variant)
        )
    trained_on = ~np.isin(train.labels, forget)
    values["mia"] = membership.membership_inference(
        models.train_entropy[:, trained_on],
        membership.entropy(models.probabilities),
        models.train_entropy[:, ~trained_on],
    )
    return values


def over_reference(pairs: Floats) -> Floats:
    """Median [N] of each model's agreement with the reference models, from all pairs [N, M]: a retrained model that failed decides nothing."""
    return np.median(pairs, axis=1)


def leave_one_out(pairs: Floats) -> Floats:
    """Median [M] of each model's agreement with the others, from all pairs [M, M]."""
    return np.median(agreement.pairs_without_self(pairs).reshape(len(pairs), -1), axis=1)
