"""The parts of docs/results.md: one page for each target and for each whole run, and the index of all that are there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperforget_jax.report import figures
from hyperforget_jax.report.result import Result
from hyperforget_jax.runtime import artifacts

RUNS = {
    "mnist4_dihyfo2": "MNIST-4, DiHyFo-2",
    "mnist4_drawn_dihyfo2": "MNIST-4, DiHyFo-2, drawn prompts and one best prompt",
    "mnist4_dihyfo1": "MNIST-4, DiHyFo-1 from random weights",
    "mnist_dihyfo2": "MNIST, DiHyFo-2",
    "mnist_drawn_dihyfo2": "MNIST, DiHyFo-2, drawn prompts and sets never shown",
    "mnist_gpu_dihyfo2": "MNIST, DiHyFo-2, trained on one GPU",
    "mnist_dihyfo1": "MNIST, DiHyFo-1 from random weights",
    "fashion4_dihyfo2": "Fashion-MNIST-4, DiHyFo-2",
    "digits4_dihyfo2": "Digits, classes 0 to 3",
    "digits_dihyfo2": "All ten digits",
}
"""Workdirs whose tables are parts too, by their names, and the titles of these."""
GROUPS = {
    "The paper's tables and figures": ("table", "fig"),
    "What the paper does not ask": ("subsets", "pivots", "seeds", "rivals", "attacks", "grids", "cost"),
    "Whole runs": tuple(RUNS),
}
"""Headings of the index, and how the names of their parts begin."""
INDEX = """# Results

Every page below was written by a command that stands at its end; this index is made from the pages that are there:

    python -m experiments.reproduce all --docs docs/results

[How they were measured, and what they say]({folder}/about.md)
"""


def write(results: Mapping[str, Result], runs: Path | None, folder: Path) -> list[str]:
    """Writes the parts of some results and of whole runs, and the index; other parts stay as they are.

    Args:
      results: of targets, by their names.
      runs: folder whose finished runs are written too; None: none are.
      folder: of the parts; the index is `FOLDER.md` beside it.

    Returns:
      The names of the parts that were written.
    """
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        for each, figure in result.figures.items():
            figures.save(figure, folder, each)
            (folder / f"{each}.svg").unlink()  # the pages show the PNG
        _write_part(folder, name, result.page, f"python -m experiments.reproduce {name} --docs docs/results")
    tables = {name: runs / name / "results.md" for name in RUNS} if runs else {}
    finished = [name for name, path in tables.items() if path.exists()]
    for name in finished:
        page = f"# {RUNS[name]}\n\n{tables[name].read_text(encoding='utf-8')}"
        _write_part(folder, name, page, f"hyperforget run --config {name}")
    artifacts.write_text(folder.with_suffix(".md"), index(folder))
    return [*results, *finished]


def _write_part(folder: Path, name: str, page: str, command: str) -> None:
    revision = artifacts.provenance()["git"] or "an unknown revision"
    artifacts.write_text(folder / f"{name}.md", f"{page}\nMade by `{command}` at {revision}.\n")


def index(folder: Path) -> str:
    """The index of the parts in a folder: their titles, by group, in the order of their names."""
    parts = {path.stem: path.read_text(encoding="utf-8").splitlines()[0][2:] for path in folder.glob("*.md")}
    groups = (_group(heading, starts, parts, folder.name) for heading, starts in GROUPS.items())
    return "\n".join((INDEX.format(folder=folder.name), *filter(None, groups)))


def _group(heading: str, starts: Sequence[str], parts: Mapping[str, str], folder: str) -> str:
    """The lines of one group; nothing if none of its parts is there."""
    names = [name for start in starts for name in sorted(parts, key=_natural) if name.startswith(start)]
    lines = (f"- [{parts[name]}]({folder}/{name}.md)\n" for name in dict.fromkeys(names))
    return f"## {heading}\n\n{''.join(lines)}" if names else ""


def _natural(name: str) -> tuple[int, str]:
    """Sorts fig9 before fig10."""
    return len(name), name
