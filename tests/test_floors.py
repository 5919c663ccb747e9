"""The floors of the package: a module imports only from below. Read from the syntax trees, and the reader is tested too."""

import ast
import graphlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "hyperforget_jax"
FLOORS = {
    **dict.fromkeys(["errors", "config", "keys", "mesh", "records", "progress"], 0),
    **dict.fromkeys(["classifier", "coverage"], 0),
    **dict.fromkeys(["metric", "curve", "checkpoint", "data", "rules", "weights"], 1),
    **dict.fromkeys(["zoo.protocol", "zoo.selection", "zoo.train", "zoo.rows", "zoo.store"], 2),
    **dict.fromkeys(["diffusion.schedule", "diffusion.conditioning"], 2),
    **dict.fromkeys(["diffusion.dit", "unlearn.prompts", "workdir"], 2),
    **dict.fromkeys(
        ["zoo.build", "zoo.loader", "diffusion.objective", "unlearn.retrain", "evaluate", "diffusion.probe"],
        3,
    ),
    **dict.fromkeys(
        [
            "diffusion.optimisation",
            "diffusion.prepare",
            "diffusion.trainer",
            "diffusion.sampler",
            "diffusion.generator",
        ],
        4,
    ),
    **dict.fromkeys(["diffusion.store", "unlearn.request", "unlearn.update", "unlearn.retrieval"], 4),
    "report": 5,
}
"""Module, or package with all its modules, to floor; names are relative to the package."""
FOUNDATION = {"", "errors"}
"""What every floor may import, floor 0 too: the package itself (its version) and its errors."""
CONFINED = {"flax": "diffusion.dit", "orbax": "checkpoint"}
"""Library to the one module that may import it."""
STRANGERS = {frozenset({"zoo", "diffusion"})}
"""Packages that never import each other: arrays cross that border."""
ABOVE = {"experiments", "configs", "tests"}
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve"}
LONGEST = 300

Imports = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Absolute name of every module of the package to its file."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(name: str, path: Path) -> Iterator[list[str]]:
    """Each import of a module, inside functions too: its candidates, the longest dotted name first."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from ([f"{base}.{alias.name}", base] for alias in node.names)


def read_imports(root: Path) -> tuple[Imports, Imports]:
    """Imports within the package, by names relative to it, and the other imports, by top-level name."""
    inside: Imports = {}
    outside: Imports = {}
    found = modules(root)
    for name, path in found.items():
        relative = name.removeprefix(PACKAGE).removeprefix(".")
        inside[relative], outside[relative] = set(), set()
        for candidates in imported_names(name, path):
            top = candidates[-1].partition(".")[0]
            if top == PACKAGE:
                target = next((each for each in candidates if each in found), candidates[-1])
                inside[relative].add(target.removeprefix(PACKAGE).removeprefix("."))
            else:
                outside[relative].add(top)
    return inside, outside


def floor_of(name: str) -> int:
    """Floor of a module; a package that is split over floors has a bare `__init__`, on floor 0."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (prefix := ".".join(parts[:length])) in FLOORS:
            return FLOORS[prefix]
    if name == "" or any(entry.startswith(f"{name}.") for entry in FLOORS):
        return 0
    raise LookupError(f"{PACKAGE}.{name} stands on no floor: add it to FLOORS in tests/test_floors.py")


def climbs(inside: Mapping[str, set[str]]) -> list[str]:
    """Imports that do not go down: neither to a lower floor nor to a sibling of the same package."""
    return [
        f"{importer} (floor {floor_of(importer)}) imports {imported} (floor {floor_of(imported)})"
        for importer, targets in inside.items()
        for imported in sorted(targets - FOUNDATION)
        if floor_of(imported) > floor_of(importer)
        or (floor_of(imported) == floor_of(importer) and package_of(importer) != package_of(imported))
    ]


def package_of(name: str) -> str:
    """First part of a relative name: `zoo` of `zoo.build`; a module of the root is alone in its own."""
    return name.partition(".")[0]


def meetings(inside: Mapping[str, set[str]]) -> list[str]:
    """Imports between packages that must not know each other."""
    return [
        f"{importer} imports {imported}"
        for importer, targets in inside.items()
        for imported in sorted(targets)
        if frozenset({package_of(importer), package_of(imported)}) in STRANGERS
    ]


def strays(outside: Mapping[str, set[str]]) -> list[str]:
    """Imports of a confined library elsewhere, of what stands above the package, or of pickles."""
    return [
        f"{importer} imports {library}"
        for importer, libraries in outside.items()
        for library in sorted(libraries)
        if CONFINED.get(library, importer) != importer or library in ABOVE | PICKLES
    ]


def unpickling_calls(path: Path) -> list[str]:
    """Calls that allow numpy to load a pickle."""
    return [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "allow_pickle"
        if not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]


