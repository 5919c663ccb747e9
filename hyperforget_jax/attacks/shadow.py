"""Attacks with shadow models: U-LiRA (arXiv 2403.01218) and RULI (USENIX Security 2025).

For each target example, some shadow models were trained with it and then unlearned (`unlearned`), and some never saw it (`out`). An
attacker who sees a further model's confidence in the example asks which is likelier. U-LiRA fits a Gaussian to the confidences of each
kind, RULI a kernel density; the score is the log ratio of the densities (p_unlearned / (p_unlearned + p_out) ranks alike).

Confidences are logit-scaled, log p_y - log(1 - p_y): `margin.margins`. They come as arrays, so that a shadow may be made by any method.
A model is scored by densities fitted without it. If one model of one kind were held out alone, it would be further from its own
density than from the other, by chance alone. Here one model of each kind is held out at a time: the expected AUC of two kinds of one
distribution is 0.5.
"""

from typing import Literal

import numpy as np

from hyperforget_jax.attacks.result import AttackResult, Doubles, beside_reference, groups
from hyperforget_jax.attacks.roc import area_under_curve, balanced_accuracy, true_positive_rate
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

Density = Literal["gaussian", "kernel"]
ATTACKS: dict[Density, str] = {"gaussian": "ulira", "kernel": "ruli"}

LEAST_MODELS = 4
"""Fewest shadow models of a kind: with one held out, three are left to fit a spread."""
LEAST_SPREAD = 1e-3
"""Least standard deviation of confidences, in logits."""
EXAMPLES_AT_ONCE = 32
"""Examples whose kernels are held in memory together."""


def shadow_attack(unlearned: Doubles, out: Doubles, density: Density, config: AttackConfig) -> dict[str, AttackResult]:
    """How well unlearned shadow models are told from those that never saw the examples.

    The control plays the attack with models of `out` alone: one half has the part of the unlearned ones. Pass the confidences of shadows
    that were trained with the examples and not unlearned to learn what the attack finds if nothing is forgotten.

    Args:
      unlearned: [N, T], confidences of N shadow models in T examples which they were trained with and unlearned.
      out: [M, T], of M shadow models that never saw these.
      density: "gaussian": U-LiRA; "kernel": RULI.
      config: splits and false positive rates.

    Returns:
      Results "ulira_auc" (or "ruli_auc"), "…_balanced_accuracy" (0.5 if nothing is told apart) and "…_tpr_at_0.01" for each false positive
      rate, each with one value a random group of models.

    Raises:
      HyperForgetError: fewer than 4 unlearned or 8 other shadow models, or a confidence is not finite.
    """
    if not (np.isfinite(unlearned).all() and np.isfinite(out).all()):
        raise HyperForgetError(
            "an attack with shadow models got confidences that are not finite: clip them, such as at 100"
        )
    name = ATTACKS[density]
    found: list[list[dict[str, float]]] = [[], []]
    for mine, control, against in groups(
        name, len(unlearned), len(out), LEAST_MODELS, config.control_splits, config.seed
    ):
        for values, group in zip(found, (unlearned[mine], out[control]), strict=True):
            ratios = log_ratios(group, out[against], density)
            values.append(measures(*ratios, config.false_positive_rates))
    ours, theirs = found
    return {
        f"{name}_{metric}": beside_reference(
            f"{name}_{metric}", *(np.array([each[metric] for each in values]) for values in (ours, theirs))
        )
        for metric in ours[0]
    }


def log_ratios(unlearned: Doubles, out: Doubles, density: Density) -> tuple[Doubles, Doubles]:
    """log p_unlearned - log p_out of every model and example, by densities fitted without model i of both kinds for model i of either.

    Args:
      unlearned: [n, T].
      out: [n, T].
      density: how the densities are fitted.

    Returns:
      [n, T] of the unlearned models, and of the others.
    """
    log_density = _log_gaussian if density == "gaussian" else _log_kernel
    of_unlearned, of_out = (log_density(points, unlearned) - log_density(points, out) for points in (unlearned, out))
    return of_unlearned, of_out


def measures(unlearned: Doubles, out: Doubles, false_positive_rates: tuple[float, ...]) -> dict[str, float]:
    """What log-likelihood ratios [n, T] of both kinds are worth.

    The AUC is that of one held-out model of each kind over the T examples, the mean over models: ratios of different folds are not
    compared, as they depend on each other. True positive rates are those of all ratios, as small rates need many.
    """
    rates = {
        f"tpr_at_{rate:g}": true_positive_rate(unlearned.ravel(), out.ravel(), rate) for rate in false_positive_rates
    }
    auc = float(area_under_curve(unlearned, out).mean())
    return {"auc": auc, "balanced_accuracy": balanced_accuracy(unlearned, out), **rates}


def _spread_without(sample: Doubles) -> tuple[Doubles, Doubles]:
    """Mean and standard deviation [n, T] of the others, for every model of a sample [n, T]."""
    count = len(sample)
    centred = sample - sample.mean(0)  # [n, T]
    mean = -centred / (count - 1)  # of the others, relative to the mean of all
    squares = (centred**2).sum(0) - centred**2 - (count - 1) * mean**2
    spread = np.sqrt(np.maximum(squares, 0.0) / (count - 2))
    return mean + sample.mean(0), np.maximum(spread, LEAST_SPREAD)


def _log_gaussian(points: Doubles, sample: Doubles) -> Doubles:
    """Log density [n, T], but for a constant, of point i under a Gaussian fitted to the sample [n, T] without its model i."""
    mean, spread = _spread_without(sample)
    return -0.5 * ((points - mean) / spread) ** 2 - np.log(spread)


def _log_kernel(points: Doubles, sample: Doubles) -> Doubles:
    """Log density [n, T], but for a constant, of point i under Gaussian kernels at the sample [n, T] without its model i.

    The bandwidth is Scott's: the others' standard deviation times their number to the power -1/5.
    """
    count = len(sample)
    bandwidth = _spread_without(sample)[1] * (count - 1) ** -0.2  # [n, T]
    apart = np.eye(count, dtype=bool)[..., None]
    found = np.empty_like(points, np.float64)
    for first in range(0, points.shape[1], EXAMPLES_AT_ONCE):
        some = slice(first, first + EXAMPLES_AT_ONCE)
        distances = (points[:, None, some] - sample[None, :, some]) / bandwidth[:, None, some]  # [n, n, t]
        kernels = np.where(apart, -np.inf, -0.5 * distances**2)
        largest = kernels.max(axis=1, keepdims=True)
        with np.errstate(under="ignore"):
            found[:, some] = np.log(np.exp(kernels - largest).sum(axis=1)) + largest[:, 0]
    return found - np.log(bandwidth)
