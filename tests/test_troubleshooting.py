"""Every line that docs/troubleshooting.md explains is one that the software says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = re.findall(r"^\| `(.*?)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
MARK = "\0"


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module; a value in an f-string is a mark."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else MARK for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.fixture(scope="module")
def said() -> list[str]:
    modules = sorted((ROOT / "hyperforget_jax").rglob("*.py"))
    return [text for module in modules for text in texts(ast.parse(module.read_text(encoding="utf-8")))]


def is_said(line: str, said: list[str]) -> bool:
    pattern = f"{MARK}+".join(map(re.escape, line.split("…")))
    return any(re.search(pattern, text) for text in said)


@pytest.mark.parametrize("line", LINES)
def test_an_explained_line_is_said(line: str, said: list[str]) -> None:
    assert is_said(line, said)


def test_there_are_many_and_an_invented_one_is_found_out(said: list[str]) -> None:
    assert len(LINES) >= 15
    assert not is_said("the moon is full: wait", said)
    assert not is_said("the disk is …full", said)
