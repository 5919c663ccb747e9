"""Whole experiments are slow: what looks at a finished one is left out by default."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what asks for the fixture `finished` of this folder, an experiment from beginning to end."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
