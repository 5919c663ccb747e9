"""The report as ONE page: everything inlined, no script, no address of anything outside."""

import base64
import importlib.resources
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import jinja2
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hyperforget_jax.report import figures, tables
from hyperforget_jax.report.summaries import percent, verdicts
from hyperforget_jax.report.tables import Line, Row

TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Attributes:
      title: heading above it.
      figure: the figure itself.
      caption: how to read it.
      alt: what it shows, for those who cannot see it.
    """

    title: str
    figure: Figure
    caption: str
    alt: str


@dataclass(frozen=True)
class Content:
    """What a page tells.

    Attributes:
      dataset: such as "mnist4".
      classifier: widths, such as "784-2-4".
      classes: original labels that take part.
      pivots: original labels that are never forgotten.
      forget_sets: requests, original labels.
      rows: rows of `results.jsonl`.
      pictures: figures in their order on the page.
      cost: rows of "stage" and "seconds", in the order of the stages.
      command: the exact command that made the run.
      config: the flat config, `{"zoo.runs": 1024, …}`.
      versions: package to version.
      git: revision of the working tree; None outside git.
    """

    dataset: str
    classifier: str
    classes: Sequence[int]
    pivots: Sequence[int]
    forget_sets: Sequence[Sequence[int]]
    rows: Sequence[Row]
    pictures: Sequence[Picture]
    cost: Sequence[Mapping[str, Any]]
    command: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    git: str | None


def page(content: Content) -> str:
    """The report as one self-contained HTML page.

    Args:
      content: what to tell; every text is escaped.

    Returns:
      The page, ready to be written as UTF-8; the same content always gives the same text.

    Raises:
      HyperForgetError: the rows lack the reference models of a metric, or a statistic of the alignment.
    """
    lines = tables.comparison(content.rows)
    measured = {line.metric for line in lines}
    seconds = sum(row["seconds"] for row in content.cost)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "typeset": typeset,
        "braces": tables.braces,
        "duration": duration,
        "percent": percent,
    }
    source = importlib.resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        content=content,
        verdicts=verdicts(content.rows),
        groups=[(key, list(group)) for key, group in groupby(lines, key=lambda line: line.forget_set)],
        columns=tables.COLUMNS[1:],
        cells=lambda line: tables.cells(line)[1:],
        strip=strip,
        metrics=[metric for name, metric in tables.METRICS.items() if name in measured],
        alignment=[tables.alignment_cells(line) for line in tables.alignment_table(content.rows)],
        alignment_columns=tables.ALIGNMENT_COLUMNS,
        pictures=[(picture, data_uri(picture.figure)) for picture in content.pictures],
        seconds=seconds,
        config=grouped(content.config),
    )


def strip(line: Line) -> dict[str, float]:
    """Where the reference models and our values stand on a scale of their own, in percent of its width.

    Args:
      line: a line of the comparison.

    Returns:
      "left" and "width" of the reference models' range, "unselected", and "judged"; 50 for all if nothing differs.
    """
    values = (line.reference_low, line.reference_high, line.unselected, line.judged)
    span = max(values) - min(values)

    def place(value: float) -> float:
        return 50.0 if span == 0.0 else round(8.0 + 84.0 * (value - min(values)) / span, 2)

    left, right = place(line.reference_low), place(line.reference_high)
    width = max(right - left, 1.5)
    return {
        "left": left,
        "width": round(width, 2),
        "unselected": place(line.unselected),
        "judged": place(line.judged),
    }


def typeset(text: str) -> Markup:
    """`D_r` with its subscript set as one, a range such as `5–95%` kept on one line; everything else escaped."""
    marked = re.sub(r"\bD_([a-z])\b", r"D<sub>\1</sub>", str(escape(text)))
    return Markup(re.sub(r"[\d.]+–[\d.]+%?", r'<span class="whole">\g<0></span>', marked))


def duration(seconds: float) -> str:
    """Seconds as people say them: `12.3 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def grouped(config: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Settings by the part of the config they belong to; those of the whole run are named `run`."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, value in config.items():
        head, dot, tail = name.partition(".")
        groups.setdefault(head if dot else "run", []).append((tail if dot else head, value))
    return groups


def data_uri(figure: Figure) -> str:
    """The figure as an address that contains it."""
    return "data:image/svg+xml;base64," + base64.b64encode(figures.to_svg(figure)).decode("ascii")
