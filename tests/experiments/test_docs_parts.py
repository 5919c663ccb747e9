"""The parts of docs/results.md: what is written, what stays, and the index of all that are there."""

import re
from pathlib import Path

from matplotlib.figure import Figure

from experiments import docs_parts, reproduce
from hyperforget_jax.report.result import Result

DOCS = Path(__file__).parents[2] / "docs"


def test_parts_are_written_and_others_stay(tmp_path: Path) -> None:
    folder, runs = tmp_path / "results", tmp_path / "runs"
    folder.mkdir()
    (folder / "table1.md").write_text("# An old table\n\nas it was\n", encoding="utf-8")
    (runs / "digits4_dihyfo2").mkdir(parents=True)
    (runs / "digits4_dihyfo2" / "results.md").write_text("| a run |\n", encoding="utf-8")
    (runs / "mnist_dihyfo2").mkdir()  # not finished
    result = Result("A figure", "Its words.\n", [{"a": 1}], {"fig10": Figure(figsize=(1, 1))})
    assert docs_parts.write({"fig10": result}, runs, folder) == ["fig10", "digits4_dihyfo2"]
    assert {path.name for path in folder.iterdir()} == {"table1.md", "fig10.md", "fig10.png", "digits4_dihyfo2.md"}
    assert (folder / "table1.md").read_text(encoding="utf-8") == "# An old table\n\nas it was\n"
    page = (folder / "fig10.md").read_text(encoding="utf-8")
    assert page.startswith(
        "# A figure\n\nIts words.\n\n![A figure](fig10.png)\n\nMade by `python -m experiments.reproduce fig10 "
    )
    run = (folder / "digits4_dihyfo2.md").read_text(encoding="utf-8")
    assert run.startswith(
        "# Digits, classes 0 to 3\n\n| a run |\n\nMade by `hyperforget run --config digits4_dihyfo2` at "
    )
    index = (tmp_path / "results.md").read_text(encoding="utf-8")
    links = re.findall(r"^- \[(.+)\]\((.+)\)$", index, re.MULTILINE)
    assert links == [
        ("An old table", "results/table1.md"),
        ("A figure", "results/fig10.md"),
        ("Digits, classes 0 to 3", "results/digits4_dihyfo2.md"),
    ]
    assert docs_parts.write({}, None, folder) == []
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == index


def test_figures_are_listed_by_their_numbers(tmp_path: Path) -> None:
    for name in ("fig10", "fig9", "table2"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")
    assert re.findall(r"\[(\w+)\]\(", docs_parts.index(tmp_path)) == ["table2", "fig9", "fig10"]


def test_the_index_in_docs_is_that_of_its_parts_and_every_part_says_what_made_it() -> None:
    folder = DOCS / "results"
    assert (DOCS / "results.md").read_text(encoding="utf-8") == docs_parts.index(folder)
    known = {*reproduce.TARGETS, *docs_parts.RUNS}
    parts = [path for path in folder.glob("*.md") if path.stem != "about"]
    assert {path.stem for path in parts} <= known
    for path in parts:
        *_, last = path.read_text(encoding="utf-8").splitlines()
        assert re.match(r"Made by `(python -m experiments\.reproduce|hyperforget run --config) ", last), path
        assert path.stem in last
