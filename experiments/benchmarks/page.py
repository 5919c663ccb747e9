"""Tables of a benchmark as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per row, one column per field of the first; fractions to four digits."""
    rule = ["---" if isinstance(value, str) else "---:" for value in rows[0].values()]
    lines = ([name.replace("_", " ") for name in rows[0]], rule, *(map(_text, row.values()) for row in rows))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _text(value: Any) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:,}"
    return str(value)
