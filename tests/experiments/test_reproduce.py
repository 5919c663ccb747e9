"""The paper's tables and figures by name: every one of a tiny setting from one folder, and the values that the paper prints."""

import contextlib
import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import scipy.stats
from rich.console import Console
from sklearn.metrics import roc_auc_score

import configs.gpt
from configs import smoke_dihyfo1, smoke_dihyfo2
from experiments import (
    all_forget_sets,
    beyond,
    cost,
    generator_baselines,
    membership_attacks,
    paper_figures,
    paper_values,
)
from experiments.made import SETTINGS, Made, Runs
from experiments.reproduce import main
from experiments.targets import TARGETS
from hyperforget_jax import classifier
from hyperforget_jax.config import Config, LoaderConfig, TaskConfig
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import cache, paper_protocol, report, unlearning, workdir
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import paper_tables
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import retrieval
from hyperforget_jax.zoo.storage import Zoo
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")

SEEDS = "seeds-mnist4-dihyfo2"
PIVOTS = "pivots-mnist4"
PER_METHOD = ("subsets-mnist4-dihyfo1", "subsets-mnist4-dihyfo2")
PICTURES = {
    **{
        name: (name,)
        for name in ("table3", "table4", "table5", "fig2", "fig6", "fig8", "fig31", PIVOTS, *PER_METHOD)
    },
    **{name: (name,) for name in ("fig11", "fig12", "fig13", "fig14")},
    **{name: (f"{name}_dihyfo1", f"{name}_dihyfo2") for name in ("fig3", "fig9")},
    **dict.fromkeys(("attacks-mnist4-dihyfo1", "grids-mnist4-dihyfo1", "grids-mnist4-dihyfo2"), ()),
    **dict.fromkeys(("rivals-mnist4-dihyfo1", "rivals-mnist4-dihyfo2", "cost-mnist4", SEEDS), ()),
}
"""The targets of MNIST-4, and the figures that each leaves; further seeds of one hypernetwork stand for those of both."""
HAVE_ROWS = [name for name in PICTURES if not name.startswith("fig")]


def small(config: Config) -> Config:
    """The forget sets of the paper's MNIST-4, few untrained models, and a loss that compiles fast."""
    return replace(
        config,
        task=replace(config.task, forget_sets=((2,), (2, 3))),
        diffusion=replace(config.diffusion, functional_weight=0.0),
        training=replace(config.training, untrained=16),
    )


def settings() -> dict[str, dict[str, Callable[[], Config]]]:
    """Four digits in place of MNIST-4."""
    both = {"dihyfo1": smoke_dihyfo1.get_config(), "dihyfo2": smoke_dihyfo2.get_config()}
    return {
        "mnist4": {method: partial(small, config) for method, config in both.items()},
        "mnist4_nopivots": {"dihyfo2": no_pivots},
    }


def no_pivots() -> Config:
    """Any class may be forgotten."""
    config = small(smoke_dihyfo2.get_config())
    task = TaskConfig(pivots=(), forget_sets=((0,), (2,), (0, 2)))
    return replace(config, task=task, zoo=replace(config.zoo, min_learned=1))


def one_number() -> Config:
    """G.pt in seconds."""
    config = small(smoke_dihyfo1.get_config())
    asked = replace(config.hypernetwork, metric="one_loss", metric_class=2)
    return replace(config, hypernetwork=asked, loader=LoaderConfig(resample="none"))


def paper(*arguments: str) -> tuple[int, str, str]:
    """Exit status, and what was told on stdout and stderr."""
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as error,
    ):
        status = main(arguments, settings())
    return status, out.getvalue(), error.getvalue()


class Finished(NamedTuple):
    """A folder of runs with every target of MNIST-4, and what was told when it was made."""

    folder: Path
    told: str


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Few rivals, one further seed, no pictures in a run's own page; references of every forget set in more groups than one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_baselines, "MODELS", 8)
        patch.setattr(beyond, "SEEDS", (1,))
        patch.setattr(report, "draw", lambda *measured: [])
        patch.setattr(all_forget_sets, "AT_ONCE", 2)
        patch.setattr(configs.gpt, "get_config", one_number)
        yield


