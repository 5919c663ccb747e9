"""Prompt alignment: how closely the losses of sampled models follow the target losses of their prompts (Equation 6).

A family is one noise draw, prompted at each of P targets for the loss of one class.
"""

import numpy as np
from numpy.typing import NDArray

WELL_ALIGNED = 0.8
"""R^2 above which `summary` counts a family as following its prompts."""


def prompt_alignment(
    targets: NDArray[np.floating], observed: NDArray[np.floating], epsilon: float
) -> NDArray[np.float64]:
    """R^2 = 1 - sum (target - observed)^2 / (sum (target - mean target)^2 + epsilon) per family (Equation 6).

    Args:
      targets: [P], the target losses of one class, in nats; or [F, P], those of each family.
      observed: [F, P], the losses of each family's models on that class, in nats.
      epsilon: keeps the quotient finite where all targets are equal, in squared nats.

    Returns:
      [F], at most 1; without a lower bound.
    """
    target = np.atleast_2d(np.asarray(targets, np.float64))  # [1 or F, P]
    residual = np.sum(np.square(target - np.asarray(observed, np.float64)), axis=1)  # [F]
    spread = np.sum(np.square(target - target.mean(axis=1, keepdims=True)), axis=1)  # [1 or F]
    r2: NDArray[np.float64] = 1 - residual / (spread + epsilon)
    return r2


def pearson(targets: NDArray[np.floating], observed: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson's correlation of observed with target losses per family: their order, whatever their scale.

    Args:
      targets: [P], the target losses of one class; or [F, P].
      observed: [F, P], the losses of each family's models on that class.

    Returns:
      [F], in [-1, 1]; 0 for a family (or targets) without any variation, which follows nothing.
    """
    target = np.atleast_2d(np.asarray(targets, np.float64))  # [1 or F, P]
    losses = np.asarray(observed, np.float64)
    varies = (np.ptp(losses, axis=1) > 0) & (np.ptp(target, axis=1) > 0)  # [F]
    x = target - target.mean(axis=1, keepdims=True)  # [1 or F, P]
    y = losses - losses.mean(axis=1, keepdims=True)  # [F, P]
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)  # [F]
    return np.where(varies, np.clip((x * y).sum(axis=1) / np.where(varies, norms, 1), -1, 1), 0)


def summary(r2: NDArray[np.float64]) -> dict[str, float]:
    """Several means of R^2 over families: a single bad family drags the plain mean (Table 5).

    Args:
      r2: [F], from `prompt_alignment`.

    Returns:
      `mean`, `median`, `mean_clipped` (of max(R^2, 0)) and `share_aligned` (of families above 0.8).
    """
    return {
        "mean": float(np.mean(r2)),
        "median": float(np.median(r2)),
        "mean_clipped": float(np.mean(np.maximum(r2, 0))),
        "share_aligned": float(np.mean(r2 > WELL_ALIGNED)),
    }
