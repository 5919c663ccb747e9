"""The tree: short files, telling names, no pickles of numpy. lint-imports checks the imports."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for folder in ("hyperforget_jax", "experiments", "configs")
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def unsafe_loads(source: str) -> list[int]:
    """Line numbers of numpy's `load` without `allow_pickle=False`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) in ("np.load", "jnp.load")]
    return [call.lineno for call in loads if "allow_pickle=False" not in map(ast.unparse, call.keywords)]


def run_as_code(source: str) -> list[int]:
    """Line numbers of calls that run text, by Python or by a shell."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if ast.unparse(call.func) in ("eval", "exec", "os.system", "os.popen")
        or "shell=True" in map(ast.unparse, call.keywords)
    ]


def test_no_text_is_run_as_code() -> None:
    """As SECURITY.md says; a config is a module that is imported."""
    assert {path: run_as_code(source) for path, source in SOURCES.items() if run_as_code(source)} == {}
    source = "eval(x)\nmodel.eval(x)\nsubprocess.run(line, shell=True)\nos.system(line)\nsubprocess.run([line])"
    assert run_as_code(source) == [1, 3, 4]


def test_files_are_short() -> None:
    lines = {path: len(source.splitlines()) for path, source in SOURCES.items()}
    assert len(lines) > 100
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_nothing_is_named_utils() -> None:
    assert [path for path in SOURCES if "utils" in (*path.parts, path.stem)] == []


def test_numpy_never_loads_a_pickle() -> None:
    assert {path: unsafe_loads(source) for path, source in SOURCES.items() if unsafe_loads(source)} == {}
    source = "np.load(f, allow_pickle=False)\nnp.load(f)\njnp.load(f, allow_pickle=flag)"
    assert unsafe_loads(source) == [2, 3]
