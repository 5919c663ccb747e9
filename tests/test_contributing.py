"""The examples of CONTRIBUTING.md run, and each recipe is short."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## Add (a .+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_every_recipe_is_there_and_short() -> None:
    assert list(RECIPES) == ["a dataset", "a codec", "a metric", "a baseline"]
    lines = {name: sum(map(bool, text.splitlines())) for name, text in RECIPES.items()}
    assert {name: count for name, count in lines.items() if count >= 30} == {}


@pytest.mark.parametrize("name", RECIPES)
def test_the_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", RECIPES[name], re.DOTALL)
    assert "assert " in source
    monkeypatch.chdir(tmp_path)
    exec(compile(source, f"CONTRIBUTING.md, {name}", "exec"), {"__name__": "example"})
