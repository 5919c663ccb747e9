"""What hidden units still know: their likeness to other models', and how well the forgotten class can be read from them.

Linear CKA (arXiv 1905.00414) of centred activations X [n, H] and Y [n, H'] is |X^T Y|^2 / (|X^T X| |Y^T Y|) with Frobenius norms: 1 for
activations that differ by a rotation and a scale.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax import classifier
from hyperforget_jax.attacks import linear
from hyperforget_jax.attacks.result import AttackResult, Doubles, Images, beside_reference, validate_models
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.agreement import pairs_without_self
from hyperforget_jax.metrics.two_sample import spaced_images


def read_hidden_units(
    models: Params,
    reference_models: Params,
    original: Params,
    train: Images,
    test: Images,
    forget: Sequence[int],
    config: AttackConfig,
) -> dict[str, AttackResult]:
    """All audits of the last hidden layer of unlearned and of reference models.

    Args:
      models: N stacked unlearned models.
      reference_models: M >= 2 stacked reference models.
      original: one model, trained on everything.
      train: images that probes are fitted to.
      test: images that probes are tested on and activations are compared on.
      forget: output positions of the forgotten classes.
      config: numbers of images and neighbours, and the fit of the linear probe.

    Returns:
      "cka_original": likeness to the original; "cka_reference": to the reference models, the median over them, each of which is held
      against the others; "linear_probe" and "knn": balanced accuracy of telling forgotten classes from others by the hidden units.

    Raises:
      HyperForgetError: a split has no image of either kind, or a weight is not finite.
    """
    validate_models("an audit of hidden units", models)
    audit = audit_of(reference_models, original, train, test, forget, config)
    ours, references = audit.values(models), audit.control()
    return {name: beside_reference(name, ours[name], references[name]) for name in ours}


class Audit(NamedTuple):
    """An audit of hidden units, ready for any models.

    Attributes:
      reference_models: M stacked reference models.
      theirs: [M, n, H], their activations.
      first: [1, n, H], activations of the original.
      compared: [n, D], images that activations are compared on.
      fitted: images that probes are fitted to, with 1 for forgotten classes and otherwise 0.
      asked: images that they are tested on.
      config: of the probes.
    """

    reference_models: Params
    theirs: Doubles
    first: Doubles
    compared: jax.Array
    fitted: Images
    asked: Images
    config: AttackConfig

    def values(self, models: Params) -> dict[str, Doubles]:
        """The four values of N stacked models, [N] each; names are those of `read_hidden_units`."""
        units = activations(models, self.compared)
        return self._values(models, units, linear_cka(units, self.theirs))

    def control(self) -> dict[str, Doubles]:
        """The same of the reference models, each held against the others."""
        pairs = pairs_without_self(linear_cka(self.theirs, self.theirs))
        return self._values(self.reference_models, self.theirs, pairs.reshape(len(self.theirs), -1))

    def _values(self, models: Params, units: Doubles, pairs: Doubles) -> dict[str, Doubles]:
        config = self.config
        fitted, tested = (linear.hidden_units_of_many(models, each[0]) for each in (self.fitted, self.asked))
        labels, asked = self.fitted[1], np.asarray(self.asked[1])
        probed = linear_probe(fitted, labels, tested, config.linear_penalty, config.linear_steps)
        nearest = nearest_neighbours(fitted, labels, tested, config.neighbours)
        return {
            "cka_original": linear_cka(units, self.first)[:, 0],
            "cka_reference": np.median(pairs, axis=1),
            "linear_probe": _balanced(np.asarray(probed), asked),
            "knn": _balanced(np.asarray(nearest), asked),
        }


def audit_of(
    reference_models: Params, original: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> Audit:
    """The audit against some reference models; arguments and errors are those of `read_hidden_units`."""
    alone = jax.tree.map(lambda leaf: leaf[None], original)
    for stacked in (reference_models, alone):
        validate_models("an audit of hidden units", stacked)
    fitted, asked = (
        _both_kinds(name, images, forget, config.probe_images) for name, images in (("training", train), ("test", test))
    )
    compared = test[0][spaced_images(np.asarray(test[1]), config.probe_images)]
    theirs, first = activations(reference_models, compared), activations(alone, compared)
    return Audit(reference_models, theirs, first, compared, fitted, asked, config)


def activations(models: Params, images: jax.Array) -> Doubles:
    """Hidden activations [N, n, H] of N stacked models."""
    return np.asarray(linear.hidden_units_of_many(models, images), np.float64)


def linear_cka(first: Doubles, second: Doubles) -> Doubles:
    """Linear CKA of every pair.

    Args:
      first: [N, n, H], activations of N models on n images.
      second: [M, n, H'].

    Returns:
      [N, M], in [0, 1]; 0 where no unit of a model varies.
    """
    centred = [each - each.mean(1, keepdims=True) for each in (first, second)]
    others, images, width = second.shape
    flat = centred[1].transpose(1, 0, 2).reshape(images, -1)  # [n, M H']
    squares = [((units.T @ flat) ** 2).sum(0).reshape(others, width).sum(1) for units in centred[0]]  # N of [M]
    own, other = (np.linalg.norm(each.transpose(0, 2, 1) @ each, axis=(1, 2)) for each in centred)  # [N], [M]
    norms = own[:, None] * other[None]
    return np.asarray(np.where(norms > 0, np.array(squares), 0.0) / np.where(norms > 0, norms, 1.0))


@partial(jax.jit, static_argnames="steps")
def linear_probe(fitted: jax.Array, labels: jax.Array, tested: jax.Array, penalty: float, steps: int) -> jax.Array:
    """Answers [N, m] of a logistic regression on the hidden units of every model: whether an image is of a forgotten class.

    Args:
      fitted: [N, n, H].
      labels: [n], 1 for images of forgotten classes, otherwise 0.
      tested: [N, m, H].
      penalty: C of the fit (`linear.fit`).
      steps: of the fit.
    """

    def of_model(units: tuple[jax.Array, jax.Array]) -> jax.Array:
        layer = linear.fit(units[0], labels, 2, penalty, steps)
        return classifier.logits((layer,), units[1]).argmax(-1)

    return jax.lax.map(of_model, (fitted, tested), batch_size=classifier.MODELS_AT_ONCE)


@partial(jax.jit, static_argnames="neighbours")
def nearest_neighbours(fitted: jax.Array, labels: jax.Array, tested: jax.Array, neighbours: int) -> jax.Array:
    """Answers [N, m] of the k nearest of the fitted images, in standardised hidden units: 1 if more than half of them are forgotten.

    Args:
      fitted: [N, n, H].
      labels: [n], 1 for images of forgotten classes, otherwise 0.
      tested: [N, m, H].
      neighbours: k; all n if there are fewer.
    """
    k = min(neighbours, fitted.shape[1])

    def of_model(units: tuple[jax.Array, jax.Array]) -> jax.Array:
        mean, spread = units[0].mean(0), units[0].std(0)
        known, asked = ((each - mean[None]) / jnp.where(spread > 0, spread, 1.0)[None] for each in units)
        # |a - b|^2 but for |a|^2, which ranks alike
        distances = jnp.square(known).sum(1)[None] - 2 * jnp.dot(asked, known.T, precision="highest")  # [m, n]
        _, rows = jax.lax.top_k(-distances, k)  # [m, k]
        return (2 * labels[rows].sum(1) > k).astype(labels.dtype)

    return jax.lax.map(of_model, (fitted, tested))


def _balanced(answers: NDArray[np.integer], labels: NDArray[np.integer]) -> Doubles:
    """Mean [N] of the accuracies on both kinds of images, of answers [N, m]."""
    hits = answers == labels[None]
    return (hits[:, labels == 1].mean(1, dtype=np.float64) + hits[:, labels == 0].mean(1, dtype=np.float64)) / 2


def _both_kinds(name: str, images: Images, forget: Sequence[int], count: int) -> Images:
    """Evenly spaced images, as many of forgotten as of other classes where there are so many, with 1 or 0."""
    forgotten = np.isin(np.asarray(images[1]), list(forget)).astype(np.int32)
    if len(np.unique(forgotten)) < 2:
        raise HyperForgetError(
            f"a probe got {forgotten.sum()} of {len(forgotten)} {name} images of the forget set {[*forget]}, expected some of it and some "
            "of other classes: name classes that the split contains"
        )
    rows = spaced_images(forgotten, count)
    return images[0][rows], jnp.asarray(forgotten[rows])
