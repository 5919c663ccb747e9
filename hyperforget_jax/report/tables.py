"""Tables from a results frame: our models beside the reference models, and prompt alignment; as Markdown, for the terminal, for the page.

No measure is simply better when higher or lower. The aim of unlearning is to be indistinguishable from a model retrained without
the forget set, so each line says whether the value lies below, inside or above the 5-95% range of the reference models.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.comparison import DECIMALS, relative_to
from hyperforget_jax.metrics.results import REFERENCE

Row = Mapping[str, Any]

OURS = ("dihyfo1", "dihyfo2", "dihyfo1_best", "dihyfo2_best")
"""Methods of ours; a run that draws prompts has both its own and the same with the best prompt."""
CAPTION = (
    "Beside the reference models, retrained without the forget set by a recipe tuned for accuracy: the yardstick of accuracy. "
    "The aim is to lie inside their 5–95%; neither higher nor lower is better."
)
STATISTICS = ("mean", "median", "q05", "q95")


class Metric(NamedTuple):
    """How a metric is called, and what its number says."""

    name: str
    unit: str


METRICS: Mapping[str, Metric] = {
    "retain_accuracy": Metric("Accuracy on D_r", "share of the retained test images classified correctly"),
    "forget_accuracy": Metric("Accuracy on D_f", "share of the forgotten test images classified correctly"),
    "test_accuracy": Metric("Accuracy on all", "share of all test images classified correctly"),
    "overlap_retain": Metric("Overlap on D_r", "share of D_r with the same prediction as a retrained model"),
    "overlap_forget": Metric("Overlap on D_f", "share of D_f with the same prediction as a retrained model"),
    "overlap_test": Metric("Overlap on all", "share of all with the same prediction as a retrained model"),
    "phi_jsd": Metric("φ, JSD in bits", "1 minus the Jensen–Shannon divergence from a retrained model, base 2"),
    "phi_jsd_nat": Metric("φ, JSD in nats", "the same with the natural logarithm"),
    "phi_badt": Metric(
        "φ, bad-teaching", "the same with the divergence of the bad-teaching code, for the paper’s tables"
    ),
    "mia": Metric("MIA score", "mean predicted membership of D_f in the training set"),
}
ALIGNMENT = {
    "alignment_r2_mean": "R², mean",
    "alignment_r2_median": "R², median",
    "alignment_r2_mean_clipped": "R² clipped at 0, mean",
    "alignment_r2_share_aligned": "R² > 0.8, share",
    "alignment_pearson_mean": "Pearson, mean",
    "alignment_pivot_accuracy_mean": "Pivots, least median accuracy",
}
"""Columns of `alignment` to their headings."""
PIVOTS = "alignment_pivot_accuracy_mean"


def select(rows: Iterable[Row], methods: Sequence[str], selection: str | None) -> dict[tuple[Any, ...], Row]:
    """The test rows of a method that are about whole image sets, by forget set, metric and statistic: for single look-ups.

    A single model's "value" stands for its mean, its median and its quantiles.

    Args:
      rows: rows of `results.jsonl`.
      methods: such as `OURS`.
      selection: "all", "selected" or None.

    Returns:
      `{((2, 3), "mia", "mean"): row, …}`, in the rows' order.
    """
    return {
        (tuple(row["forget_set"]), row["metric"], statistic): row
        for row in rows
        if row["method"] in methods and row["selection"] == selection
        if row["split"] == "test" and row["class"] is None
        for statistic in (STATISTICS if row["statistic"] == "value" else (row["statistic"],))
    }


def mode_of(method: str) -> str:
    """How models of ours were prompted, in a run that has both."""
    return "best prompt" if method.endswith("_best") else "drawn prompts"


def by_mode(frame: pd.DataFrame, shared: Sequence[str]) -> pd.DataFrame:
    """The rows of our models and, once for each mode, those of the methods that every mode is held against.

    Args:
      frame: results in long form.
      shared: these methods.

    Returns:
      The rows with a further column `mode`, see `mode_of`, empty if there is only one; by forget set, then by mode, in the rows' order.
    """
    ours = frame[frame["method"].isin(OURS)]
    several = ours["method"].map(mode_of).nunique() > 1
    ours = ours.assign(mode=ours["method"].map(mode_of) if several else "")
    modes = [*ours["mode"].unique()] or [""]
    others = frame[frame["method"].isin(shared)]
    every = pd.concat([ours, *(others.assign(mode=mode) for mode in modes)])
    orders = {"forget_set": [*dict.fromkeys(frame["forget_set"])], "mode": modes}
    return every.sort_values(
        [*orders], key=lambda column: column.map(orders[str(column.name)].index), kind="stable", ignore_index=True
    )


def request_name(forget_set: Iterable[int], mode: str) -> str:
    """A request as people write it: `{2, 3}`, or `{2, 3}, best prompt` in a run that has both modes."""
    return ", ".join(filter(None, (braces(forget_set), mode)))


def comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """Our models beside the reference models on test, a line per forget set and mode (in the rows' order) and metric (`METRICS`').

    Args:
      frame: results in long form; a metric that was not measured has no line.

    Returns:
      A frame with the columns `forget_set`, `mode` (see `by_mode`), `metric`; for ROLE in all, selected, reference `ROLE_mean`,
      `ROLE_median`, `ROLE_q05`, `ROLE_q95` and `ROLE_n` (NaN where none were selected); `judged`, the selected models' mean or, without
      these, the median of all; and `against_reference`, where `judged` lies: "below", "inside" or "above".

    Raises:
      HyperForgetError: a metric was measured on our models and not on the reference models.
    """
    chosen = frame[(frame["split"] == "test") & frame["class"].isna() & frame["metric"].isin([*METRICS])]
    chosen = by_mode(chosen, (REFERENCE,))
    chosen = spread_single(chosen.assign(role=chosen["selection"].where(chosen["method"] != REFERENCE, "reference")))
    index = ["forget_set", "mode", "metric"]
    values = wide(chosen, index, chosen["role"] + "_" + chosen["statistic"])
    counts = wide(chosen.assign(value=chosen["n"]), index, chosen["role"] + "_n")
    columns = [f"{role}_{name}" for role in ("all", "selected", "reference") for name in (*STATISTICS, "n")]
    table = values.join(counts).reindex(columns=columns).dropna(subset="all_median").reset_index()
    orders = {name: [*dict.fromkeys(chosen[name])] for name in index[:2]} | {"metric": [*METRICS]}
    table = table.sort_values(index, key=lambda column: column.map(orders[str(column.name)].index))
    lacking = table[table[[f"reference_{name}" for name in STATISTICS]].isna().any(axis=1)]
    if len(lacking):
        forget_set, metric = lacking.iloc[0][["forget_set", "metric"]]
        methods = chosen["method"].unique()
        raise HyperForgetError(
            f"the rows have {metric} of {'/'.join(name for name in methods if name != REFERENCE)} for forget set {braces(forget_set)}, "
            f"but not of the reference models ({', '.join(STATISTICS)}): evaluate the reference models on it too"
        )
    judged = table["selected_mean"].fillna(table["all_median"])
    sides = [*map(relative_to, judged, table["reference_q05"], table["reference_q95"])]
    against = pd.Series(sides, table.index, object)
    return table.assign(judged=judged, against_reference=against).reset_index(drop=True)


def alignment(frame: pd.DataFrame) -> pd.DataFrame:
    """Prompt alignment over the families of samples (section A.4, Equation 6), a line per class in the rows' order.

    Args:
      frame: results in long form; those of other metrics are passed over.

    Returns:
      A frame with the index `class` and the columns of `ALIGNMENT`: of R² per family the mean (one bad family drags it), the median, the
      mean clipped at 0 and the share above 0.8; the mean correlation of target and observed loss; and the median accuracy on the
      pivots at the prompt where it is least (NaN without pivots). Empty if alignment was not measured.

    Raises:
      HyperForgetError: a statistic of a class is missing.
    """
    chosen = spread_single(frame[frame["metric"].str.startswith("alignment_") & frame["method"].isin(OURS)])
    names = chosen["metric"] + "_" + chosen["statistic"]
    table = wide(chosen, ["class"], names).reindex(columns=[*ALIGNMENT])
    for label, line in table.drop(columns=PIVOTS).isna().iterrows():
        for name in line.index[line]:
            _, metric, statistic = str(name).split("_", 2)
            lacking = f"{statistic} of alignment_{metric} for class {label}"
            raise HyperForgetError(f"the rows have no {lacking}: evaluate the alignment again")
    return table


def spread_single(frame: pd.DataFrame, statistics: Sequence[str] = STATISTICS) -> pd.DataFrame:
    """Results in long form where a single model's "value" stands for each of some statistics."""
    single = frame["statistic"] == "value"
    return pd.concat([frame[~single], *(frame[single].assign(statistic=name) for name in statistics)])


