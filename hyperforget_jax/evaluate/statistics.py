"""Location, spread and confidence of a metric over models."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Interval(NamedTuple):
    """Ends of a 95% interval."""

    low: float
    high: float


def bootstrap(
    values: NDArray[np.floating], statistic: Literal["mean", "median"], resamples: int, seed: int
) -> Interval:
    """Percentile bootstrap: the central 95% of a statistic over resamples drawn with replacement.

    Args:
      values: [N], N >= 1, independent of each other.
      statistic: what is computed on each resample.
      resamples: how many are drawn; memory is resamples * N numbers.
      seed: of numpy's generator; the same seed draws the same resamples for both statistics.

    Returns:
      The 2.5% and 97.5% quantiles, interpolated linearly.
    """
    values = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    samples = values[drawn]  # [resamples, N]
    found = samples.mean(axis=1) if statistic == "mean" else np.median(samples, axis=1)  # [resamples]
    low, high = np.quantile(found, (0.025, 0.975))
    return Interval(float(low), float(high))


def summarise(values: NDArray[np.floating]) -> dict[Literal["mean", "median", "q05", "q95"], float]:
    """Mean, median, and 5% and 95% quantiles (interpolated linearly).

    Args:
      values: [N], N >= 1.

    Returns:
      The four statistics, in that order.
    """
    values = np.asarray(values, np.float64)
    q05, q95 = np.quantile(values, (0.05, 0.95))
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "q05": float(q05),
        "q95": float(q95),
    }
