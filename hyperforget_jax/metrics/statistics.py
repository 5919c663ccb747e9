"""Location, spread and confidence of a metric over models."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Location = Literal["mean", "median"]
REDUCE: dict[Location, Any] = {"mean": np.mean, "median": np.median}


def bootstrap(values: NDArray[np.floating], statistic: Location, resamples: int, seed: int) -> tuple[float, float]:
    """Percentile bootstrap: the central 95% of a statistic over resamples drawn with replacement (`scipy.stats.bootstrap`).

    The quantiles are those of 0.025 and 0.975 themselves; scipy's own interval takes (1 - 0.95) / 2, which floats round.

    Args:
      values: [N], N >= 2, independent of each other.
      statistic: what is computed on each resample.
      resamples: how many are drawn; memory is resamples * N numbers.
      seed: of numpy's generator; the same seed draws the same resamples for both statistics.

    Returns:
      The 2.5% and 97.5% quantiles, interpolated linearly.
    """
    import scipy.stats  # type: ignore[import-untyped]  # slow, and requests for models need none of it

    data, rng = (np.asarray(values, np.float64),), np.random.default_rng(seed)
    result = scipy.stats.bootstrap(data, REDUCE[statistic], n_resamples=resamples, method="percentile", rng=rng)
    low, high = np.quantile(result.bootstrap_distribution, (0.025, 0.975))
    return float(low), float(high)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (`scipy.stats.binomtest`).

    Args:
      hits: of `total`.
      total: at least 1.
    """
    import scipy.stats  # slow, see `bootstrap`

    interval = scipy.stats.binomtest(hits, total).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)


def summarise(values: NDArray[np.floating]) -> dict[Literal["mean", "median", "q05", "q95"], float]:
    """Mean, median, and 5% and 95% quantiles (interpolated linearly).

    Args:
      values: [N], N >= 1.

    Returns:
      The four statistics, in that order.
    """
    values = np.asarray(values, np.float64)
    low, high = np.quantile(values, (0.05, 0.95))
    return {"mean": float(values.mean()), "median": float(np.median(values)), "q05": float(low), "q95": float(high)}
