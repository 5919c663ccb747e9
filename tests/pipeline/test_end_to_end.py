"""The whole path on a tiny setting: rows, pictures, reuse, repetition, full disks; and, marked slow, the promised numbers."""

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from configs import mnist4_base
from experiments import codec_roundtrip
from hyperforget_jax import data
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.config import CodecConfig, Config, DiffusionConfig, LoaderConfig
from hyperforget_jax.pipeline import end_to_end, training, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import validate_run_config
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.layout import flatten
from hyperforget_jax.zoo.memmap import Rows
from tests.small_run import on_paper, printed, tiny, with_distribution

pytestmark = pytest.mark.usefixtures("programs")

ROOT = Path(__file__).parents[2]
CONFIGS = {
    path.stem: load_config(path.stem) for path in sorted((ROOT / "configs").glob("*.py")) if path.stem != "__init__"
}
FORGET_SETS = [[2], [3], [2, 3]]
ACCURACIES = ["retain_accuracy", "forget_accuracy", "test_accuracy"]
AGREEMENT = ["overlap_retain", "overlap_forget", "overlap_test", "phi_jsd", "phi_jsd_nat", "phi_badt", "mia"]
BOUNDED = {*ACCURACIES, *AGREEMENT} - {"phi_badt"}
"""Metrics that lie in [0, 1] for any models."""
FIELDS = [
    *("dataset", "classifier", "method", "forget_set", "metric", "class", "selection", "statistic"),
    *("split", "protocol", "n", "value", "low", "high", "ideal"),
]
"""Of a row, in the order of methods.md, section 1."""
SPREADS = ["disagreement", "loss_spread"]
"""Measures of diversity, the second of every class."""
TESTS = [f"c2st_{view}" for view in ("outputs", "class_scores", "canonical_weights", "raw_weights")]
"""Two-sample tests, by a forest and by a logistic regression."""
RELEARNING = ["relearning_k5_s5", "relearning_k5_s10"]
PICTURES = [
    *("accuracies", "alignment", "alignment_curve", "confusion", "coverage", "learning_curves"),
    *("relearning", "two_sample"),
]
Table = list[dict[str, Any]]


def whole(folder: Path, seed: int = 0) -> Config:
    """A tiny run with every stage."""
    return with_distribution(tiny(folder, seed))


def run(config: Config) -> str:
    """Runs the path and returns what it printed."""
    return printed(config, end_to_end.run)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a tiny run; tests leave its results as they are."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    run(whole(folder))
    return folder


@pytest.fixture
def rows(straight: Path) -> Table:
    return artifacts.read_rows(straight / "results.jsonl")


