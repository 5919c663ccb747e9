"""Membership by entropy, the paper's attacker (Figure 22, `metrics.membership`), on models and evenly spaced images."""

from collections.abc import Sequence

import jax
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.attacks.result import Doubles, Images
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.metrics import membership
from hyperforget_jax.metrics.two_sample import spaced_images


def member_shares(models: Params, train: Images, test: Images, forget: Sequence[int], config: AttackConfig) -> Doubles:
    """Share [N] of forgotten training images that the attacker takes for members.

    It learns from entropies of retained training images and of test images. Neither 0 nor 1 is ideal: what reference models have is.

    Args:
      models: N stacked models.
      train: training images of all classes.
      test: test images of all classes.
      forget: output positions of the forgotten classes.
      config: images of each of the three kinds, at most.

    Raises:
      HyperForgetError: a kind has no image, or an output is not finite.
    """
    labels = np.asarray(train[1])
    forgotten = np.isin(labels, list(forget))

    def entropies(images: Images, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Doubles:
        shown = rows[spaced_images(np.asarray(images[1])[rows], config.entropy_images)] if len(rows) else rows
        return membership.entropy(jax.nn.softmax(classifier.logits_of_many(models, images[0][shown])))  # [N, n]

    members, known = (entropies(train, np.flatnonzero(kind)) for kind in (~forgotten, forgotten))
    return membership.membership_inference(members, entropies(test, np.arange(len(test[1]))), known)