def test_every_module_stands_on_a_floor() -> None:
    for name in read_imports(ROOT)[0]:
        floor_of(name)


def test_imports_go_down() -> None:
    assert climbs(read_imports(ROOT)[0]) == []


def test_no_cycles() -> None:
    graphlib.TopologicalSorter(read_imports(ROOT)[0]).prepare()


def test_zoo_and_diffusion_never_meet() -> None:
    assert meetings(read_imports(ROOT)[0]) == []


def test_libraries_stay_where_they_are_confined_and_nothing_reaches_up() -> None:
    assert strays(read_imports(ROOT)[1]) == []


def test_no_pickle_is_allowed() -> None:
    assert [call for path in modules(ROOT).values() for call in unpickling_calls(path)] == []


def test_files_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules(ROOT).items()}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


@pytest.mark.parametrize("folder", [PACKAGE, "experiments", "configs", "tests"])
def test_nothing_is_named_utils(folder: str) -> None:
    assert [path for path in (ROOT / folder).rglob("*") if path.stem == "utils"] == []


@pytest.fixture
def sketch(tmp_path: Path) -> Path:
    """A small package with one import of every kind."""
    sources = {
        "__init__.py": "__version__ = '0'\n",
        "errors.py": "",
        "records.py": "from hyperforget_jax import __version__, errors\nimport numpy.linalg as la\n",
        "classifier.py": "from hyperforget_jax.errors import HyperForgetError\n",
        "zoo/__init__.py": "",
        "zoo/train.py": "def f():\n    from hyperforget_jax import classifier, records\n",
        "zoo/build.py": "from hyperforget_jax.zoo import train\nfrom .train import f\nfrom ..records import x\n",
        "evaluate/__init__.py": "from hyperforget_jax.evaluate.accuracy import score\n",
        "evaluate/accuracy.py": "import hyperforget_jax.classifier\nfrom sklearn.metrics import log_loss\n",
    }
    for name, source in sources.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return tmp_path


def test_the_reader_sees_every_kind_of_import(sketch: Path) -> None:
    inside, outside = read_imports(sketch)
    assert inside == {
        "": set(),
        "errors": set(),
        "records": {"", "errors"},
        "classifier": {"errors"},
        "zoo": set(),
        "zoo.train": {"classifier", "records"},
        "zoo.build": {"zoo.train", "records"},
        "evaluate": {"evaluate.accuracy"},
        "evaluate.accuracy": {"classifier"},
    }
    assert outside["records"] == {"numpy"}
    assert outside["evaluate.accuracy"] == {"sklearn"}
    assert climbs(inside) == meetings(inside) == strays(outside) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("records", "classifier"),  # up
        ("records", "config"),  # floor 0 may import errors only
        ("classifier", "weights.codec"),  # the same floor, but another package
        ("zoo.train", "zoo.build"),  # the same package, but up
        ("zoo", "zoo.train"),  # the __init__ of a split package is bare
        ("evaluate.accuracy", "unlearn.request"),
        ("", "classifier"),
    ],
)
def test_a_climb_is_caught(importer: str, imported: str) -> None:
    assert len(climbs({importer: {imported}})) == 1


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("zoo.train", "zoo.protocol"), ("weights.codec", "weights.layout"), ("report.html", "unlearn.request")],
)
def test_a_step_down_or_aside_is_allowed(importer: str, imported: str) -> None:
    assert climbs({importer: {imported}}) == []


def test_other_faults_are_caught() -> None:
    assert meetings({"diffusion.sampler": {"zoo.store"}}) == ["diffusion.sampler imports zoo.store"]
    assert meetings({"zoo.build": {"diffusion.schedule"}}) == ["zoo.build imports diffusion.schedule"]
    assert strays({"diffusion.trainer": {"flax"}, "diffusion.dit": {"flax"}}) == [
        "diffusion.trainer imports flax"
    ]
    assert strays({"zoo.store": {"orbax", "pickle"}, "checkpoint": {"orbax"}}) == [
        "zoo.store imports orbax",
        "zoo.store imports pickle",
    ]
    assert strays({"report": {"experiments", "jinja2"}}) == ["report imports experiments"]
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter({"data.a": {"data.b"}, "data.b": {"data.a"}}).prepare()


@pytest.mark.parametrize("name", ["helpers", "zoo.helpers", "diffusion.nets.small"])
def test_an_unknown_module_is_told_where_to_go(name: str) -> None:
    with pytest.raises(
        LookupError, match=rf"{name} stands on no floor: add it to FLOORS in tests/test_floors\.py"
    ):
        floor_of(name)


def test_allow_pickle_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "store.py"
    path.write_text(
        "np.load(f, allow_pickle=False)\nnp.load(f, allow_pickle=True)\nnp.load(f, allow_pickle=flag)\n"
    )
    assert unpickling_calls(path) == [f"{path}:2", f"{path}:3"]
