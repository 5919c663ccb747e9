"""What a target leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Leaf:
    """A table or a figure.

    Attributes:
      title: the heading.
      text: Markdown: the protocol and the table; a figure has words only.
      rows: of the CSV file; none for a figure.
      figures: file name, without its ending, to figure.
    """

    title: str
    text: str
    rows: list[dict[str, Any]]
    figures: Mapping[str, Figure]
