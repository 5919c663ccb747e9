"""Frames for the terminal, as tables of rich."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from hyperforget_jax.report import distribution as distribution_lines
from hyperforget_jax.report import tables

COLOURS = {"inside": "green", "below": "yellow", "above": "yellow"}


def make_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """Where a run reports. No text is markup: names of folders, classes and fields come from people.

    Args:
      stderr: whether to print there instead of on stdout.
      quiet: whether to print nothing.
    """
    return Console(stderr=stderr, quiet=quiet, soft_wrap=True, markup=False, emoji=False)


def listing(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> Table:
    """One line per row, one column per field; numbers to four digits."""
    texts = pd.DataFrame(rows, dtype=object).rename(columns=lambda name: name.replace("_", "\n"))
    return table(texts.map(lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)))


def table(texts: pd.DataFrame, left: Sequence[str] = (), **options: Any) -> Table:
    """A frame of texts.

    Args:
      texts: headings are broken at commas; columns stand to the right.
      left: names of columns that stand to the left.
      options: of `rich.table.Table`.
    """
    result = Table(box=SIMPLE_HEAD, **options)
    for name in texts:
        result.add_column(str(name).replace(", ", ",\n"), justify="left" if name in left else "right")
    for line in texts.itertuples(index=False, name=None):
        result.add_row(*line)
    return result


def comparison(results: pd.DataFrame) -> Group:
    """Our models beside the reference models, within 80 columns: a table for each mode, where each forget set is a section."""
    texts = tables.comparison_texts(tables.comparison(results))
    texts = texts.rename(columns=lambda name: name.replace("Retrained", "Retr.").replace(" retrained", "\nretr."))
    return _by_mode(texts, title="beside the reference models", caption=tables.CAPTION)


def distribution(lines: pd.DataFrame) -> Group:
    """The lines of `distribution.distribution`, within 80 columns: a table for each mode, where each forget set is a section."""
    texts = distribution_lines.texts(lines)
    texts = texts.rename(columns={"Clean reference": "Clean\nref.", "Against clean runs": "Against\nclean runs"})
    return _by_mode(texts, title="beside the clean reference", caption=distribution_lines.CAPTION)


def _by_mode(texts: pd.DataFrame, *, title: str, caption: str) -> Group:
    """A table for each kind of models, or one if there is only one; their caption below the last."""
    parts = {"ours": texts}
    if "Models" in texts:
        parts = {f"ours, {mode},": part.drop(columns="Models") for mode, part in texts.groupby("Models", sort=False)}
    last = [*parts][-1]
    shown = ((name, part, caption if name == last else None) for name, part in parts.items())
    return Group(*(_by_forget_set(part, title=f"{name} {title}", caption=below) for name, part, below in shown))


def _by_forget_set(texts: pd.DataFrame, **options: Any) -> Table:
    """A table whose first column is the forget set, told once a section, and whose last is a verdict, coloured."""
    texts = texts.assign(Forget=texts["Forget"].mask(texts["Forget"].duplicated(), ""))
    first, second, *_, last = map(str, texts)
    texts[last] = texts[last].map(lambda text: Text(text, COLOURS[text.split()[0]]))
    result = table(texts, [first, second, last], padding=0, pad_edge=False, show_edge=False, **options)
    for above, below in zip(result.rows, texts["Forget"].iloc[1:], strict=False):
        above.end_section = below != ""
    return result


def alignment(results: pd.DataFrame) -> Table:
    """Prompt alignment of every class."""
    texts = tables.alignment_texts(tables.alignment(results))
    return table(texts, title="prompt alignment", caption="over families of samples; 1 is perfect")