def names(rows: Table, **wanted: Any) -> dict[str, set[str]]:
    """Metric -> statistics of the rows with those values."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if all(row[name.rstrip("_")] == value for name, value in wanted.items()):
            found.setdefault(row["metric"], set()).add(row["statistic"])
    return found


def test_rows_have_the_fields_of_the_protocol_and_finite_values(rows: Table) -> None:
    for row in rows:
        assert list(row) == FIELDS
        assert row["dataset"] == "digits4"
        assert row["classifier"] == "64-3-4"
        assert (row["split"], row["protocol"]) == ("test", "strict")
        assert row["method"] in ("dihyfo2", "retrain", "clean_reference", "permuted_labels")
        assert row["forget_set"] in [*FORGET_SETS, []]
        assert row["selection"] in ("all", "selected", None)
        assert row["ideal"] in (0.0, 0.5, 1.0, "reference")
        assert math.isfinite(row["value"])
        assert (row["low"] is None) == (row["high"] is None)
        if row["low"] is not None:
            assert row["low"] <= row["value"] <= row["high"]
        if row["metric"] in BOUNDED:
            assert 0.0 <= row["value"] <= 1.0


@pytest.mark.parametrize("forget", FORGET_SETS, ids=str)
@pytest.mark.parametrize(
    ("method", "selection", "count"), [("dihyfo2", "all", 8), ("dihyfo2", "selected", 2), ("retrain", None, 3)]
)
def test_every_metric_is_there_for_every_forget_set_and_selection(
    rows: Table, forget: list[int], method: str, selection: str | None, count: int
) -> None:
    about = {"method": method, "selection": selection, "forget_set": forget, "n": count, "class_": None}
    statistics = {"mean", "median", "q05", "q95"}
    assert names(rows, **about) == dict.fromkeys([*ACCURACIES, *AGREEMENT], statistics)


@pytest.mark.parametrize("forget", FORGET_SETS, ids=str)
def test_the_distribution_is_held_against_the_clean_reference(rows: Table, forget: list[int]) -> None:
    ours, clean = (
        names(rows, method=method, selection=None, forget_set=forget) for method in ("dihyfo2", "clean_reference")
    )
    tests = [*TESTS, *(f"{name}_logistic" for name in TESTS)]
    assert set(ours) == set(clean) == {*tests, *SPREADS, *(f"{name}_ratio" for name in SPREADS), *RELEARNING}
    assert names(rows, method="permuted_labels", forget_set=forget) == {name: {"value"} for name in tests}


@pytest.mark.parametrize("label", [2, 3])
def test_alignment_is_there_for_every_forgettable_class(rows: Table, label: int) -> None:
    statistics = {"mean", "median", "q05", "q95"}
    assert names(rows, class_=label, method="dihyfo2", forget_set=[], n=3, ideal=1.0) == {
        "alignment_r2": statistics | {"mean_clipped", "share_aligned"},
        "alignment_pearson": statistics,
        "alignment_pivot_accuracy": {"value"},
    }


def test_no_row_is_there_twice_or_without_being_expected(rows: Table) -> None:
    classes = 4
    unlearning = 3 * 3 * (len(ACCURACIES) + len(AGREEMENT) + 2 * classes) * 4
    alignment = 2 * (6 + 4 + 1)
    distribution = 3 * (3 * 2 * len(TESTS) + 2 * 2 * (1 + classes) + 2 * 4 * len(RELEARNING))
    keys = {json.dumps({name: row[name] for name in FIELDS[:10]}) for row in rows}
    assert len(keys) == len(rows) == unlearning + alignment + distribution


def test_accuracies_fit_together(rows: Table) -> None:
    """The accuracy on all test images is the mean of those on the two sets, weighted by their images."""
    labels = data.load(Config().data).test.labels
    for forget in FORGET_SETS:
        share = float(np.isin(labels, forget).mean())
        for selection in ("all", "selected"):
            retain, forgotten, everything = (value(rows, metric, "mean", forget, selection) for metric in ACCURACIES)
            assert everything == pytest.approx((1 - share) * retain + share * forgotten, abs=1e-6)


def test_pictures_report_and_tables_are_there(straight: Path) -> None:
    for name in PICTURES:
        assert (straight / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (straight / "figures" / f"{name}.svg").read_text()[:1000]
    page = (straight / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert page.count("<figure") >= len(PICTURES)
    assert 'id="distribution"' in page
    tables = (straight / "results.md").read_text()
    assert "{2, 3}" in tables
    assert "C2ST canonical weights, forest" in tables


def test_artifacts_are_whole_and_tell_how_they_were_made(straight: Path) -> None:
    manifests = sorted(path.parent for path in straight.rglob(artifacts.MANIFEST))
    places = [str(folder.relative_to(straight)) for folder in manifests]
    clean, requests = (
        [f"{kind}/forget-{name}" for name in ("2", "2-3", "3")] for kind in ("clean_reference", "requests")
    )
    blocks = ["zoo/block-00000", "zoo/block-00001"]
    assert places == ["alignment", *clean, "distribution", "hypernetwork", "reference", *requests, *blocks]
    flat = json.loads((straight / "config.json").read_text())["identity"]
    for folder in manifests:
        made_from = artifacts.verify(folder)["made_from"]
        of_zoo = folder.parent.name in ("zoo", "clean_reference")
        decides = workdir.zoo_identity(whole(straight)) if of_zoo else flat
        assert {name: made_from[name] for name in decides} == decides
    assert list(straight.rglob("*.partial")) == []


def test_every_stage_has_its_cost(straight: Path) -> None:
    costs = artifacts.read_rows(straight / "costs.jsonl")
    stages_run = {
        "zoo",
        "hypernetwork",
        "prompts",
        "reference models",
        "clean reference",
        "evaluation",
        "alignment",
        "distribution",
    }
    assert {row["stage"] for row in costs} == stages_run | {"forget-2", "forget-3", "forget-2-3"}
    assert all(row["seconds"] > 0 for row in costs)


def test_a_second_run_does_nothing_again(straight: Path) -> None:
    before = (straight / "results.jsonl").read_bytes()
    weights = [(path, path.stat().st_mtime_ns) for path in sorted(straight.rglob("*.np[yz]"))]
    told = run(whole(straight))
    for stage in (
        "zoo",
        "hypernetwork",
        "reference models",
        "clean reference forget-2",
        "forget-2",
        "forget-3",
        "forget-2-3",
        "alignment",
        "distribution",
    ):
        assert f"{stage}: reused from " in told
    assert (straight / "results.jsonl").read_bytes() == before
    assert [(path, path.stat().st_mtime_ns) for path in sorted(straight.rglob("*.np[yz]"))] == weights


@pytest.mark.slow
def test_dihyfo1_answers_the_same_requests_from_the_same_zoo(straight: Path, rows: Table, tmp_path: Path) -> None:
    """With the paper's codec and conditioning, dropped classes and guidance."""
    base = whole(tmp_path)
    config = replace(
        base,
        zoo=replace(base.zoo, folder=str(straight / "zoo")),
        codec=CodecConfig(kind="raw", chunk_size=24),
        hypernetwork=replace(base.hypernetwork, kind="dihyfo1", conditioning="tokens"),
        diffusion=DiffusionConfig(class_dropout=0.1, full_dropout=0.1, weighting="min_snr"),
        training=replace(base.training, untrained=16),
        sampling=replace(base.sampling, guidance_scale=1.5),
    )
    assert "zoo: reused from " in run(config)
    ours = artifacts.read_rows(tmp_path / "results.jsonl")
    assert all(math.isfinite(row["value"]) for row in ours)

    def about(table: Table) -> Table:
        return [{name: row[name] for name in FIELDS[:11] if name != "method"} for row in table]

    assert about(ours) == about(rows)
    assert {row["method"] for row in ours} == {"dihyfo1", "retrain", "clean_reference", "permuted_labels"}
    told = run(config)
    for stage in ("hypernetwork", "reference models", "forget-2-3"):
        assert f"{stage}: reused from " in told
    assert "{2, 3}" in (tmp_path / "results.md").read_text()


