"""Recovery: what brings a forgotten class back, at what cost, and does it bring it back as fast in models that never saw the class?

    relearn_k         fine-tuning on k images a class (metrics.relearning)
    relearn_retained  fine-tuning on images of retained classes alone
    prototypical      the class vector moved towards the mean feature of 5 images (arXiv 2506.01318; reconstructed)
    head_k            the output layer refitted to k labels a class
    rounded_b         weights rounded to b bits, which undoes changes below half a step (arXiv 2410.16454)

Every attack ends with the accuracy on forgotten test images. Steps, norms and rounding depend on how a function is written in weights:
all models are brought to one gauge first.
"""

from collections.abc import Sequence
from functools import partial

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
from hyperforget_jax.metrics.accuracy import accuracy
from hyperforget_jax.metrics.relearning import few_images, relearning_curves
from hyperforget_jax.weights.canonical import gauge_of_many


def recover(
    models: Params, reference_models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> dict[str, AttackResult]:
    """All attacks on unlearned and on reference models.

    Args:
      models: N stacked unlearned models with at least one hidden layer.
      reference_models: M stacked reference models.
      train: training images, the first few of every class are shown.
      test: test images.
      forget: output positions of the forgotten classes.
      config: numbers of images, steps and bits.

    Returns:
      Name -> forget accuracy after the attack, of every model; that of relearning is its mean over the steps of `relearning_steps`.

    Raises:
      HyperForgetError: a split has no image of a forgotten class, or a weight is not finite.
    """
    labels = np.asarray(train[1])
    lacking = [each for each in forget if not (labels == each).any() or not (np.asarray(test[1]) == each).any()]
    if lacking or not forget:
        raise HyperForgetError(
            f"recovery got no image of outputs {lacking} among the forget set {[*forget]}: name classes that both splits contain"
        )
    for each in (models, reference_models):
        validate_models("recovery", each)
    ours, theirs = (
        after_attacks(gauge_of_many(each), train, test, forget, config) for each in (models, reference_models)
    )
    return {name: beside_reference(name, ours[name], theirs[name]) for name in ours}


def after_attacks(
    models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig
) -> dict[str, Doubles]:
    """Forget accuracy [N] of N stacked models, in one gauge, after every attack; the arguments are those of `recover`."""
    labels = np.asarray(train[1])
    forgotten = np.isin(labels, list(forget))  # [n]
    member = np.isin(np.asarray(test[1]), list(forget))
    num_classes = models[-1]["b"].shape[-1]
    measure = partial(forget_accuracy, test=test, forget=forget)

    def shown(shots: int, of: NDArray[np.bool_]) -> Images:
        rows = np.flatnonzero(of)[few_images(labels[of], shots)]
        return train[0][rows], train[1][rows]

    everything = np.ones_like(forgotten)
    relearned = partial(relearning_curves, test=test, member=member, steps=config.relearning_steps)
    found = {
        f"relearn_{shots}": relearned(models, shown(shots, everything)).mean(1) for shots in config.relearning_shots
    }
    found["relearn_retained"] = relearned(models, shown(config.retained_shots, ~forgotten)).mean(1)
    few = shown(config.prototype_images, forgotten)
    found["prototypical"] = measure(towards_prototypes(models, *few, tuple(forget), config.prototype_weight))
    for shots in config.head_labels:
        some = shown(shots, everything)
        found[f"head_{shots}"] = measure(
            refit_heads(models, *some, num_classes, config.linear_penalty, config.linear_steps)
        )
    for bits in config.rounding_bits:
        found[f"rounded_{bits}"] = measure(round_weights(models, bits))
    return found


def forget_accuracy(models: Params, test: Images, forget: Sequence[int]) -> Doubles:
    """Accuracy [N] of N stacked models on the test images of the forgotten classes."""
    member = np.isin(np.asarray(test[1]), list(forget))
    images, labels = test[0][member], np.asarray(test[1])[member]
    predictions = np.asarray(classifier.logits_of_many(models, images)).argmax(-1)
    return accuracy(predictions, labels, np.ones(len(labels), bool))


@partial(jax.jit, static_argnames="forget")
def towards_prototypes(
    models: Params, images: jax.Array, labels: jax.Array, forget: tuple[int, ...], weight: float
) -> Params:
    """Models whose class vectors are moved towards the prototypes of forgotten classes: w_c <- a prototype + (1 - a) w_c.

    The prototype of class c is its mean hidden activation, with the mean norm of the retained classes' vectors; c's bias, of which it says
    nothing, becomes the mean of theirs. Both are our choice: the source normalises, in a network whose features have a fixed scale.

    Args:
      models: N stacked models, in one gauge.
      images: [n, D], a few of every forgotten class.
      labels: [n].
      forget: output positions of the forgotten classes.
      weight: a, in [0, 1].
    """
    retained = np.setdiff1d(np.arange(models[-1]["b"].shape[-1]), forget)

    def of_model(params: Params) -> Params:
        *earlier, last = params
        features = linear.hidden_units(params, images)  # [n, H]
        norm = jnp.linalg.norm(last["w"][retained], axis=1).mean()
        w, b = last["w"], last["b"]
        for position in forget:
            mean = (labels == position).astype(features.dtype) @ features  # [H], but for a factor
            length = jnp.linalg.norm(mean)
            prototype = jnp.where(length > 0, norm / jnp.where(length > 0, length, 1.0), 0.0) * mean
            w = w.at[position].set(weight * prototype + (1 - weight) * w[position])
            b = b.at[position].set(last["b"][retained].mean())
        return (*earlier, {"w": w, "b": b})

    return jax.vmap(of_model)(models)


@partial(jax.jit, static_argnames=("num_classes", "steps"))
def refit_heads(
    models: Params, images: jax.Array, labels: jax.Array, num_classes: int, penalty: float, steps: int
) -> Params:
    """Models with new output layers, fitted to labelled images on the hidden units (`linear.fit`).

    Args:
      models: N stacked models.
      images: [n, D].
      labels: [n], of all classes.
      num_classes: K.
      penalty: C of the fit.
      steps: of the fit.
    """

    def of_model(params: Params) -> Params:
        return (*params[:-1], linear.fit(linear.hidden_units(params, images), labels, num_classes, penalty, steps))

    return jax.lax.map(of_model, models, batch_size=classifier.MODELS_AT_ONCE)


@partial(jax.jit, static_argnames="bits")
def round_weights(models: Params, bits: int) -> Params:
    """Models whose weights are whole multiples of a step: symmetric rounding of every tensor of every model.

    The step of a tensor is its largest absolute weight over 2^(bits - 1) - 1, so that the rounded ones fit signed integers of so many bits.

    Args:
      models: N stacked models.
      bits: at least 2.
    """

    def rounded(tensor: jax.Array) -> jax.Array:
        largest = jnp.abs(tensor).max()
        step = jnp.where(largest > 0, largest, 1.0) / (2 ** (bits - 1) - 1)
        return jnp.round(tensor / step) * step

    return jax.vmap(partial(jax.tree.map, rounded))(models)
