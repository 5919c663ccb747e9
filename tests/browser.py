"""Pages in a headless Chromium, if there is one."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-sync", "--virtual-time-budget=20000"),
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium: install one to test pages in a browser")


def output_of(page: Path, name: str, address: str = "", options: tuple[str, ...] = ()) -> Any:
    """What the element `<output id=name>` of a page holds as JSON, once its scripts have run.

    Args:
      page: its file.
      name: id of the element.
      address: what follows the path, such as "#forget=2".
      options: of the browser, such as the window's size.
    """
    assert BROWSER is not None
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [BROWSER, *OPTIONS, *options, profile, "--dump-dom", f"{page.as_uri()}{address}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (found,) = re.findall(rf'<output id="{name}"[^>]*>(.*?)</output>', text, re.DOTALL)
    return json.loads(html.unescape(found))
