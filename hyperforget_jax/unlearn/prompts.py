"""Prompts that are reachable: joint vectors of class losses that some model of the zoo has had.

Asking every class for its own best loss asks for a model that does not exist; the median loss vector of checkpoints that match
the request does not (docs/lab_notes.md).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hyperforget_jax.config import RequestConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.zoo import coverage
from hyperforget_jax.zoo.exposure import is_clean, is_last
from hyperforget_jax.zoo.statistics import ZooStatistics
from hyperforget_jax.zoo.storage import Zoo

Floats = np.ndarray[Any, np.dtype[np.float32]]
UNLEARNED = 0.005
"""Accuracy up to which a checkpoint counts as not knowing a class; whether it ever saw the class is told by its exposure alone."""


def of_request(zoo: Zoo | ZooStatistics, forget: Sequence[int], config: RequestConfig, with_exposure: bool) -> Floats:
    """Prompts for a request, from the zoo's training part: candidates of which one is chosen, or those that are drawn from.

    Args:
      zoo: checkpoints, or their statistics.
      forget: output positions of the classes to forget.
      config: which of the two.
      with_exposure: whether exposures and age can be asked for; the losses of candidates are then left open (NaN) where too few
        checkpoints match.

    Returns:
      [C, K], or [C, 2 K + 1] with exposure.

    Raises:
      HyperForgetError: the zoo cannot serve the request; names it.
    """
    if config.prompts == "drawn":
        return of_clean_runs(zoo.losses, zoo.exposures, zoo.progress, forget, with_exposure)
    if not with_exposure:
        return candidates(zoo.losses, zoo.accuracies, forget, config)
    served = _matching(zoo.accuracies, forget).sum() >= config.forget_levels
    asked = candidates(zoo.losses, zoo.accuracies, forget, config) if served else zoo.losses[:0]
    return asking_to_forget(asked, forget)


def candidates(losses: Floats, accuracies: Floats, forget: Sequence[int], config: RequestConfig) -> Floats:
    """Prompts for a request, from the zoo's training part.

    The checkpoints that match are right on at most 0.5% of every class to forget. They are cut into `forget_levels` equal parts
    by their loss on the forget set; in each, the shares `retain_quantiles` with the lowest loss on the retain set give one
    prompt each, the median of their loss vectors. All of these follow once for each of the `retain_factors`, their retain losses
    multiplied by it: samples fall a little short of what they are asked for.

    Args:
      losses: [n, K], nats.
      accuracies: [n, K].
      forget: output positions of the classes to forget.
      config: shares and levels.

    Returns:
      [C, K].

    Raises:
      HyperForgetError: too few checkpoints match.
    """
    forget = list(forget)
    retain = [position for position in range(losses.shape[1]) if position not in forget]
    matching = losses[_matching(accuracies, forget)]  # [m, K]
    if len(matching) < config.forget_levels:
        raise HyperForgetError(
            f"{len(matching)} checkpoints of the zoo match the request to forget outputs {forget}, "
            f"at least {config.forget_levels} are needed: raise zoo.runs or zoo.never_seen_probability"
        )
    by_forget_loss = matching[np.argsort(np.nan_to_num(matching[:, forget]).mean(1), kind="stable")]
    prompts = []
    for level in np.array_split(by_forget_loss, config.forget_levels):
        by_retain_loss = level[np.argsort(level[:, retain].mean(1), kind="stable")]
        for share in config.retain_quantiles:
            prompts.append(np.median(by_retain_loss[: max(1, round(share * len(level)))], axis=0))
    factors = np.ones((len(config.retain_factors), 1, losses.shape[1]))
    factors[..., retain] = np.array(config.retain_factors)[:, None, None]
    asked = factors * np.stack(prompts)  # [factors, prompts, K]
    return asked.reshape(-1, losses.shape[1]).astype(np.float32)


def _matching(accuracies: Floats, forget: Sequence[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The checkpoints [n] that match a request, by their accuracies [n, K]; NaN, a purged class, matches."""
    return ~np.asarray((accuracies[:, list(forget)] > UNLEARNED).any(1))


def of_clean_runs(
    losses: Floats, exposures: Floats, progress: Floats, forget: Sequence[int], with_exposure: bool
) -> Floats:
    """Prompts to draw from: the losses of the last checkpoints of runs that never saw the forget set and saw all else in full.

    Args:
      losses: [n, K], nats, of the zoo's training part.
      exposures: [n, K].
      progress: [n].
      forget: output positions of the classes to forget.
      with_exposure: whether to ask for exposure 0 to the forget set, 1 to every other class, and age 1 as well. Losses are then left
        open (NaN) where the zoo has no such run.

    Returns:
      [C, K], or [C, 2 K + 1] with exposure.

    Raises:
      HyperForgetError: no such run, and losses are all that can be asked for.
    """
    rows = is_clean(exposures, progress, forget) & is_last(progress)
    if not with_exposure:
        if not rows.any():
            raise HyperForgetError(
                f"no run of the zoo is clean for the forget set of outputs {[*forget]}, and hypernetwork.exposure is off: "
                "raise zoo.min_clean_runs, or choose request.prompts best"
            )
        return losses[rows]
    return asking_to_forget(losses[rows], forget)


def asking_to_forget(losses: Floats, forget: Sequence[int]) -> Floats:
    """Prompts [C, 2 K + 1] that ask for losses [C, K] and for exposure 0 to the forget set, 1 to every other class, and age 1.

    Without any losses (C = 0) there is one prompt, and it leaves them open.
    """
    if len(losses) == 0:
        losses = np.full((1, losses.shape[1]), np.nan, np.float32)
    never = np.isin(np.arange(losses.shape[1]), list(forget))  # [K]
    provenance = np.append(np.where(never, 0.0, 1.0), 1.0).astype(np.float32)  # [K + 1]
    return np.concatenate([losses, np.tile(provenance, (len(losses), 1))], axis=1)


def learned(losses: Floats, share: float) -> Floats:
    """Joint losses [K] of checkpoints that have learned everything: the median of the best `share` by mean loss."""
    best = np.argsort(np.nan_to_num(losses).mean(1), kind="stable")[: max(1, round(share * len(losses)))]
    median: Floats = np.median(losses[best], axis=0).astype(np.float32)
    return median


def sweep(
    losses: Floats, accuracies: Floats, swept: int, base: Floats, count: int, quantiles: tuple[float, float]
) -> Floats:
    """Prompts that move one class's loss over a regular grid, the others at their good value (section A.4).

    Args:
      losses: [n, K], of the zoo's training part.
      accuracies: [n, K].
      swept: output position of the class.
      base: [K], joint losses of learned models.
      count: P, prompts on the grid.
      quantiles: ends of the grid, within checkpoints that have learned every other class.

    Returns:
      [P, K].

    Raises:
      HyperForgetError: no checkpoint has learned every other class.
    """
    others = [position for position in range(losses.shape[1]) if position != swept]
    within = losses[~(accuracies[:, others] <= coverage.HIGH).any(1), swept]  # NaN, a purged class, counts for nothing
    prompts = np.tile(base, (count, 1))
    if len(within) == 0:
        raise HyperForgetError(
            f"no checkpoint of the zoo has learned every class but output {swept}, so there is no grid to sweep: raise zoo.runs"
        )
    low, high = np.quantile(within.astype(np.float64), quantiles)
    prompts[:, swept] = np.linspace(low, high, count)
    return prompts.astype(np.float32)
