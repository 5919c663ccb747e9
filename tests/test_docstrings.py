"""The examples of docstrings print what they say, and every public function has one."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import hyperforget_jax

pytestmark = pytest.mark.usefixtures("programs")
ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "hyperforget_jax").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


SLOW = {"hyperforget_jax.api.hyperforget"}
"""Examples that take a minute."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MODULES]
)
def test_examples_print_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, examples = doctest.testmod(importlib.import_module(name), optionflags=options)
    assert examples > 0
    assert failed == 0


def test_every_public_function_has_an_example() -> None:
    public = {name: getattr(hyperforget_jax, name) for name in hyperforget_jax.__all__}
    functions = {name: value.__doc__ or "" for name, value in public.items() if inspect.isfunction(value)}
    assert {"load_dataset", "build_zoo", "retrain", "evaluate", "predict"} <= functions.keys()
    assert [name for name, doc in functions.items() if not re.search(rf"(>>>|\.\.\.) .*\b{name}\(", doc)] == []
