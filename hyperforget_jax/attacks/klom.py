"""KLoM, the divergence of margins (arXiv 2602.16400): are an image's margins distributed over unlearned models as over reference models?

For every image, histograms of its margin over models of both kinds in bins that they share, and KL(unlearned || reference), in nats, with
the reference's shares floored. The result is a high percentile over images.
"""

import numpy as np

from hyperforget_jax.attacks.result import AttackResult, Doubles, beside_reference, groups
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError


def klom(ours: Doubles, reference: Doubles, config: AttackConfig) -> AttackResult:
    """KLoM of groups of unlearned models against reference models, beside other reference models against the same ones.

    Even two halves of the reference differ by chance, the more so the fewer they are: read a value by the control of the same size.

    Args:
      ours: [N, n], margins (`margin.margins`) of N unlearned models on n images.
      reference: [M, n], of M reference models; they are split into halves at random.
      config: bins, floor, percentile, splits.

    Returns:
      "klom", one value a split, in nats.

    Raises:
      HyperForgetError: fewer than 100 unlearned or 200 reference models, or a margin is not finite.
    """
    if not (np.isfinite(ours).all() and np.isfinite(reference).all()):
        raise HyperForgetError(
            "klom got margins that are not finite: clip them, such as at 100, and drop models with NaN weights"
        )
    found = [
        [percentile(group, reference[against], config) for group in (ours[mine], reference[control])]
        for mine, control, against in groups(
            "klom", len(ours), len(reference), config.klom_models, config.control_splits, config.seed
        )
    ]
    values, control_values = np.array(found, np.float64).T
    return beside_reference("klom", values, control_values)


def percentile(ours: Doubles, reference: Doubles, config: AttackConfig) -> float:
    """KLoM of one group of models [N, n] against another [M, n]: a percentile over images of `divergences`, in nats."""
    return float(np.quantile(divergences(ours, reference, config), config.klom_quantile))


def divergences(ours: Doubles, reference: Doubles, config: AttackConfig) -> Doubles:
    """KL(ours || reference) of the histograms of every image's margins.

    The bins of an image reach from the lowest to the highest margin of both groups. A bin without a model of ours adds nothing; in any
    other the share of the reference is at least the floor, and is not normalised again.

    Args:
      ours: [N, n].
      reference: [M, n].
      config: clip, bins and floor.

    Returns:
      [n], nats.
    """
    both = [np.clip(each, -config.margin_clip, config.margin_clip) for each in (ours, reference)]
    low, high = np.minimum(*(each.min(0) for each in both)), np.maximum(*(each.max(0) for each in both))  # [n]
    width = np.where(high > low, high - low, 1.0)
    p, q = (_shares(np.floor((each - low) / width * config.klom_bins), config.klom_bins) for each in both)  # [n, bins]
    ratio = np.where(p > 0, p, 1.0) / np.maximum(q, config.klom_floor)
    return np.asarray(np.where(p > 0, p * np.log(ratio), 0.0).sum(1))


def _shares(bins: Doubles, count: int) -> Doubles:
    """Share of the models in every bin: [N, n] numbers of bins to [n, count]; the last bin has its upper end."""
    models, images = bins.shape
    places = np.minimum(bins, count - 1).astype(np.int64) + count * np.arange(images)[None]
    return np.bincount(places.ravel(), minlength=images * count).reshape(images, count) / models
