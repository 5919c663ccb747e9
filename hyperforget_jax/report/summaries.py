"""What the results say about each request, in words that need no table."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from hyperforget_jax.report.tables import METRICS, comparison, interval, number


@dataclass(frozen=True)
class Verdict:
    """What one request came to.

    Attributes:
      forget_set: original labels of the forgotten classes.
      mode: how the models were prompted, see `tables.by_mode`.
      headline: where both accuracies stand.
      like_retrained: whether both accuracies lie inside the reference models' range.
      sentences: the numbers behind the headline.
    """

    forget_set: tuple[int, ...]
    mode: str
    headline: str
    like_retrained: bool
    sentences: tuple[str, ...]


def verdicts(frame: pd.DataFrame) -> list[Verdict]:
    """One verdict per forget set and mode, in the rows' order.

    Args:
      frame: results in long form; a forget set without retain and forget accuracy has no verdict.

    Raises:
      HyperForgetError: a metric was measured on our models and not on the reference models.
    """
    groups = comparison(frame).groupby(["forget_set", "mode"], sort=False)
    each = [(request, lines.set_index("metric")) for request, lines in groups]
    return [
        _verdict(lines, *request)
        for request, lines in each
        if {"retain_accuracy", "forget_accuracy"} <= set(lines.index)
    ]


def percent(share: float) -> str:
    """A share in percent to one decimal, which rounds neither to nothing nor to everything."""
    if 0.0 < share < 0.0005:
        return "less than 0.1%"
    if 0.9995 <= share < 1.0:
        return "more than 99.9%"
    return f"{100 * share:.1f}%"


def _verdict(lines: pd.DataFrame, *request: Any) -> Verdict:
    retain, forget = (dict(lines.loc[f"{images}_accuracy"]) for images in ("retain", "forget"))
    sentences = [
        f"{forget['all_n']} unselected models got {percent(forget['all_mean'])} of the forgotten images right on "
        f"average; {forget['reference_n']} reference models got {percent(forget['reference_mean'])}.",
        f"Their median accuracy on the rest is {percent(retain['all_median'])}; reference: {percent(retain['reference_median'])} "
        f"(median; 5–95%: {percent(retain['reference_q05'])} to {percent(retain['reference_q95'])}).",
    ]
    if pd.notna(retain["selected_mean"]) and pd.notna(forget["selected_mean"]):
        sentences.append(
            f"Selected on validation ({retain['selected_n']:.0f}), on average: {percent(retain['selected_mean'])} on the rest, "
            f"{percent(forget['selected_mean'])} on the forgotten images."
        )
    sides = (retain["against_reference"], forget["against_reference"])
    return Verdict(*request, _headline(*sides), set(sides) == {"inside"}, (*sentences, _outside(lines)))


def _outside(lines: pd.DataFrame) -> str:
    """The measures outside the reference models' range, by side."""
    outside = (lines["against_reference"] != "inside").sum()
    if outside == 0:
        return f"Inside the reference models' range on all {len(lines)} measures."
    sentences = [f"Outside the reference models' range on {outside} of {len(lines)} measures."]
    for side in ("above", "below"):
        listed = "; ".join(
            f"{METRICS[str(metric)].name} {number(line['judged'])} "
            f"(reference: {interval(line['reference_q05'], line['reference_q95'])})"
            for metric, line in lines[lines["against_reference"] == side].iterrows()
        )
        if listed:
            sentences.append(f"{side.capitalize()}: {listed}.")
    return " ".join(sentences)


def _headline(retain: str, forget: str) -> str:
    """Where both accuracies stand."""
    if retain == forget == "inside":
        return "As accurate as the reference models"
    words = {side: f"{'like' if side == 'inside' else side} the reference models" for side in (retain, forget)}
    return f"Forgotten images: {words[forget]}. The rest: {words[retain]}."
