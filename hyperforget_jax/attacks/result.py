"""What an attack found: its values on unlearned models beside those on reference models."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import jax
import numpy as np
from numpy.typing import NDArray

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.comparison import relative_to
from hyperforget_jax.metrics.results import Context, Row, rows_of
from hyperforget_jax.metrics.statistics import summarise

Doubles = NDArray[np.float64]
Images = tuple[jax.Array, jax.Array]
"""Images [n, D] and labels [n], output positions; `zoo.train.Images` is one."""


@dataclass(frozen=True)
class AttackResult:
    """Values of one attack.

    Attributes:
      attack: its name, such as "margin_auc": the metric of its rows.
      ours: [N], of the unlearned models, one by one; or, for an attack on groups of models, of random groups of them.
      reference: [M], of the reference models, one by one; or of random halves of them, one against the other.
    """

    attack: str
    ours: Doubles
    reference: Doubles

    @property
    def value(self) -> float:
        """Mean of ours."""
        return float(self.ours.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The reference's 5% and 95% quantiles, interpolated linearly.

        A further reference model is inside with chance 0.9 (M - 1) / (M + 1).
        """
        quantiles = summarise(self.reference)
        return quantiles["q05"], quantiles["q95"]

    @property
    def position(self) -> Literal["below", "inside", "above"]:
        """Where `value` lies relative to the interval, both to 4 decimals; the ends belong to it."""
        where = relative_to(self.value, *self.interval)
        assert where is not None, "reference values are finite"
        return where

    @property
    def share_inside(self) -> float:
        """Share of our values inside the interval; about 0.9 for models that are distributed as the reference models."""
        low, high = self.interval
        return float(np.mean([relative_to(each, low, high) == "inside" for each in self.ours.tolist()]))

    @property
    def z_score(self) -> float:
        """(value - mean of the reference) / standard deviation of the reference; if that is 0: 0 for an equal value, otherwise infinite."""
        gap, spread = self.value - float(self.reference.mean()), float(self.reference.std(ddof=1))
        if spread < np.finfo(np.float64).eps * max(1.0, abs(self.value)):
            return 0.0 if relative_to(gap, 0.0, 0.0) == "inside" else float(np.copysign(np.inf, gap))
        return gap / spread


def beside_reference(attack: str, ours: NDArray[np.floating], reference: NDArray[np.floating]) -> AttackResult:
    """The result of an attack.

    Args:
      attack: its name.
      ours: [N], N >= 1.
      reference: [M], M >= 2.

    Raises:
      HyperForgetError: too few values, or one is not finite.
    """
    for name, values, least in (("unlearned", ours, 1), ("reference", reference, 2)):
        if len(values) < least:
            raise HyperForgetError(
                f"{attack} got {len(values)} values of {name} models, expected at least {least}: attack more models"
            )
        if not np.isfinite(values).all():
            broken = int(np.count_nonzero(~np.isfinite(values)))
            raise HyperForgetError(
                f"{attack} is not finite for {broken} of {len(values)} {name} models: drop models with NaN or infinite outputs"
            )
    return AttackResult(attack, np.asarray(ours, np.float64), np.asarray(reference, np.float64))


def validate_models(attack: str, models: Params) -> None:
    """Refuses stacked models of which one has a weight that is not finite.

    Raises:
      HyperForgetError: says how many.
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(models)]
    broken = ~np.all([np.isfinite(leaf).reshape(len(leaf), -1).all(1) for leaf in leaves], axis=0)
    if broken.any():
        raise HyperForgetError(
            f"{attack} got {int(broken.sum())} of {len(broken)} models with weights that are not finite: drop these models"
        )


def rows(result: AttackResult, context: Context, reference_method: str, resamples: int, seed: int) -> list[Row]:
    """Rows of our values and of the reference's, in the long form of `metrics.results`.

    Args:
      result: of one attack.
      context: of our models.
      reference_method: such as `results.REFERENCE` or `results.CLEAN`.
      resamples: of the bootstrap.
      seed: of the bootstrap.
    """
    theirs = replace(context, method=reference_method, selection=None)
    found: list[Row] = []
    for about, values in ((context, result.ours), (theirs, result.reference)):
        found += rows_of(
            values, about, metric=result.attack, class_=None, ideal="reference", resamples=resamples, seed=seed
        )
    return found


def groups(
    attack: str, num_ours: int, num_reference: int, least: int, splits: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Random groups of models, all of one size, for an attack that holds one group against another.

    The bias of such an attack depends on how many models it has: ours against some reference models is compared with other reference
    models against the same ones, as many of each.

    Args:
      attack: its name.
      num_ours: unlearned models N.
      num_reference: reference models M.
      least: fewest models of a group.
      splits: how many times groups are drawn.
      seed: of the draws.

    Yields:
      ours: [n] rows of the unlearned models, n = min(N, M // 2).
      control: [n] rows of the reference models that play their part.
      against: [n] rows of the reference models that both are held against.

    Raises:
      HyperForgetError: n is below `least`.
    """
    size = min(num_ours, num_reference // 2)
    if size < least:
        raise HyperForgetError(
            f"{attack} got {num_ours} unlearned and {num_reference} reference models, expected at least {least} and {2 * least}, "
            "of which one half is the control of the other: sample or train more models"
        )
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        order = rng.permutation(num_reference)
        yield rng.permutation(num_ours)[:size], order[:size], order[size : 2 * size]
