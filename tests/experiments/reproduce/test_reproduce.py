"""The command: what each name leaves, which runs it makes, and what it refuses."""

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from experiments.reproduce import SETTINGS, TARGETS
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.run_folder import RunFolder
from tests.small_paper import HAVE_ROWS, PICTURES, THREE, TWO, Finished, one_number, paper


def test_the_settings_can_serve_their_tables() -> None:
    """The forget sets that are printed are asked for; both hypernetworks can share a zoo; alignment is followed."""
    for setting, sets in (("mnist4", TWO), ("mnist", THREE)):
        configs = [config() for config in SETTINGS[setting].values()]
        assert [config.hypernetwork.kind for config in configs] == ["dihyfo1", "dihyfo2"] == [*SETTINGS[setting]]
        assert workdir.zoo_identity(configs[0]) == workdir.zoo_identity(configs[1])
        for config in configs:
            assert set(sets) <= set(config.task.forget_sets)
            assert config.training.alignment_every > 0
            assert config.request.num_selected == 5
            assert config.reference.seeds >= 32


def test_every_table_and_figure_of_the_paper_has_its_name() -> None:
    figures = (*range(2, 19), 31)
    wanted = {*(f"table{number}" for number in range(1, 6)), *(f"fig{number}" for number in figures)}
    assert wanted | set(PICTURES) <= set(TARGETS)


