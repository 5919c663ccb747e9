"""A table or a figure with its words, and the files that it leaves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hyperforget_jax.report import figures
from hyperforget_jax.report.tables import braces, markdown, number
from hyperforget_jax.runtime import artifacts

METHODS = {
    "dihyfo1": "DiHyFo-1",
    "dihyfo1_best": "DiHyFo-1, best prompt",
    "dihyfo2": "DiHyFo-2",
    "dihyfo2_best": "DiHyFo-2, best prompt",
    "retrain": "retrained",
    "clean_reference": "clean reference",
}


@dataclass(frozen=True)
class Result:
    """A table or a figure.

    Attributes:
      title: the heading.
      text: Markdown: the protocol and the table; a figure has none.
      rows: of the CSV file; none for a figure.
      figures: file name, without its ending, to figure.
    """

    title: str
    text: str
    rows: list[dict[str, Any]]
    figures: Mapping[str, Figure]

    @property
    def page(self) -> str:
        """Markdown: the title, the text, and the figures beside the page."""
        shown = (f"![{self.title}]({name}.png)\n" for name in self.figures)
        return "\n".join(filter(None, (f"# {self.title}\n", self.text, *shown)))


def save(result: Result, folder: Path, name: str) -> None:
    """Writes `NAME.md`, `NAME.csv` if there are rows, and the figures as PNG and SVG.

    Raises:
      HyperForgetError: disk full, no permission.
    """
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    artifacts.write_text(folder / f"{name}.md", result.page)
    for each, figure in result.figures.items():
        figures.save(figure, folder, each)
    if result.rows:
        table = pd.DataFrame(result.rows, dtype=object)  # an integer beside a missing one stays an integer
        artifacts.write_text(folder / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))


def number_table(heads: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table: texts and integers as they are, other numbers to four decimals, a dash for None.

    Args:
      heads: one for each column.
      lines: at least one, all with the same keys in the order of the heads; "forget_set" as `2-3`, "method" as in the rows.
    """
    body = [[_text(*item) for item in line.items()] for line in lines]
    sides = ("l" if isinstance(value, str) else "r" for value in lines[0].values())
    return markdown(heads, "".join(sides), body)


def alignment_means(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str, str], float]:
    """Means over families of every alignment metric, by class, method and metric; of one family, its value."""
    return {
        (row["class"], row["method"], row["metric"]): row["value"]
        for row in rows
        if row["metric"].startswith("alignment_") and row["statistic"] in ("mean", "value")
    }


def _text(column: str, value: Any) -> str:
    if column == "forget_set":
        return braces(map(int, value.split("-")))
    if column == "method":
        return METHODS.get(value, value.replace("_", " "))
    return str(value) if isinstance(value, str | int) else number(value)
