"""README, docs and the headers of configs: every command names what exists, every path and every relative link leads somewhere."""

import ast
import functools
import importlib.util
import itertools
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.reproduce import TARGETS
from hyperforget_jax.cli import configs, main
from hyperforget_jax.config import Config, flatten

ROOT = Path(__file__).parents[1]
PAGES = [
    str(path.relative_to(ROOT))
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
]
HISTORY = {"docs/renamed.md"}
"""Pages that name what is no more."""
HEADERS = [f"configs/{name}.py" for name in configs.config_names()]
PROGRAMS = ("hyperforget", "python", "pytest", "nox", "pip")
FIELDS = set(flatten(Config()))


def text_of(page: str) -> str:
    text = (ROOT / page).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or "" if page.endswith(".py") else text


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command: inline code, lines of indented and of fenced blocks, each up to its comment; && separates two."""
    blocks = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    for line in [*re.findall(r"`([^`\n]+)`", text), *re.findall(r"^    +(\S.*)$", text, re.MULTILINE), *blocks]:
        for command in line.partition(" #")[0].split("&&"):
            if command.split()[:1] and command.split()[0] in PROGRAMS:
                yield shlex.split(command)


@functools.cache
def source_of(module: str) -> str:
    """The module's source; "" if there is no such module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return ""
    return "" if spec is None or not spec.origin else Path(spec.origin).read_text(encoding="utf-8")


def faults(words: list[str]) -> Iterator[str]:
    """What a command names that does not exist."""
    if words[1:2] == ["reproduce"] or words[2:3] == ["experiments.reproduce"]:
        names = itertools.takewhile(lambda word: not word.startswith("--"), words[words[0] == "python" :][2:])
        yield from (f"target {name}" for name in names if name not in {*TARGETS, "all"} and not name.isupper())
    match words:
        case ["hyperforget", verb, *rest]:
            if verb not in {*main.VERBS, "--help", "--version"} and not verb.isupper():
                yield f"verb {verb}"
            source = source_of(f"hyperforget_jax.cli.{verb}")
            yield from unknown_options(rest, source, "--FIELD VALUE" in source)
        case ["python", "-m", module, *rest]:
            if not source_of(module) and not module.rpartition(".")[2].isupper():
                yield f"module {module}"
            yield from unknown_options(rest, source_of(module), configured=True)
        case ["nox", "-s", *rest]:
            sessions = re.findall(
                r"def (\w+)\(session: nox.Session\)", (ROOT / "noxfile.py").read_text(encoding="utf-8")
            )
            named = itertools.takewhile(lambda word: word != "--", rest)
            yield from (f"session {word}" for word in named if word not in sessions)
        case ["pytest", *rest]:
            paths = [word.partition("::")[0] for word in rest if word.startswith("tests")]
            yield from (path for path in paths if not (ROOT / path).exists())
        case ["pip", "install", *rest]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
                "optional-dependencies"
            ]
            named = re.findall(r"\[([\w,]+)\]", " ".join(rest))
            yield from (f"extra {name}" for group in named for name in group.split(",") if name not in extras)


def unknown_options(words: list[str], source: str, configured: bool) -> Iterator[str]:
    """Options that are neither fields of a config nor named in the program's source, and configs that do not exist."""
    for word, value in itertools.pairwise([*words, ""]):
        name = word.removeprefix("--").replace("-", "_")
        is_known = configured and name in FIELDS | {"help", "config"}
        if (
            word.startswith("--")
            and not is_known
            and not re.search(rf"\b{re.escape(name)}\b", source.replace("-", "_"))
        ):
            yield f"option {word}"
        is_config = value in configs.config_names() or value.isupper() or value.endswith(".py")
        if word == "--config" and not is_config:
            yield f"config {value}"


def slugs(markdown: str) -> set[str]:
    """Anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ +(.+?)\s*$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY] + HEADERS)
def test_commands_name_what_exists(page: str) -> None:
    assert {shlex.join(words): list(faults(words)) for words in commands(text_of(page)) if list(faults(words))} == {}


@pytest.mark.parametrize("page", [page for page in PAGES if page not in HISTORY])
def test_paths_in_code_exist(page: str) -> None:
    paths = re.findall(r"`((?:hyperforget_jax|experiments|configs|docs|tests)/[\w./]*)`", text_of(page))
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_relative_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in slugs(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", HEADERS)
def test_the_header_of_a_config_names_a_command_that_takes_it(page: str) -> None:
    name = Path(page).stem
    for words in commands(text_of(page)):
        module = words[2] if words[0] == "python" else f"hyperforget_jax.cli.{words[1]}"
        if f"--config {name}" in shlex.join(words) or re.search(rf"\b{name}\b", source_of(module)):
            return
    pytest.fail(f"the header of {page} names no command that takes it")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("hyperforget trian", "verb trian"),
        ("hyperforget run --config nope", "config nope"),
        ("hyperforget run --config smoke_dihyfo2 --training.stepz 3", "option --training.stepz"),
        ("python -m experiments.nope", "module experiments.nope"),
        ("hyperforget reproduce table1 nope --runs runs", "target nope"),
        ("python -m experiments.reproduce nope", "target nope"),
        ("pip install -e '.[nope]'", "extra nope"),
        ("pytest tests/nope.py::test", "tests/nope.py"),
        ("nox -s nope", "session nope"),
    ],
)
def test_a_command_that_names_nothing_is_caught(command: str, fault: str) -> None:
    ((words),) = commands(f"See `{command}`.")
    assert list(faults(words)) == [fault]
    assert slugs("# A `b` c, d\n## E-f") == {"a-b-c-d", "e-f"}
