"""What the rows say about each request, in words that need no table."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperforget_jax.metrics.results import REFERENCE
from hyperforget_jax.report.tables import (
    METRICS,
    OURS,
    Line,
    Row,
    comparison,
    interval,
    number,
    select,
)


@dataclass(frozen=True)
class Verdict:
    """The answer to one request.

    Attributes:
      forget_set: original labels of the forgotten classes.
      headline: where both accuracies stand.
      like_retrained: whether both accuracies lie inside the reference models.
      sentences: the numbers behind the headline.
    """

    forget_set: tuple[int, ...]
    headline: str
    like_retrained: bool
    sentences: tuple[str, ...]


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """One verdict per forget set, in the rows' order.

    Args:
      rows: rows of `results.jsonl`; a forget set without retain and forget accuracy has no verdict.

    Returns:
      The verdicts.

    Raises:
      HyperForgetError: a metric was measured on our models and not on the reference models.
    """
    lines = {(line.forget_set, line.metric): line for line in comparison(rows)}
    return [
        _verdict(rows, forget_set, [line for key, line in lines.items() if key[0] == forget_set])
        for forget_set in dict.fromkeys(key[0] for key in lines)
        if (forget_set, "retain_accuracy") in lines and (forget_set, "forget_accuracy") in lines
    ]


def percent(share: float) -> str:
    """A share in percent to one decimal, which rounds neither to nothing nor to everything."""
    if 0.0 < share < 0.0005:
        return "less than 0.1%"
    if 0.9995 <= share < 1.0:
        return "more than 99.9%"
    return f"{100 * share:.1f}%"


def _verdict(rows: Sequence[Row], forget_set: tuple[int, ...], lines: Sequence[Line]) -> Verdict:
    ours, best, reference = (
        select(rows, OURS, "all"),
        select(rows, OURS, "selected"),
        select(rows, (REFERENCE,), None),
    )
    by_metric = {line.metric: line for line in lines}
    retain, forget = by_metric["retain_accuracy"], by_metric["forget_accuracy"]
    forgotten = ours[forget_set, "forget_accuracy", "mean"]
    retrained = reference[forget_set, "retain_accuracy", "mean"]
    sentences = [
        f"{forgotten['n']} unselected models got {percent(forgotten['value'])} of the forgotten images right on "
        f"average; {retrained['n']} retrained models got {percent(forget.reference_mean)}.",
        f"Their median accuracy on the rest is {percent(retain.unselected)}; retrained: {percent(retain.reference_median)} "
        f"(median; 5–95%: {percent(retain.reference_low)} to {percent(retain.reference_high)}).",
    ]
    if retain.best is not None and forget.best is not None:
        selected = best[forget_set, "retain_accuracy", "mean"]["n"]
        sentences.append(
            f"Selected on validation ({selected}), on average: {percent(retain.best)} on the rest, "
            f"{percent(forget.best)} on the forgotten images."
        )
    sentences.append(_outside(lines))
    like_retrained = retain.place == forget.place == "inside"
    return Verdict(forget_set, _headline(retain, forget), like_retrained, tuple(sentences))


def _outside(lines: Sequence[Line]) -> str:
    """The measures outside the reference models, by side."""
    outside = sum(line.place != "inside" for line in lines)
    if outside == 0:
        return f"Inside the reference models on all {len(lines)} measures."
    told = [f"Outside the reference models on {outside} of {len(lines)} measures."]
    for side in ("above", "below"):
        listed = "; ".join(
            f"{METRICS[line.metric].name} {number(line.judged)} (reference: {interval(line.reference_low, line.reference_high)})"
            for line in lines
            if line.place == side
        )
        if listed:
            told.append(f"{side.capitalize()}: {listed}.")
    return " ".join(told)


def _headline(retain: Line, forget: Line) -> str:
    """Where both accuracies stand."""
    if retain.place == forget.place == "inside":
        return "As accurate as retrained models"
    return f"Forgotten images: {_standing(forget)}. The rest: {_standing(retain)}."


def _standing(line: Line) -> str:
    return "like retrained models" if line.place == "inside" else f"{line.place} the reference models"