def test_another_seed_gives_other_models(straight: Path, tmp_path: Path) -> None:
    config = whole(tmp_path, seed=1)
    zoo = pipeline_zoo.make_zoo(on_paper(config))
    block = np.load(straight / "zoo" / "block-00000" / "weights.npy", allow_pickle=False)
    assert not np.isin(np.asarray(zoo.weights)[:, 0], block[:, 0]).any()


def test_a_zoo_larger_than_memory_gives_the_same_hypernetwork(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never more than a batch of it is read once the codec and the probe are fitted."""
    shutil.copytree(straight / "zoo", tmp_path / "zoo")
    config = replace(whole(tmp_path), loader=LoaderConfig(memory_gib=0.0))
    job = on_paper(config)
    known, held_out = pipeline_zoo.make_zoo(job).split(config.zoo.runs, config.zoo.validation_share)
    reads, read = [], Rows.read

    def counted(rows: Rows, places: Any) -> Any:
        values = read(rows, places)
        reads.append(len(values))
        return values

    monkeypatch.setattr(Rows, "read", counted)
    training.train_hypernetwork(job, known, held_out)
    size = config.training.batch_size
    assert sorted({*reads}) == [size, 4 * size, len(known)]
    assert reads.count(len(known)) == 2
    for name in ("model", "codec", "conditioning", "zoo_statistics", "prompt_book"):
        ours, theirs = (folder / "hypernetwork" / f"{name}.safetensors" for folder in (tmp_path, straight))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_codec_is_fitted_on_checkpoints_from_the_whole_training_part(
    straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = on_paper(whole(straight))
    zoo = pipeline_zoo.make_zoo(job)
    seen = []
    monkeypatch.setattr(codec, "FITTED_ON", 4)
    monkeypatch.setattr(codec, "fit", lambda _, sizes, models, images, labels: seen.append(models))
    training.fit_codec(job, zoo, job.config.codec)
    count = len(zoo)
    expected = zoo.weights.read(np.array([0, count // 4, count // 2, 3 * count // 4]))
    np.testing.assert_array_equal(jax.vmap(flatten)(seen[0]), expected)


def test_the_round_trip_experiment_leaves_its_table(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(straight / "zoo", tmp_path / "zoo")
    monkeypatch.setattr(codec_roundtrip, "BASIS_SIZES", (2, 65))
    codec_roundtrip.run(on_paper(whole(tmp_path)))
    coarse, fine = artifacts.read_rows(tmp_path / "roundtrip.jsonl")
    assert (coarse["basis_size"], fine["basis_size"]) == (2, 65)
    assert fine["log_loss_change_q95"] < 0.01 < coarse["log_loss_change_q95"]
    assert abs(fine["accuracy_lost"]) < 0.01


def test_a_damaged_artifact_is_named(straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(straight, folder)
    path = folder / "reference" / "weights.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert run_job("hyperforget tiny", whole(folder), end_to_end.run, []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} does not match the checksum" in line


def breaks(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: Callable[..., bool], error: Exception) -> None:
    """Makes a function fail at the first call for whose arguments `when` holds; later calls work."""
    original, armed = getattr(owner, name), [True]

    def function(*args: Any, **kwargs: Any) -> Any:
        if armed[0] and when(*args):
            armed[0] = False
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, function)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
SHORT = OSError("1616 requested and 512 written")
"""What numpy raises on a full disk when it writes an array straight to a file; it has no errno."""
EXHAUSTED = ValueError(
    'RESOURCE_EXHAUSTED: Error writing "params/0" in OCDBT database at local file "/run/": '
    "Failed to write 555193 bytes to file 7: No space left on device [os_error_code='28']"
)
"""What orbax raises on a full disk."""


@pytest.mark.slow
def test_a_run_that_full_disks_stop_again_and_again_ends_like_any_other(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    zoo, request = "block-00001.partial/losses.npy", "forget-3.partial/weights.npy"
    faults: list[tuple[Any, str, Callable[..., bool], Exception, str]] = [
        (np, "save", lambda path, *_: str(path).endswith(zoo), SHORT, "zoo/block-00001"),
        (ocp.CheckpointManager, "save", lambda _, step: step == 4, EXHAUSTED, "hypernetwork"),
        (Path, "write_bytes", lambda path, *_: path.name == "codec.safetensors", FULL, "hypernetwork"),
        (np, "save", lambda path, *_: str(path).endswith(request), SHORT, "requests/forget-3"),
        (Path, "replace", lambda path, _: path.name == "results.jsonl.partial", FULL, "results.jsonl"),
        (Path, "open", lambda path, *_: path.name == "report.html.partial", FULL, "report.html"),
    ]
    for owner, name, when, error, absent in faults:
        breaks(monkeypatch, owner, name, when, error)
        assert run_job("hyperforget tiny", whole(folder), end_to_end.run, []) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: cannot write ")
        assert "the disk is full" in line
        assert not (folder / absent).exists()
        for manifest in folder.rglob(artifacts.MANIFEST):
            if manifest.parent.suffix != ".partial":
                artifacts.verify(manifest.parent)
    assert run_job("hyperforget tiny", whole(folder), end_to_end.run, []) == 0
    assert (folder / "results.jsonl").read_bytes() == (straight / "results.jsonl").read_bytes()
    assert (folder / "report.html").exists()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_can_run(name: str) -> None:
    validate_run_config(CONFIGS[name])


def test_every_config_has_its_own_workdir() -> None:
    assert len({config.workdir for config in CONFIGS.values()}) == len(CONFIGS)


def test_mnist4_can_run_on_the_idx_files(mnist_dir: Path) -> None:
    config = mnist4_base.get_config()
    validate_run_config(replace(config, data=replace(config.data, dir=str(mnist_dir))))


def value(
    rows: Table, metric: str, statistic: str, forget: list[int], selection: str | None, class_: int | None = None
) -> float:
    """The value of the one row that is meant; without a selection, a row of the reference models or of alignment."""
    (found,) = (
        row["value"]
        for row in rows
        if (row["metric"], row["statistic"], row["forget_set"]) == (metric, statistic, forget)
        and (row["selection"], row["class"]) == (selection, class_)
    )
    return float(found)


def run_for_real(folder: Path, *arguments: str) -> Table:
    """Runs the command as a person does, on the devices there are, and returns its rows."""
    environment = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
    line = [sys.executable, "-m", "hyperforget_jax", *arguments, "--workdir", str(folder)]
    subprocess.run(line, cwd=ROOT, env=environment, check=True)
    return artifacts.read_rows(folder / "results.jsonl")


def forgets_and_retains(rows: Table, margin: float) -> None:
    """The promise for unselected samples: they forget, and retain like the reference models."""
    for forget in FORGET_SETS:
        assert value(rows, "forget_accuracy", "mean", forget, "all") <= 0.005
        retained = value(rows, "retain_accuracy", "median", forget, "all")
        assert abs(retained - value(rows, "retain_accuracy", "median", forget, None)) <= margin


@pytest.mark.slow
def test_quickstart_keeps_its_promise(tmp_path: Path) -> None:
    forgets_and_retains(run_for_real(tmp_path / "run", "quickstart"), margin=0.02)


@pytest.mark.slow
def test_mnist4_keeps_its_promise(tmp_path: Path, mnist_dir: Path) -> None:
    rows = run_for_real(tmp_path / "run", "run", "--config", "mnist4_base", "--data.dir", str(mnist_dir))
    forgets_and_retains(rows, margin=0.01)
    for forget in FORGET_SETS:
        reference = value(rows, "retain_accuracy", "median", forget, None)
        assert value(rows, "retain_accuracy", "mean", forget, "selected") >= reference
    for label in (2, 3):
        assert value(rows, "alignment_r2", "mean", [], None, label) >= 0.8
        assert value(rows, "alignment_pearson", "mean", [], None, label) >= 0.93
