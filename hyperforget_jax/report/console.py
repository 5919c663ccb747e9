"""Rows as they are, for the terminal: what a small experiment prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table


def listing(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line per row, one column per field of the first; numbers to four digits."""
    table = Table(box=SIMPLE_HEAD)
    for name in rows[0]:
        table.add_column(name.replace("_", "\n"), justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    return table