def wide(frame: pd.DataFrame, index: list[str], columns: "pd.Series[Any]") -> pd.DataFrame:
    """Values by what `columns` says of each row; a line for each value of `index`, in the rows' order."""
    table = frame.assign(column=columns).pivot_table("value", index, "column", "first", observed=True)
    return table.reindex(frame.sort_index(kind="stable").set_index(index).index.unique())


def braces(forget_set: Iterable[int]) -> str:
    """A forget set as people write it: `{2, 3}`."""
    return "{" + ", ".join(str(label) for label in forget_set) + "}"


def number(value: float | None) -> str:
    """A value to four decimals, zero without a sign; a dash for None and NaN."""
    return "–" if value is None or pd.isna(value) else f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"


def interval(low: float, high: float) -> str:
    """The range of the reference models, to four decimals."""
    return f"{number(low)}–{number(high)}"


def comparison_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `comparison` as they are printed; "Models" says how they were prompted, where there is more than one way."""
    texts = pd.DataFrame(
        {
            "Forget": table["forget_set"].map(braces),
            "Models": table["mode"],
            "Measure": table["metric"].map(lambda metric: METRICS[metric].name),
            "All, median": table["all_median"].map(number),
            "Selected, mean": table["selected_mean"].map(number),
            "Retrained, median": table["reference_median"].map(number),
            "Retrained, mean": table["reference_mean"].map(number),
            "Retrained, 5–95%": [*map(interval, table["reference_q05"], table["reference_q95"])],
            "Against retrained": table["against_reference"],
        },
        dtype=object,
    )
    return without_empty_modes(texts)


def without_empty_modes(texts: pd.DataFrame) -> pd.DataFrame:
    """Texts without the column "Models" if it says nothing."""
    return texts if texts["Models"].any() else texts.drop(columns="Models")


def alignment_texts(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of `alignment` as they are printed."""
    texts = table.map(number).rename(columns=ALIGNMENT)
    texts.insert(0, "Class", [str(label) for label in table.index])
    return texts


def to_markdown(texts: pd.DataFrame, left: Sequence[str] = ()) -> str:
    """A frame of texts as a Markdown table, with a newline at its end; columns stand to the right but for those named in `left`."""
    sides = ["left" if name in left else "right" for name in texts]
    return f"{texts.to_markdown(index=False, disable_numparse=True, colalign=sides)}\n"


def page(frame: pd.DataFrame) -> str:
    """Both tables of a results frame, as Markdown, the first below what its columns say."""
    compared, aligned = comparison_texts(comparison(frame)), alignment_texts(alignment(frame))
    words = [name for name in compared if name in ("Forget", "Models", "Measure", "Against retrained")]
    return f"{CAPTION}\n\n{to_markdown(compared, words)}\n{to_markdown(aligned)}"


def markdown(columns: Sequence[str], sides: str, body: Iterable[Iterable[str]]) -> str:
    """A Markdown table, with a newline at its end; `sides` has a letter per column: l stands to the left, r to the right."""
    rule = ["---" if side == "l" else "---:" for side in sides]
    return "".join("| " + " | ".join(row) + " |\n" for row in (columns, rule, *body))
