"""The HTML page: well formed, self-contained, escaped, accessible, and the same text every time."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import frame_of
from hyperforget_jax.report import figures, html, tables

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = '<script src="http://evil.example/x.js">alert(1)</script>'


class Page(HTMLParser):
    """Collects tags, attributes and text, and holds every end tag against its start."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes)
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def result_rows() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for forget_set in ([2], [2, 3]):
        for metric in tables.METRICS:
            for method, selection, n in (("dihyfo2", "all", 256), ("dihyfo2", "selected", 5), ("retrain", None, 32)):
                for statistic, value in (("mean", 0.5), ("median", 0.55), ("q05", 0.4), ("q95", 0.6)):
                    row: dict[str, Any] = {
                        **{"dataset": "mnist4", "classifier": "784-2-4", "low": None, "high": None},
                        "method": method,
                        "forget_set": forget_set,
                        "metric": metric,
                        "class": None,
                        "n": n,
                    }
                    made.append(row | {"selection": selection, "statistic": statistic, "split": "test", "value": value})
    for statistic in ("mean", "median", "mean_clipped", "share_aligned"):
        for metric in ("alignment_r2", "alignment_pearson"):
            row = {
                **{"dataset": "mnist4", "classifier": "784-2-4", "low": None, "high": None},
                "method": "dihyfo2",
                "forget_set": [],
                "metric": metric,
                "class": 2,
                "n": 32,
                "selection": None,
            }
            made.append(row | {"statistic": statistic, "split": "test", "value": 0.8765})
    return made


def content(**changes: Any) -> html.Content:
    values: dict[str, Any] = {
        "classes": (0, 1, 2, 3),
        "pivots": (0, 1),
        "forget_sets": ((2,), (2, 3)),
        "results": frame_of(result_rows()),
        "figures": {"coverage": figures.coverage({"2 low": 5, "2 high": 3})},
        "cost": ({"stage": "zoo", "seconds": 75.0}, {"stage": "hypernetwork", "seconds": 225.0}),
        "command": "python -m experiments.run --zoo.runs 8",
        "config": {"seed": 0, "zoo.runs": 8, "zoo.epochs": 25.0, "data.dir": None},
        "versions": {"jax": "0.10.2"},
        "git": None,
    }
    return html.Content(**(values | changes))


@pytest.fixture(scope="module")
def page() -> str:
    return html.page(content())


