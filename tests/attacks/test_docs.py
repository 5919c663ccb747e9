"""docs/attacks.md: its example runs, and its table names every attack."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("programs")
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert "assert " in source
    exec(compile(source, "docs/attacks.md", "exec"), {"__name__": "example"})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "relearn_5",
        "relearn_retained",
        "prototypical",
        "head_5",
        "rounded_4",
    ]


def test_every_module_of_attacks_is_in_the_table() -> None:
    modules = {path.stem for path in (ROOT / "hyperforget_jax" / "attacks").glob("*.py")}
    shared = {"__init__", "result", "roc", "linear"}
    assert {name for name in modules - shared if f"`{name}`" not in TEXT} == set()
