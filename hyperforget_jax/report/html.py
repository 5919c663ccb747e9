"""The report as ONE page: everything inlined, no script, no address of anything outside."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hyperforget_jax.report import distribution, figures, tables, templates
from hyperforget_jax.report.summaries import percent, verdicts
from hyperforget_jax.report.templates import typeset

TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class Content:
    """What a page tells.

    Attributes:
      classes: original labels that take part.
      pivots: original labels that are never forgotten.
      forget_sets: requests, original labels.
      results: in long form.
      figures: name to figure; the template has the words for each name.
      cost: rows of "stage" and "seconds", in the order of the stages.
      command: the exact command that made the run.
      config: the flat config, `{"zoo.runs": 1024, …}`.
      versions: package to version.
      git: revision of the working tree; None outside git.
    """

    classes: Sequence[int]
    pivots: Sequence[int]
    forget_sets: Sequence[Sequence[int]]
    results: pd.DataFrame
    figures: Mapping[str, Figure]
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
    lines = tables.comparison(content.results)
    return templates.template(TEMPLATE, braces=tables.braces, request_name=tables.request_name).render(
        content=content,
        about=content.results.iloc[0],
        verdicts=verdicts(content.results),
        tables=[comparison_table(group) for _, group in lines.groupby(["forget_set", "mode"], sort=False)],
        both_modes=lines["mode"].any(),
        metrics=[metric for name, metric in tables.METRICS.items() if name in set(lines["metric"])],
        alignment=alignment_table(content.results),
        distribution=distribution_tables(content.results),
        figures={name: data_uri(figure) for name, figure in content.figures.items()},
        cost=cost_table(content.cost),
        config=grouped(content.config),
    )


def table(texts: pd.DataFrame, caption: str) -> Markup:
    """A frame of texts as an HTML table that scrolls by itself; its first column heads the rows. Texts are typeset and escaped."""
    first = texts.columns[0]
    cells = texts.map(typeset).set_index(first).rename_axis(index=None, columns=first).rename(columns=typeset)
    styler = cells.style.set_caption(typeset(caption))
    head, body = styler.to_html(exclude_styles=True).split("</thead>")
    scoped = head.replace("<th ", '<th scope="col" ') + "</thead>" + body.replace("<th ", '<th scope="row" ')
    label = escape(caption)
    return Markup(f'<div class="scroll card" tabindex="0" role="region" aria-label="{label}">\n{scoped}</div>')


def comparison_table(lines: pd.DataFrame) -> Markup:
    """The lines of one forget set and mode, with a strip that shows each to scale and a badge that says where it lies."""
    texts, request = tables.comparison_texts(lines), tables.request_name(*lines[["forget_set", "mode"]].iloc[0])
    *columns, last = texts.drop(columns=["Forget", "Models"], errors="ignore")
    marked = {"To scale": [strip(line) for _, line in lines.iterrows()], str(last): badges(texts[last])}
    cells = texts[columns].assign(**{name: pd.Series(each, texts.index, object) for name, each in marked.items()})
    return table(cells, f"Forget {request}, beside retrained models")


def distribution_tables(results: pd.DataFrame) -> list[Markup]:
    """The lines of every forget set and mode beside the clean reference; none if they were not measured."""
    return [
        distribution_table(lines)
        for _, lines in distribution.distribution(results).groupby(["forget_set", "mode"], sort=False)
    ]


def distribution_table(lines: pd.DataFrame) -> Markup:
    """The lines of one forget set and mode, with a badge that says where each lies."""
    request = tables.request_name(*lines[["forget_set", "mode"]].iloc[0])
    texts = distribution.texts(lines).drop(columns=["Forget", "Models"], errors="ignore")
    last = texts.columns[-1]
    return table(
        texts.assign(**{last: pd.Series(badges(texts[last]), texts.index, object)}),
        f"Forget {request}, beside the clean reference",
    )


def badges(verdicts: Iterable[str]) -> list[Markup]:
    """Words that say where values lie, as badges; only "inside" is good."""
    return [Markup('<span class="badge{}">{}</span>').format(" good" * (word == "inside"), word) for word in verdicts]


def alignment_table(results: pd.DataFrame) -> Markup:
    """Prompt alignment of every class; nothing if it was not measured."""
    lines = tables.alignment(results)
    return Markup() if lines.empty else table(tables.alignment_texts(lines), "Prompt alignment")


def cost_table(cost: Sequence[Mapping[str, Any]]) -> Markup:
    """Seconds of every stage, their shares, and their sum."""
    seconds = pd.DataFrame(cost).set_index("stage")["seconds"]
    total = seconds.sum()
    shares = [*(percent(each / total if total else 0.0) for each in seconds), ""]
    lines = zip([*seconds.index, "all"], [f"{each:.1f}" for each in (*seconds, total)], shares, strict=True)
    return table(pd.DataFrame(lines, columns=["Stage", "Seconds", "Share"]), f"{duration(total)} in all")


def strip(line: "pd.Series[Any]") -> Markup:
    """The reference models' range and our values on a scale of their own, which spans 8% to 92% of the width; all in the middle if equal.

    Args:
      line: of `tables.comparison`.
    """
    names = ("reference_q05", "reference_q95", "all_median", "judged")
    values = [line[name] for name in names]
    least, span = min(values), max(values) - min(values)
    left, right, unselected, judged = (
        50.0 if span == 0.0 else round(8.0 + 84.0 * (value - least) / span, 2) for value in values
    )
    marks = {"all": unselected} if pd.isna(line["selected_mean"]) else {"all": unselected, "selected": judged}
    return Markup(
        '<span class="strip" aria-hidden="true"><i class="base"></i>'
        f'<i class="range" style="left:{left}%;width:{max(round(right - left, 2), 1.5)}%"></i>'
        + "".join(f'<i class="{name}" style="left:{left}%"></i>' for name, left in marks.items())
        + "</span>"
    )


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
        part, dot, setting = name.partition(".")
        groups.setdefault(part if dot else "run", []).append((setting if dot else name, value))
    return groups


def data_uri(figure: Figure) -> str:
    """The figure as an address that contains it."""
    return "data:image/svg+xml;base64," + base64.b64encode(figures.to_svg(figure)).decode("ascii")