def test_the_page_parses_and_every_tag_is_closed(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    identifiers = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    labels = {attributes["aria-labelledby"] for attributes in parsed.all("section") if "aria-labelledby" in attributes}
    assert labels <= set(identifiers)


def test_the_page_is_self_contained(page: str) -> None:
    parsed = Page(page)
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page
    assert parsed.all("script") == []
    assert parsed.all("link") == []
    addresses = [
        value for _, attributes in parsed.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert len(addresses) == 1
    assert all(address is not None and address.startswith("data:image/") for address in addresses)


def test_the_figure_inside_is_the_svg_that_save_writes(page: str) -> None:
    (image,) = Page(page).all("img")
    source = image["src"]
    assert source is not None
    svg = base64.b64decode(source.removeprefix("data:image/svg+xml;base64,"))
    assert svg == figures.to_svg(content().figures["coverage"])
    assert image["alt"] == "Bars of checkpoint counts per combination of low and high losses"


@pytest.mark.parametrize("field", ["dataset", "classifier", "command", "git"])
def test_a_malicious_text_is_escaped(field: str) -> None:
    of_results = field in ("dataset", "classifier")
    evil = frame_of(row | {field: EVIL} for row in result_rows())
    text = html.page(content(results=evil) if of_results else content(**{field: EVIL}))
    parsed = Page(text)
    assert parsed.all("script") == []
    assert "<script" not in text
    assert EVIL in "".join(parsed.words)


def test_a_malicious_stage_or_setting_is_escaped() -> None:
    cost = ({"stage": EVIL, "seconds": 1.0},)
    text = html.page(content(cost=cost, config={EVIL: EVIL}, versions={EVIL: EVIL}))
    assert "<script" not in text
    assert "".join(Page(text).words).count(EVIL) == 4


def test_tables_have_captions_and_scoped_headers(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.all("table")) == len(parsed.all("caption")) == 4  # two requests, alignment, cost
    assert {attributes.get("scope") for attributes in parsed.all("th")} == {"col", "row"}
    assert parsed.all("html")[0]["lang"] == "en"


def test_the_page_tells_verdict_limits_cost_and_origin(page: str) -> None:
    words = re.sub(r"\s+", " ", " ".join(Page(page).words))
    for expected in (
        "256 unselected models got 50.0% of the forgotten images right on average; 32 reference models got 50.0%.",
        "Inside the reference models' range on all 10 measures.",
        "0.8765",
        "it can produce models that know the class",
        "Not suitable for strict privacy claims",
        "claiming that the data are deleted another",
        "the zoo and the hypernetwork destroyed, or retrained",
        "selected on validation images",
        "Images and labels of the forgotten classes were used to train the zoo",
        "“below” means unlike them",
        "5 min 00 s in all",
        "25.0%",
        "python -m experiments.run --zoo.runs 8",
        "outside git",
        "{2, 3}",
    ):
        assert expected in words


def test_the_same_content_gives_the_same_page(page: str) -> None:
    assert html.page(content()) == page


def test_rows_without_a_reference_are_an_error() -> None:
    with pytest.raises(HyperForgetError, match="reference models"):
        html.page(content(results=frame_of(row for row in result_rows() if row["method"] != "retrain")))


def test_strip_places_values_in_proportion() -> None:
    names = ("reference_q05", "reference_q95", "all_median", "judged", "selected_mean")
    line = pd.Series(dict(zip(names, (0.25, 0.75, 0.0, 1.0, 1.0), strict=True)))
    strip = html.strip(line)
    assert 'class="range" style="left:29.0%;width:42.0%"' in strip
    assert 'class="all" style="left:8.0%"' in strip
    assert 'class="selected" style="left:92.0%"' in strip
    same = html.strip(line.where(line.isna(), 0.0))
    assert 'class="range" style="left:50.0%;width:1.5%"' in same
    assert same.count('style="left:50.0%"') == 2
    assert "selected" not in html.strip(pd.Series(dict(line) | {"selected_mean": np.nan}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (12.34, "12.3 s"), (59.99, "1 min 00 s"), (185.0, "3 min 05 s"), (3599.7, "1 h 00 min")],
)
def test_duration_in_words(seconds: float, text: str) -> None:
    assert html.duration(seconds) == text


def test_subscripts_and_ranges_are_set_and_the_rest_escaped() -> None:
    assert html.typeset("D_r < D_f, MAD_x") == "D<sub>r</sub> &lt; D<sub>f</sub>, MAD_x"
    assert html.typeset("5–95%: 0.1–0.2.") == ('<span class="whole">5–95%</span>: <span class="whole">0.1–0.2.</span>')


@pytest.mark.parametrize(("value", "place"), [(0.3, "below"), (0.5, "inside"), (0.7, "above")])
def test_a_badge_says_the_place_and_only_inside_is_good(value: float, place: str) -> None:
    judged = [row | {"value": value} if row["selection"] == "selected" else row for row in result_rows()]
    badges = re.findall(r'<span class="(badge.*?)">(.*?)</span>', html.page(content(results=frame_of(judged))))
    assert badges == [("badge good" if place == "inside" else "badge", place)] * 2 * len(tables.METRICS)


def test_a_browser_lays_the_page_out_without_sideways_scrolling_on_a_phone(page: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on PATH")
    measured = "[d.querySelectorAll('table').length, d.documentElement.scrollWidth - d.documentElement.clientWidth]"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        '<iframe src="page.html" style="width:390px;height:800px;border:0"></iframe>'
        f"<script>onload = () => {{ const d = frames[0].document; document.title = {measured}; }}</script>",
        encoding="utf-8",
    )
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom")
    command = [browser, *flags, f"--user-data-dir={tmp_path / 'profile'}", str(tmp_path / "frame.html")]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "<title>4,0</title>" in dom  # four tables, no overflow
