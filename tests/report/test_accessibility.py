"""Report, certificate and explorer in a headless browser: axe-core finds nothing, on a phone and on a screen; a poor page is caught."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from hyperforget_jax.report import certificate, explorer, html
from tests.browser import needs_browser, output_of
from tests.report.test_html import content
from tests.small_pages import small_certificate, small_explorer

pytestmark = [needs_browser, pytest.mark.usefixtures("programs")]
PAGES = {
    "report": lambda: html.page(content()),
    "certificate": lambda: certificate.page(small_certificate()),
    "explorer": lambda: explorer.page(small_explorer()),
}
RUN = """
addEventListener("load", () => axe.run(document, { resultTypes: ["violations"] }).then(found => {
  const output = document.createElement("output");
  output.id = "axe";
  output.textContent = JSON.stringify(found.violations.map(each => [each.impact, each.id, each.nodes.map(node => node.html)]));
  document.body.append(output);
}));
"""


def violations(page: str, width: int, folder: Path) -> list[Any]:
    """What axe-core has against a page: impact, rule, elements."""
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    safe = [script.replace("</script>", r"<\/script>") for script in (axe, RUN)]
    scripts = "".join(f"<script>{script}</script>" for script in safe)
    (folder / "page.html").write_text(page.replace("</body>", f"{scripts}</body>"), encoding="utf-8")
    found: list[Any] = output_of(folder / "page.html", "axe", options=(f"--window-size={width},2000",))
    return found


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing(page: str, width: int, tmp_path: Path) -> None:
    found = violations(PAGES[page](), width, tmp_path)
    assert found == [], json.dumps(found, indent=1)


def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    body = "<main><p style='color:#ccc'>faint</p><button></button></main>"
    poor = f"<!DOCTYPE html><html><head><title>x</title></head><body>{body}</body></html>"
    assert {"color-contrast", "button-name", "html-has-lang"} <= {
        rule for _, rule, _ in violations(poor, 390, tmp_path)
    }
