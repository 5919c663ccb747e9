"""The table and the page of G.pt's hypernetworks (section A.6), from tidy rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from hyperforget_jax.report.tables import markdown, number

NAMES = {
    "mean_loss": ("mean loss", "mean loss (nats)"),
    "mean_loss_balanced": ("mean loss, re-balanced", "mean loss (nats)"),
    "mean_error": ("mean error", "mean error"),
    "one_loss": ("loss of class {}", "loss of the class (nats)"),
}
"""Hypernetwork, the method of its rows, to its name and to what it is asked for with its unit; {} stands for a class."""
STATISTICS = {
    "r2_mean": ("alignment_r2", "mean", "R², mean"),
    "r2_median": ("alignment_r2", "median", "R², median"),
    "r2_clipped": ("alignment_r2", "mean_clipped", "R² clipped at 0, mean"),
    "r2_share": ("alignment_r2", "share_aligned", "R² > 0.8, share"),
    "pearson_mean": ("alignment_pearson", "mean", "Pearson, mean"),
}
"""Column to the metric and statistic of its rows, and its heading on the page."""
FIGURES = {
    "fig26": "Prompt alignment during training, asked for the mean error and for the mean loss (validation images).",
    "fig27": "Training results: observed against target loss (test images), and the learning curve.",
    "fig28": "Mean losses of the training set, of the targets of a sweep, and of the models sampled for them (test images).",
    "fig29": "Mean losses that the training draws before and after re-balancing: of the starts and of the targets of its pairs.",
    "fig30": "Observed against target loss with the training set as it is stored, and with re-balanced data (test images).",
    "fig31": "Asked for the loss of one class: sweep and distributions (test images), alignment (validation) and learning curve.",
}
"""What a figure, named by the paper's number, shows."""
Table = list[dict[str, Any]]


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Prompt alignment, one line per hypernetwork.

    Args:
      rows: of `gpt.jsonl`.

    Returns:
      Lines with "asked_for" and the columns of `STATISTICS`, in the rows' order.
    """
    values = {(row["method"], row["metric"], row["statistic"]): row["value"] for row in rows}
    labels = {row["method"]: row["class"] for row in rows}
    return [
        {"asked_for": NAMES[method][0].format(label)}
        | {name: values[method, metric, of] for name, (metric, of, _) in STATISTICS.items()}
        for method, label in labels.items()
    ]


def page(lines: Table) -> str:
    """The table and the figures in Markdown."""
    headings = ("Asked for", *(heading for _, _, heading in STATISTICS.values()))
    body = [(line["asked_for"], *(number(line[name]) for name in STATISTICS)) for line in lines]
    shown = "".join(f"\n{caption}\n\n![{caption}](figures/{name}.png)\n" for name, caption in FIGURES.items())
    return (
        "# G.pt: prompt alignment\n\n"
        "R² (equation 6) and Pearson's correlation of observed with target values, over families of models from random starts, "
        "on test images; 1 is perfect.\n\n"
        f"{markdown(headings, 'lrrrrr', body)}{shown}"
    )
