"""Membership by margin: does a model tell forgotten training images from test images of the same classes, which it never saw?

The margin of an image is the logit of its label's probability, log p_y - log(1 - p_y): U-LiRA's and KLoM's statistic (arXiv 2403.01218,
2602.16400), here with one threshold for all images.
"""

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import AttackResult, Doubles, Images, beside_reference, validate_models
from hyperforget_jax.attacks.roc import area_under_curve
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError


def image_margins(logits: jax.Array, labels: jax.Array, clip: float | jax.Array) -> jax.Array:
    """z_y - log sum_{j != y} exp z_j, within [-clip, clip].

    Args:
      logits: [..., n, K].
      labels: [n].
      clip: largest absolute margin.

    Returns:
      [..., n].
    """
    own = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)  # [n, K]
    own = jnp.broadcast_to(own, logits.shape)  # [..., n, K]
    of_label = jnp.where(own, logits, 0.0).sum(-1)  # [..., n]
    return jnp.clip(of_label - jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits), axis=-1), -clip, clip)


@jax.jit
def _margins(models: Params, images: jax.Array, labels: jax.Array, clip: jax.Array) -> jax.Array:
    def of_model(params: Params) -> jax.Array:
        return image_margins(classifier.logits(params, images), labels, clip)  # [n]

    return jax.lax.map(of_model, models, batch_size=classifier.MODELS_AT_ONCE)


def margins(models: Params, images: Images, config: AttackConfig) -> Doubles:
    """Margins [N, n] of N stacked models on n images.

    Raises:
      HyperForgetError: there is no image, or a weight is not finite.
    """
    validate_models("an attack", models)
    if len(images[1]) == 0:
        raise HyperForgetError("an attack got a set of 0 images: name classes that the split contains")
    return np.asarray(_margins(models, *images, jnp.float32(config.margin_clip)), np.float64)


def margin_auc(
    models: Params, reference_models: Params, forgotten: Images, unseen: Images, config: AttackConfig
) -> AttackResult:
    """AUC of the margin between forgotten training images and test images of the same classes, of every model.

    Args:
      models: N stacked unlearned models.
      reference_models: M stacked reference models.
      forgotten: the forgotten training images.
      unseen: the test images of the same classes.
      config: the margin's clip.

    Returns:
      "margin_auc": 0.5 for a model that never saw the images, 1 for one that remembers them. A single draw of images moves all models
      alike: judge by the reference's interval.

    Raises:
      HyperForgetError: there is no image, or a weight is not finite.
    """
    ours, reference = (aucs(each, forgotten, unseen, config) for each in (models, reference_models))
    return beside_reference("margin_auc", ours, reference)


def aucs(models: Params, forgotten: Images, unseen: Images, config: AttackConfig) -> Doubles:
    """AUC [N] of N stacked models; the other arguments are those of `margin_auc`."""
    return area_under_curve(margins(models, forgotten, config), margins(models, unseen, config))