@pytest.mark.parametrize("name", PICTURES)
def test_a_target_leaves_its_page_its_rows_and_its_figures(finished: Finished, name: str) -> None:
    place = finished.folder / "paper"
    page = (place / f"{name}.md").read_text(encoding="utf-8")
    title = page.splitlines()[0]
    assert title.startswith("# ")
    assert "\n\n\n" not in page
    assert title[2:] in finished.told
    assert f"{name}: {place / name}.md" in finished.told
    for picture in PICTURES[name]:
        assert f"![{title[2:]}]({picture}.png)" in page
        assert (place / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (place / f"{picture}.svg").read_text(encoding="utf-8")[:1000]
    assert page.count("![") == len(PICTURES[name])
    assert (place / f"{name}.csv").exists() == (name in HAVE_ROWS)


def test_nothing_else_is_left(finished: Finished) -> None:
    pictures = {f"{each}.{ending}" for names in PICTURES.values() for each in names for ending in ("png", "svg")}
    pages = {f"{name}.md" for name in PICTURES} | {f"{name}.csv" for name in HAVE_ROWS}
    assert {path.name for path in (finished.folder / "paper").iterdir()} == pages | pictures


def test_missing_pipelines_are_run_first_and_share_a_zoo(finished: Finished) -> None:
    for method in ("dihyfo1", "dihyfo2"):
        place = finished.folder / f"mnist4_{method}"
        assert finished.told.count(f"mnist4_{method}: not there yet, made in {place}\n") == 1
        assert (place / "report.html").exists()
    assert not (finished.folder / "mnist4_dihyfo2" / "zoo").exists()
    assert f"zoo: reused from {finished.folder / 'mnist4_dihyfo1' / 'zoo'}" in finished.told


def test_the_plan_says_which_runs_are_made_and_by_which_command(finished: Finished) -> None:
    plan = dict(re.findall(r"^(\w+): made first, as by: (.+)$", finished.told, re.MULTILINE))
    first, second = (finished.folder / f"mnist4_{method}" for method in ("dihyfo1", "dihyfo2"))
    assert plan["mnist4_dihyfo1"] == f"hyperforget run --config mnist4_dihyfo1 --workdir {first}"
    shared = f"--zoo.folder {first / 'zoo'}"
    assert plan["mnist4_dihyfo2"] == f"hyperforget run --config mnist4_dihyfo2 --workdir {second} {shared}"
    again = f"hyperforget run --config mnist4_dihyfo2 --workdir {second}_seed1 {shared} --training.seed 1"
    assert plan["mnist4_dihyfo2_seed1"] == again
    assert plan["gpt"] == f"python -m experiments.gpt --workdir {finished.folder / 'gpt'}"
    told = paper("fig11", "--runs", str(finished.folder))[1]
    assert told.startswith(f"mnist4_dihyfo1: reused from {first}\n")


def test_parts_of_the_docs_are_those_whose_runs_are_there(finished: Finished, tmp_path: Path) -> None:
    docs = tmp_path / "results"
    names = ("table1", "fig31", "fig11", "subsets-mnist4-dihyfo2")
    status, told, error = paper(*names, "--runs", str(finished.folder), "--docs", str(docs))
    assert (status, error) == (0, "")
    assert f"parts: fig11, subsets-mnist4-dihyfo2\nindex: {docs}.md\n" in told
    assert {path.stem for path in docs.iterdir()} == {"fig11", "subsets-mnist4-dihyfo2"}
    assert "results/subsets-mnist4-dihyfo2.md" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_second_call_reuses_everything_and_leaves_the_same_bytes(finished: Finished) -> None:
    swept = finished.folder / "gpt" / "one_loss" / "costs.jsonl"  # G.pt's sweep takes a second, and is timed again
    files = [path for path in finished.folder.rglob("*") if path.is_file() and path.name != "config.json"]
    files.remove(swept)
    before = {path: path.read_bytes() for path in files}
    status, told, error = paper(*PICTURES, "--runs", str(finished.folder))
    assert (status, error) == (0, "")
    assert "not there yet" not in told
    assert "s left" not in told  # no progress: nothing is computed
    assert {path: path.read_bytes() for path in files} == before
    pages = [line for line in told.splitlines() if line.endswith(".md")]
    assert pages == [f"{name}: {finished.folder / 'paper' / name}.md" for name in PICTURES]


@pytest.mark.parametrize("lost", ["report.html", "alignment"])
def test_a_pipeline_that_was_cut_off_is_finished(finished: Finished, tmp_path: Path, lost: str) -> None:
    """And what it had is reused; the alignment, made again, is the same."""
    ours, theirs = tmp_path / "mnist4_dihyfo1", finished.folder / "mnist4_dihyfo1"
    shutil.copytree(theirs, ours)
    path = ours / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    status, told, _ = paper("fig11", "--runs", str(tmp_path))
    assert status == 0
    assert f"mnist4_dihyfo1: not there yet, made in {ours}" in told
    assert f"hypernetwork: reused from {ours / 'hypernetwork'}" in told
    assert (ours / "report.html").exists()
    for name in ("results.jsonl", "alignment/2.npz"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    figure = (tmp_path / "paper" / "fig11.png").read_bytes()
    assert figure == (finished.folder / "paper" / "fig11.png").read_bytes()
    assert not (tmp_path / "mnist4_dihyfo2").exists()  # nobody asked for it
    assert "not there yet" not in paper("fig11", "--runs", str(tmp_path))[1]


def test_g_pt_keeps_its_own_data_and_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    overrides = ["--data.dir", str(tmp_path), "--training.steps", "7"]
    runs = RunFolder(tmp_path / "runs", {}, overrides, Console(file=io.StringIO()), "python -m experiments.reproduce")

    def refuse(run: Run) -> None:
        assert run.config.training.steps == 7
        assert run.config.data == one_number().data
        raise HyperForgetError("no")

    with pytest.raises(HyperForgetError, match="no"):
        runs.open_other("gpt", one_number(), refuse)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "nothing is named: choose of all, table1, "),
        (["--zoo.runs", "32"], "nothing is named: choose of all, table1, "),
        (["tabel3"], "tabel3 is no table or figure: did you mean table3?"),
        (["fig2", "19"], "19 is no table or figure: choose of all, table1, "),
        (["fig2", "--zoo.runs", "32", "fig3"], "fig3 is no config field"),
        (["fig2", "--zoo.rums", "32"], "--zoo.rums is no config field: did you mean --zoo.runs?"),
        (["fig2", "--zoo.runs", "many"], "many"),
        (["fig2", "--sampling.steps", "0"], "sampling.steps is 0"),
        (["fig2", "--runs"], "--runs is empty: name the folder of the runs"),
        (["fig2", "--docs"], "--docs is empty: name the folder of the parts"),
        (["fig2", "--workdir", "elsewhere"], "--workdir is given: "),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_before_any_work(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, error = paper(*arguments)
    (line,) = error.splitlines()
    assert (status, out) == (2, "")
    assert line.startswith("error: ")
    assert told in line
    assert not any(tmp_path.iterdir())


def test_a_stopped_call_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(runs: RunFolder) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(TARGETS, "fig2", TARGETS["fig2"]._replace(make=stop))  # type: ignore[arg-type]
    status, _, error = paper("fig2", "--runs", str(tmp_path))
    assert (status, error) == (130, "stopped: run the same command again to go on from here\n")