@pytest.fixture(scope="module")
def finished(programs: Any, few: None, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every target of MNIST-4, from nothing; tests leave the folder as it is."""
    folder = tmp_path_factory.mktemp("paper") / "runs"
    status, told, error = paper(*PICTURES, "--runs", str(folder))
    assert (status, error) == (0, "")
    return Finished(folder, told)


@pytest.fixture(scope="module")
def made(finished: Finished) -> dict[str, Made]:
    """The finished runs, by hypernetwork."""
    return Runs(
        finished.folder, settings(), [], Console(file=io.StringIO()), "python -m experiments.reproduce"
    ).of("mnist4")


def lines_of(finished: Finished, name: str) -> list[dict[str, str]]:
    """The rows of a target's CSV file."""
    with (finished.folder / "paper" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def value_of(rows: Sequence[dict[str, Any]], **about: Any) -> float:
    """The value of the one row on test that is about this and no single class."""
    (row,) = (
        row
        for row in rows
        if row["split"] == "test" and row["class"] is None
        if all(row[name] == value for name, value in about.items())
    )
    return float(row["value"])


# What the paper prints, read from it.

TWO, THREE = ((2,), (2, 3)), ((2,), (2, 3, 4), (0, 1, 2, 3, 4))
PRINTED = {
    (1, "retain_accuracy"): (0.9072, 0.9390, 0.9373, 0.7369, 0.9433, 0.9518, 0.9193, 0.9479, 0.9504),
    (1, "forget_accuracy"): (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (1, "mia"): (0.3682, 0.3817, 0.4282, 0.3580, 0.3243, 0.3299, 0.3299, 0.3406, 0.3798),
    (2, "overlap_retain"): (0.9106, 0.9511, 0.9498, 0.7298, 0.9364, 0.9482),
    (2, "overlap_forget"): (0.5474, 0.7262, 0.7498, 0.4221, 0.7110, 0.6375),
    (2, "overlap_test"): (0.8731, 0.8831, 0.8471, 0.6978, 0.8682, 0.7881),
    (2, "phi_badt"): (0.9885, 0.9894, 0.9916, 0.8478, 0.9857, 0.9540),
    (3, "retain_accuracy"): (0.9837, 0.9983, 0.9834, 0.9995, 0.9938, 0.9991),
    (3, "forget_accuracy"): (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (3, "mia"): (0.6260, 0.6484, 0.4457, 0.3827, 0.4171, 0.3398),
    (4, "overlap_retain"): (0.9851, 0.9983, 0.9848, 0.9995),
    (4, "overlap_forget"): (0.3473, 0.7106, 0.6800, 0.7751),
    (4, "overlap_test"): (0.8263, 0.8562, 0.9094, 0.8898),
    (4, "phi_badt"): (0.8550, 0.9327, 0.6874, 0.9607),
}
"""The rows of Tables 1 to 4: DiHyFo-1, DiHyFo-2 and, in Tables 1 and 3, the retrained model; each for every forget set."""


@pytest.mark.parametrize(("which", "count"), [(1, 27), (2, 24), (3, 18), (4, 16), (5, 50)])
def test_every_printed_value_is_there_once(which: int, count: int) -> None:
    rows = paper_values.table(which)
    keys = [json.dumps({name: each for name, each in row.items() if name != "value"}) for row in rows]
    assert len(rows) == len(set(keys)) == count
    assert {row["dataset"] for row in rows} == {"mnist" if which < 3 else "mnist4"}


@pytest.mark.parametrize(("which", "metric"), PRINTED)
def test_the_printed_values_are_those_of_the_paper(which: int, metric: str) -> None:
    sets, values = THREE if which < 3 else TWO, PRINTED[which, metric]
    columns = [(method, forget) for method in ("dihyfo1", "dihyfo2", "retrain") for forget in sets]
    found = {
        (row["method"], tuple(row["forget_set"])): row["value"]
        for row in paper_values.table(which)
        if row["metric"] == metric
    }
    assert found == dict(zip(columns, values, strict=False))


def test_the_printed_families_have_the_printed_averages() -> None:
    for metric, known, average in (
        ("alignment_r2", {0: -6.4499, 17: -1.8833, 19: -10.7378, 23: 0.9187}, -0.4911),
        ("alignment_pearson", {0: 0.4931, 17: -0.2664, 19: -0.1768, 23: 0.9683}, 0.7968),
    ):
        found = {row["family"]: row["value"] for row in paper_values.table(5) if row["metric"] == metric}
        assert found.pop(None) == average
        assert list(found) == list(range(24))
        assert {family: found[family] for family in known} == known
        assert round(sum(found.values()) / 24, 4) == average


def test_the_settings_can_serve_their_tables() -> None:
    """The forget sets that are printed are asked for; both hypernetworks can share a zoo; alignment is followed."""
    for setting, sets in (("mnist4", TWO), ("mnist", THREE)):
        configs = [config() for config in SETTINGS[setting].values()]
        assert (
            [config.hypernetwork.kind for config in configs] == ["dihyfo1", "dihyfo2"] == [*SETTINGS[setting]]
        )
        assert workdir.zoo_identity(configs[0]) == workdir.zoo_identity(configs[1])
        for config in configs:
            assert set(sets) <= set(config.task.forget_sets)
            assert config.training.alignment_every > 0
            assert config.request.num_selected == 5
            assert config.reference.seeds >= 32


# What a target leaves.


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
    pictures = {
        f"{each}.{ending}" for names in PICTURES.values() for each in names for ending in ("png", "svg")
    }
    pages = {f"{name}.md" for name in PICTURES} | {f"{name}.csv" for name in HAVE_ROWS}
    assert {path.name for path in (finished.folder / "paper").iterdir()} == pages | pictures


def test_missing_pipelines_are_run_first_and_share_a_zoo(finished: Finished) -> None:
    for method in ("dihyfo1", "dihyfo2"):
        place = finished.folder / f"mnist4_{method}"
        assert finished.told.count(f"mnist4_{method}: not there yet, made in {place}\n") == 1
        assert (place / "report.html").exists()
    assert not (finished.folder / "mnist4_dihyfo2" / "zoo").exists()
    assert f"zoo: reused from {finished.folder / 'mnist4_dihyfo1' / 'zoo'}" in finished.told


def test_a_second_call_reuses_everything_and_leaves_the_same_bytes(finished: Finished) -> None:
    swept = (
        finished.folder / "gpt" / "one_loss" / "costs.jsonl"
    )  # G.pt's sweep takes a second, and is timed again
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


@pytest.mark.parametrize(("name", "which"), [("table3", 3), ("table4", 4)])
def test_a_table_holds_the_values_of_the_runs(
    finished: Finished, made: dict[str, Made], name: str, which: int
) -> None:
    found = lines_of(finished, name)
    measured = [metric for table, metric in PRINTED if table == which]
    beside = [paper_tables.BESIDE[metric] for metric in measured if metric in paper_tables.BESIDE]
    assert len(found) == 4 * len(measured + beside)
    for line in found:
        forget = [int(label) for label in line["forget_set"].split("-")]
        about: dict[str, Any] = {"forget_set": forget, "metric": line["metric"]}
        method = line["method"]
        strict, theirs = made[method].rows, paper_protocol.rows(made[method].run)
        expected = {
            "strict": value_of(strict, **about, method=method, selection="selected", statistic="mean"),
            "paper": value_of(theirs, **about, method=method, selection="selected", statistic="mean"),
            "all": value_of(strict, **about, method=method, selection="all", statistic="median"),
            "reference_mean": value_of(strict, **about, method="retrain", statistic="mean"),
            "reference_low": value_of(strict, **about, method="retrain", statistic="q05"),
            "reference_high": value_of(strict, **about, method="retrain", statistic="q95"),
        }
        assert {each: float(line[each]) for each in expected} == expected
        if line["metric"] in beside:
            assert line["printed"] == ""
            continue
        column = [("dihyfo1", [2]), ("dihyfo1", [2, 3]), ("dihyfo2", [2]), ("dihyfo2", [2, 3])].index(
            (method, forget)
        )
        assert float(line["printed"]) == PRINTED[which, line["metric"]][column]


def test_table_5_holds_every_family_of_the_paper_and_of_ours(finished: Finished) -> None:
    found = lines_of(finished, "table5")
    assert [line["family"] for line in found] == [str(family) for family in range(24)]
    assert float(found[19]["printed_alignment_r2"]) == -10.7378
    with np.load(finished.folder / "mnist4_dihyfo2" / "alignment" / "2.npz") as arrays:
        targets, observed = arrays["targets"], arrays["observed"]
    spread = np.square(targets - targets.mean()).sum()
    r2 = 1.0 - np.square(observed - targets[None]).sum(1) / spread
    pearson = [np.corrcoef(targets, family)[0, 1] for family in observed]
    assert len(r2) == 3
    np.testing.assert_allclose([float(line["ours_alignment_r2"]) for line in found[:3]], r2, rtol=1e-6)
    np.testing.assert_allclose(
        [float(line["ours_alignment_pearson"]) for line in found[:3]], pearson, rtol=1e-6
    )
    assert {line["ours_alignment_r2"] for line in found[3:]} == {""}
    page = (finished.folder / "paper" / "table5.md").read_text(encoding="utf-8")
    assert f"| average | -0.4911 | 0.7968 | {r2.mean():.4f} | {np.mean(pearson):.4f} |" in page


def test_agreement_counts_the_best_model_against_the_median_retrained_one(
    made: dict[str, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[Any]()
    monkeypatch.setattr(paper_figures.paper_figures, "agreement", drawn.extend)
    paper_figures.agreement(8, "mnist4", "dihyfo2", SimpleNamespace(one=lambda *names: made["dihyfo2"]))  # type: ignore[arg-type]
    one, test = made["dihyfo2"], made["dihyfo2"].run.dataset.test
    for index, (found, forget) in enumerate(zip(drawn, TWO, strict=True)):
        assert (found.forget_set, found.classes) == (forget, (0, 1, 2, 3))
        retained = ~np.isin(test.labels, forget)
        ours = answers_of(one.answers[index].models, test.images)[one.answers[index].selected[0]]
        reference = answers_of(jax.tree.map(lambda leaf, i=index: leaf[i], one.reference), test.images)
        accuracies = (reference == test.labels)[:, retained].mean(1)
        theirs = reference[np.flatnonzero(accuracies == np.median(accuracies))[0]]
        for counts, member in ((found.test, np.ones_like(retained)), (found.retain, retained)):
            expected = [[(member & (theirs == a) & (ours == b)).sum() for b in range(4)] for a in range(4)]
            np.testing.assert_array_equal(counts, expected)


def answers_of(models: classifier.Params, images: Any) -> Any:
    """Predictions [N, n] of stacked models, by NumPy."""
    first, last = (jax.tree.map(np.asarray, layer) for layer in models)
    hidden = np.maximum(np.einsum("nd,Nhd->Nnh", images, first["w"]) + first["b"][:, None], 0.0)
    return (np.einsum("Nnh,Nkh->Nnk", hidden, last["w"]) + last["b"][:, None]).argmax(-1)


def test_without_alignment_during_training_its_figure_is_refused(tmp_path: Path) -> None:
    runs: Any = SimpleNamespace(one=lambda *names: SimpleNamespace(training=tmp_path))
    with pytest.raises(
        HyperForgetError, match=r"fig12 shows alignment during training.*training\.alignment_every"
    ):
        paper_figures.evolution(12, "mnist4", "dihyfo1", runs)


def test_g_pt_keeps_its_own_data_and_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    overrides = ["--data.dir", str(tmp_path), "--training.steps", "7"]
    runs = Runs(
        tmp_path / "runs", {}, overrides, Console(file=io.StringIO()), "python -m experiments.reproduce"
    )

    def refuse(run: Run) -> None:
        assert run.config.training.steps == 7
        assert run.config.data == one_number().data
        raise HyperForgetError("no")

    with pytest.raises(HyperForgetError, match="no"):
        runs.other("gpt", one_number(), refuse)
    assert not (tmp_path / "runs").exists()


# The command line.


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
    def stop(runs: Runs) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(TARGETS, "fig2", stop)  # type: ignore[arg-type]
    status, _, error = paper("fig2", "--runs", str(tmp_path))
    assert (status, error) == (130, "stopped: run the same command again to go on from here\n")


# Rows that are measured once.


def test_rows_are_measured_anew_when_a_constant_or_the_hypernetwork_has_changed(
    made: dict[str, Made], tmp_path: Path
) -> None:
    theirs = made["dihyfo2"].run
    run, calls = replace(theirs, folder=tmp_path), list[int]()
    shutil.copytree(theirs.folder / "hypernetwork", tmp_path / "hypernetwork")

    def measured() -> list[dict[str, Any]]:
        calls.append(len(calls))
        return [{"value": len(calls)}]

    def told(share: float) -> float:
        (row,) = cache.rows(run, "part", measured, share=share)
        return float(row["value"])

    assert [told(0.5), told(0.5), told(0.25), told(0.25)] == [1, 1, 2, 2]
    manifest = tmp_path / "hypernetwork" / artifacts.MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert [told(0.25), told(0.25)] == [3, 3]
    (tmp_path / "part" / "results" / "results.jsonl").write_text('{"value": 9}\n', encoding="utf-8")
    with pytest.raises(HyperForgetError, match=r"results\.jsonl .*manifest"):
        told(0.25)


# Every forget set.


@pytest.mark.parametrize(("pivots", "count"), [((0, 1), 3), ((0,), 7), ((), 14)])
def test_all_sets_of_forgettable_classes_are_asked_for_but_never_every_class(
    pivots: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    config = replace(tiny(tmp_path), task=TaskConfig(pivots=pivots, forget_sets=((2,),)))
    found = all_forget_sets.every(on_paper(config))
    assert len({frozenset(each) for each in found}) == len(found) == count
    assert all(0 < len(each) < 4 and not set(each) & set(pivots) for each in found)
    assert found == sorted(found, key=lambda each: (len(each), each))


def test_the_classes_are_told_by_their_labels(tmp_path: Path) -> None:
    base = tiny(tmp_path)
    data = replace(base.data, classes=(7, 5, 3))
    config = replace(base, data=data, task=TaskConfig(pivots=(5,), forget_sets=((7,),)))
    assert all_forget_sets.every(on_paper(config)) == [(7,), (3,), (7, 3)]


def test_the_page_of_every_forget_set_names_the_worst(finished: Finished) -> None:
    found = lines_of(finished, "subsets-mnist4-dihyfo2")
    assert [line["forget_set"] for line in found] == ["2", "3", "2-3"]
    rows = artifacts.read_rows(finished.folder / "mnist4_dihyfo2" / "subsets" / "results" / "results.jsonl")
    for line in found:
        about = {"forget_set": [int(label) for label in line["forget_set"].split("-")]}
        selected = value_of(rows, **about, metric="retain_accuracy", selection="selected", statistic="mean")
        reference = value_of(rows, **about, metric="retain_accuracy", method="retrain", statistic="median")
        forget = value_of(rows, **about, metric="forget_accuracy", selection="all", statistic="mean")
        assert float(line["gap"]) == pytest.approx(reference - selected)
        assert float(line["forget_all_mean"]) == forget
    worst = max(found, key=lambda line: float(line["gap"]))
    named = "{" + worst["forget_set"].replace("-", ", ") + "}"
    page = (finished.folder / "paper" / "subsets-mnist4-dihyfo2.md").read_text(encoding="utf-8")
    assert f"The worst is {named}: {float(worst['gap']):.4f}." in page


def test_a_missing_group_of_clouds_is_made_again_alone_and_equal(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = finished.folder / "mnist4_dihyfo2" / "subsets", tmp_path / "subsets"
    ours.mkdir()
    shutil.copytree(theirs / "reference", ours / "reference")
    groups = ("2_3", "2-3")
    assert {path.name for path in (ours / "reference").iterdir()} == {*groups}
    for group in groups:
        artifacts.verify(ours / "reference" / group)
    shutil.rmtree(ours / "reference" / "2-3")
    config = small(smoke_dihyfo2.get_config())
    task = replace(config.task, forget_sets=((2,), (3,), (2, 3)))
    run = replace(on_paper(replace(config, workdir=str(tmp_path), task=task)), folder=ours)
    trained = list[Any]()

    def counted(key: Any, training: Any, forget_sets: Any, *others: Any) -> Any:
        trained.append(forget_sets)
        return retrain(key, training, forget_sets, *others)

    retrain = all_forget_sets.retrain
    monkeypatch.setattr(all_forget_sets, "retrain", counted)
    references = all_forget_sets.references(run)
    assert trained == [[(2, 3)]]
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(references)} == {(3, config.reference.seeds)}
    for group in groups:
        first, again = (np.load(place / "reference" / group / "weights.npy") for place in (theirs, ours))
        np.testing.assert_array_equal(first, again)
    models = jax.tree.map(lambda leaf: leaf[2], references)  # never saw 2 nor 3
    test = run.dataset.test
    assert not np.isin(answers_of(models, test.images)[:, test.labels < 2], (2, 3)).any()


# The paper's own protocol.


@pytest.mark.parametrize("method", ["dihyfo1", "dihyfo2"])
def test_under_the_papers_protocol_the_best_on_test_are_selected(made: dict[str, Made], method: str) -> None:
    run = made[method].run
    rows, test = paper_protocol.rows(run), run.dataset.test
    assert {(row["protocol"], row["split"]) for row in rows} == {("paper", "test")}
    assert {row["protocol"] for row in made[method].rows} == {"strict"}
    for labels in TWO:
        answer = unlearning.stored(replace(run, folder=run.folder / paper_protocol.FOLDER), labels)
        right = answers_of(answer.models, test.images) == test.labels  # [N, n]
        forgotten = np.isin(test.labels, labels)
        retain, forget = right[:, ~forgotten].mean(1), right[:, forgotten].mean(1)
        score = np.where(forget <= run.config.request.forget_tolerance, retain, 0.0)
        np.testing.assert_array_equal(
            score[answer.selected], np.sort(score)[::-1][: run.config.request.num_selected]
        )
        about: dict[str, Any] = {"forget_set": list(labels), "selection": "selected", "statistic": "mean"}
        assert value_of(rows, **about, metric="retain_accuracy") == pytest.approx(
            retain[answer.selected].mean()
        )
        assert value_of(rows, **about, metric="forget_accuracy") == pytest.approx(
            forget[answer.selected].mean()
        )


# Rivals.


class Known(NamedTuple):
    """What rivals are made of."""

    run: Run
    hypernetwork: Hypernetwork
    zoo: Zoo


@pytest.fixture(scope="module")
def known(made: dict[str, Made]) -> Known:
    """Of DiHyFo-2."""
    run = made["dihyfo2"].run
    zoo, held_out = pipeline_zoo.split_zoo(run)
    return Known(run, stages.train_hypernetwork(run, zoo, held_out), zoo)


def test_the_checkpoint_whose_losses_are_asked_for_comes_first(known: Known) -> None:
    losses = known.zoo.losses
    asked = losses[[0, 7, len(losses) - 1]]
    found = generator_baselines.closest(known.hypernetwork, known.zoo, asked, 5)
    assert found.shape == (3, 5)
    np.testing.assert_array_equal(losses[found[:, 0]], asked)
    logs = np.log(losses.astype(np.float64) + known.run.config.hypernetwork.loss_floor)
    scores = (logs - logs.mean(0)) / logs.std(0)
    for row, place in zip(found, (0, 7, len(losses) - 1), strict=True):
        apart = np.linalg.norm(scores - scores[place], axis=1)
        np.testing.assert_allclose(apart[row], np.sort(apart)[:5], atol=1e-4)


def test_no_more_checkpoints_are_found_than_there_are(known: Known) -> None:
    few = known.zoo.spaced(3)
    assert sorted(generator_baselines.closest(known.hypernetwork, few, few.losses[:1], 9)[0]) == [0, 1, 2]


def test_every_rival_has_its_models(known: Known) -> None:
    prompt = known.zoo.losses[5]
    found = generator_baselines.of_prompt(known.run, known.hypernetwork, known.zoo, prompt)
    again = generator_baselines.of_prompt(known.run, known.hypernetwork, known.zoo, prompt)
    jax.tree.map(np.testing.assert_array_equal, found, again)
    assert list(found) == ["retrieval", "noise", "average"]
    sizes = known.run.sizes
    for models in found.values():
        shapes = [(layer["w"].shape, layer["b"].shape) for layer in models]
        widths = zip(sizes[1:], sizes[:-1], strict=True)
        assert shapes == [((8, out, into), (8, out)) for out, into in widths]
    rows = generator_baselines.closest(
        known.hypernetwork, known.zoo, prompt[None], 8 * generator_baselines.NEIGHBOURS
    )[0]
    taken = generator_baselines.models_of(known.run, known.zoo, rows)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:8]), found["retrieval"], taken)
    for ours, theirs in zip(
        jax.tree.leaves(found["noise"]), jax.tree.leaves(found["retrieval"]), strict=True
    ):
        noise, axes = np.asarray(ours - theirs), tuple(range(1, theirs.ndim))
        share = np.sqrt(np.square(noise).mean(axes) / np.square(np.asarray(theirs)).mean(axes))
        assert np.sqrt(np.square(share).mean()) == pytest.approx(generator_baselines.NOISE, rel=0.5)
    group = jax.tree.map(lambda leaf: leaf[5:10], taken)
    second = jax.tree.map(lambda leaf: leaf[1], found["average"])
    jax.tree.map(np.testing.assert_array_equal, second, retrieval.averaged(group))


def test_the_rivals_stand_beside_the_hypernetwork_the_reference_and_unseen_checkpoints(
    finished: Finished, made: dict[str, Made]
) -> None:
    found = lines_of(finished, "rivals-mnist4-dihyfo1")
    names = ["dihyfo1", "retrieval", "noise", "average", "held_out", "retrain"]
    assert [(line["forget_set"], line["method"]) for line in found] == [
        (forget, name) for forget in ("2", "2-3") for name in names
    ]
    rows = made["dihyfo1"].rows
    about: dict[str, Any] = {"forget_set": [2, 3], "metric": "retain_accuracy", "statistic": "median"}
    ours = value_of(rows, **about, method="dihyfo1", selection="all")
    assert float(found[6]["retain_accuracy"]) == ours
    assert float(found[11]["retain_accuracy"]) == value_of(rows, **about, method="retrain")
    measured = {line["method"]: line["novelty_distance"] != "" for line in found}
    assert [name for name in names if measured[name]] == ["dihyfo1", "held_out"]
    shared = [line["novelty_shared_mistakes"] for line in found if line["method"] in ("dihyfo1", "held_out")]
    assert all(0.0 <= float(share) <= 1.0 for share in shared)
    page = (finished.folder / "paper" / "rivals-mnist4-dihyfo1.md").read_text(encoding="utf-8")
    for name in ("| {2, 3} | DiHyFo-1 |", "| {2, 3} | held out |", "| {2, 3} | retrained |"):
        assert page.count(name) == 1
    assert "| 2 | DiHyFo-1 |" in page
    assert "| 3 | retrieval |" in page


@pytest.mark.parametrize("kept", [0, 3, 8])
def test_a_model_has_failed_that_remembers_or_has_lost_what_it_was_to_keep(
    made: dict[str, Made], kept: int
) -> None:
    """Of retrained models none has, by themselves; one that says the forgotten class or always the same class has."""
    one = made["dihyfo2"]
    reference = jax.tree.map(lambda leaf: leaf[:1, 2], one.reference)  # the third without {2}
    models = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), 8, axis=0), reference)
    bias = models[-1]["b"]
    bias[kept:, 2 if kept else 0] += 1e6
    ours, theirs = (
        np.asarray(classifier.class_scores_of_many(each, *on_device(one.run.dataset.test))[1])
        for each in (models, reference)
    )
    assert generator_baselines.failed(one.run, (2,), ours, theirs) == (8 - kept) / 8


# Attackers.


def test_every_attacker_tells_of_ours_and_of_the_reference(finished: Finished, made: dict[str, Made]) -> None:
    found = lines_of(finished, "attacks-mnist4-dihyfo1")
    assert [(line["forget_set"], line["metric"]) for line in found] == [
        (forget, metric) for forget in ("2", "2-3") for metric in membership_attacks.NAMES
    ]
    one = made["dihyfo1"]
    train, test = one.run.dataset.train, one.run.dataset.test
    asked, unseen = (split.images[np.isin(split.labels, (2, 3))] for split in (train, test))
    reference = jax.tree.map(lambda leaf: leaf[1], one.reference)  # without {2, 3}
    labels = np.repeat([1, 0], [len(asked), len(unseen)])
    areas = [
        roc_auc_score(labels, -np.concatenate(each))
        for each in zip(*(entropies_of(reference, images) for images in (asked, unseen)), strict=True)
    ]
    (line,) = (line for line in found if (line["forget_set"], line["metric"]) == ("2-3", "mia_auc"))
    assert float(line["reference_mean"]) == pytest.approx(np.mean(areas), abs=1e-4)
    assert float(line["reference_low"]) == pytest.approx(np.quantile(areas, 0.05), abs=1e-4)
    assert {line["place"] for line in found} <= {"below", "inside", "above"}
    page = (finished.folder / "paper" / "attacks-mnist4-dihyfo1.md").read_text(encoding="utf-8")
    assert "| {2, 3} | D_f-train against D_f-test, AUC |" in page


def entropies_of(models: classifier.Params, images: Any) -> Any:
    """[N, n] of stacked models, by SciPy."""
    return scipy.stats.entropy(jax.nn.softmax(classifier.logits_of_many(models, images)), axis=-1)


# Further seeds.


def test_further_seeds_are_trained_on_the_same_zoo_and_stand_beside_the_first(
    finished: Finished, made: dict[str, Made]
) -> None:
    first, again = (finished.folder / f"mnist4_dihyfo2{ending}" for ending in ("", "_seed1"))
    assert not (again / "zoo").exists()
    assert f"mnist4_dihyfo2_seed1: not there yet, made in {again}" in finished.told
    weights = [(place / "requests" / "forget-2" / "weights.npy").read_bytes() for place in (first, again)]
    assert weights[0] != weights[1]
    found = {line["about"]: line for line in lines_of(finished, SEEDS)}
    assert len(found) == 2 * 3 + 2 * 2
    about: dict[str, Any] = {"forget_set": [2, 3], "metric": "retain_accuracy", "statistic": "mean"}
    values = [
        value_of(
            artifacts.read_rows(place / "results.jsonl"), **about, method="dihyfo2", selection="selected"
        )
        for place in (first, again)
    ]
    line = found["{2, 3}, retain, selected, mean"]
    assert [float(line[name]) for name in ("training_0", "training_1")] == values
    told = [float(line[name]) for name in ("mean", "least", "greatest")]
    assert told == [pytest.approx(np.mean(values)), min(values), max(values)]
    (r2,) = (
        row["value"]
        for row in made["dihyfo2"].rows
        if (row["metric"], row["class"], row["statistic"]) == ("alignment_r2", 3, "mean")
    )
    assert float(found["class 3, R², mean"]["training_0"]) == r2


# Fewer pivots.


def test_what_a_pivot_forbids_is_a_dash_beside_fewer_pivots(finished: Finished) -> None:
    found = {line["about"]: line for line in lines_of(finished, PIVOTS)}
    assert list(found) == ["{0}", "{2}", "{0, 2}"]
    for forget, line in found.items():
        assert (line["selected, pivots {0, 1}"] == "") == (forget != "{2}")
    for name, pivots in (("mnist4", "pivots {0, 1}"), ("mnist4_nopivots", "no pivots")):
        rows = artifacts.read_rows(finished.folder / f"{name}_dihyfo2" / "results.jsonl")
        about: dict[str, Any] = {"forget_set": [2], "metric": "retain_accuracy"}
        selected = value_of(rows, **about, selection="selected", statistic="mean")
        reference = value_of(rows, **about, method="retrain", statistic="median")
        assert float(found["{2}"][f"selected, {pivots}"]) == selected
        assert float(found["{2}"][f"gap, {pivots}"]) == pytest.approx(reference - selected)
    worst = max(found, key=lambda forget: float(found[forget]["gap, no pivots"]))
    page = (finished.folder / "paper" / f"{PIVOTS}.md").read_text(encoding="utf-8")
    assert f"The worst with fewer pivots, of the 3 that were asked, is {worst}: " in page
    assert re.search(
        r"pivots \{0, 1\}: [\d,]+ checkpoints of \d combinations of losses, [\d,]+ training steps", page
    )
    assert re.search(
        r"no pivots: [\d,]+ checkpoints of \d+ combinations of losses, [\d,]+ training steps", page
    )
    told = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| class ")]
    assert [cells[0].strip() for cells in told] == ["class 0", "class 1", "class 2", "class 3"]
    dashes = [
        [cell.strip() == "–" for cell in cells[1:4]] for cells in told
    ]  # R² of either, and on the usual grid
    assert dashes == 2 * [[True, False, True]] + 2 * [[False, False, False]]


# Costs.


def costly(folder: Path, sample: float, retraining: float, **stage_seconds: float) -> Run:
    """A run whose seconds are told by its files."""
    folder.mkdir(exist_ok=True)
    rows = [{"stage": stage.replace("_", "-"), "seconds": told} for stage, told in stage_seconds.items()]
    artifacts.write_rows(folder / "costs.jsonl", rows)
    (folder / cost.FILE).write_text(json.dumps({"sample": sample, "retraining": retraining}))
    return on_paper(tiny(folder))


def test_it_breaks_even_where_requests_have_saved_what_it_took_to_train(tmp_path: Path) -> None:
    run = costly(
        tmp_path, 0.5, 2.0, zoo=30.0, hypernetwork=60.0, forget_2=2.0, forget_2_3=4.0, evaluation=9.0
    )
    assert cost.of(run) == {
        **{"zoo": 30.0, "training": 60.0, "request": 3.0, "sample": 0.5, "retraining": 2.0},
        "break_even": (30.0 + 60.0) / (2.0 - 0.5),
    }


@pytest.mark.parametrize("sample", [2.0, 3.0])
def test_it_never_breaks_even_if_sampling_takes_as_long_as_retraining(tmp_path: Path, sample: float) -> None:
    assert cost.of(costly(tmp_path, sample, 2.0, hypernetwork=60.0, forget_2=2.0))["break_even"] is None


def test_a_shared_zoo_counts_with_the_seconds_of_the_run_that_made_it(tmp_path: Path) -> None:
    costly(tmp_path / "first", 0.5, 2.0, zoo=30.0, hypernetwork=1.0)
    run = costly(tmp_path / "second", 0.5, 2.0, hypernetwork=60.0, forget_2=2.0)
    for folder, zoo, break_even in ((tmp_path / "first" / "zoo", 30.0, 60.0), (tmp_path / "zoo", None, 40.0)):
        shared = replace(run.config, zoo=replace(run.config.zoo, folder=str(folder)))
        found = cost.of(replace(run, config=shared))
        assert (found["zoo"], found["break_even"]) == (zoo, break_even)


def test_the_cost_of_both_hypernetworks_is_told_with_the_zoo_that_they_share(finished: Finished) -> None:
    first, second = lines_of(finished, "cost-mnist4")
    assert (first["method"], second["method"]) == ("dihyfo1", "dihyfo2")
    assert first["zoo"] == second["zoo"] != ""
    for line in (first, second):
        assert all(float(line[name]) > 0.0 for name in ("training", "request", "sample", "retraining"))
