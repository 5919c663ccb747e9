"""The coverage report: sums that agree with the zoo, reasons by hand, rounding against plain numpy, every file in its place."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hyperforget_jax.config import ClassifierConfig, Config, DataConfig, TaskConfig, ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import workdir, zoo_report
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import zoo_tables
from hyperforget_jax.weights.layout import num_weights
from hyperforget_jax.zoo import coverage, storage
from hyperforget_jax.zoo.memmap import Rows
from hyperforget_jax.zoo.storage import Zoo
from tests.small_run import on_paper

PROTOCOL = ZooConfig(
    runs=26,
    runs_per_block=13,  # which one device trains: a program for one compiles faster
    epochs=30.0,
    batch_size=64,
    snapshots=8,
    learning_rate=(1e-2, 2e-2),
    min_per_combination=5,
    min_clean_runs=0,
)
FILES = {
    *("coverage.md", "coverage.json"),
    *(
        f"figures/{name}.{kind}"
        for name in ("coverage", "clean_runs", "losses", "resampling")
        for kind in ("png", "svg")
    ),
}


@dataclass(frozen=True)
class Census:
    """A report: where, on what, what it printed and the numbers it left."""

    run: Run
    zoo: Zoo
    printed: str
    numbers: dict[str, Any]


def take(run: Run, zoo: Zoo) -> Census:
    """Makes the report."""
    paper = io.StringIO()
    zoo_report.report(replace(run, console=Console(file=paper, width=200)), zoo)
    numbers = json.loads((run.folder / "coverage.json").read_text(encoding="utf-8"))
    return Census(run, zoo, paper.getvalue(), numbers)


def begin(config: Config) -> Run:
    """A run in its own workdir."""
    workdir.acquire_workdir(config)
    return on_paper(config)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Census:
    """The report on a zoo of digits that was trained and selected."""
    run = begin(Config(workdir=str(tmp_path_factory.mktemp("built")), zoo=PROTOCOL))
    return take(run, pipeline_zoo.make_zoo(run))


def invented(folder: Path, pivots: tuple[int, ...], count: int, *, classes: int = 4, dtype: Any = "float32") -> Census:
    """The report on a zoo of random models with random scores; of twice as many snapshots as it kept."""
    config = Config(
        workdir=str(folder),
        data=DataConfig(classes=tuple(range(classes))),
        task=TaskConfig(pivots=pivots, forget_sets=((3,),)),
        classifier=ClassifierConfig(hidden=(2,)),
        zoo=replace(PROTOCOL, dtype=dtype, min_per_combination=0),
    )
    run, noise = begin(config), np.random.default_rng(0)
    zoo = Zoo(
        Rows([noise.normal(size=(count, num_weights(run.sizes))).astype(np.float32)]),
        noise.exponential(2.0, (count, classes)).astype(np.float32),
        noise.random((count, classes)).astype(np.float32),
        np.arange(count, dtype=np.int32),
        np.ones(count, np.float32),
        noise.integers(0, 2, (count, classes)).astype(np.float32),
        np.full(count, 0.01, np.float32),
    )
    kept = coverage.counts(coverage.combination(zoo.accuracies, run.forgettable), len(run.forgettable))
    tally = {"trained": (2 * kept).tolist(), "good": (2 * kept).tolist(), "kept": kept.tolist()}
    workdir.zoo_path(config).mkdir()
    with storage.new_summary(workdir.zoo_path(config)) as summary:
        summary.update(
            tally,
            made_from={},
            blocks=0,
            added_blocks=0,
            checkpoints=count,
            clean_codes=[*range(1, 2 ** len(run.forgettable))][:256],
        )
    return take(run, zoo)


def files(folder: Path) -> set[str]:
    """What the report left."""
    places = [*folder.glob("coverage.*"), *folder.glob("figures/*")]
    return {str(path.relative_to(folder)) for path in places}


# Numbers.


def test_every_file_is_there_and_the_same_a_second_time(built: Census) -> None:
    folder = built.run.folder
    assert files(folder) == FILES
    before = {name: (folder / name).read_bytes() for name in FILES}
    take(built.run, built.zoo)
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_combinations_are_counted_as_the_zoo_has_them(built: Census) -> None:
    rows, accuracies = built.numbers["combinations"], built.zoo.accuracies
    high = accuracies[:, [2, 3]] <= 0.5
    for row, wanted in zip(rows, ([False, False], [True, False], [False, True], [True, True]), strict=True):
        assert row["kept"] == (high == wanted).all(1).sum()
        assert row["share"] == row["kept"] / len(built.zoo)
        assert row["trained"] >= row["good"] >= row["kept"]
    assert [row["combination"] for row in rows] == [
        *("2 low, 3 low", "2 high, 3 low", "2 low, 3 high", "2 high, 3 high")
    ]
    added = len(list(workdir.zoo_path(built.run.config).glob("block-*"))) - 2
    assert sum(row["trained"] for row in rows) == (26 + 13 * added) * 8
    assert built.numbers["checkpoints"] == len(built.zoo) == sum(row["kept"] for row in rows)
    assert built.numbers["least_share"] == min(row["share"] for row in rows)


def test_clean_runs_are_those_whose_last_checkpoint_never_saw_the_set_alone(built: Census) -> None:
    rows, zoo = built.numbers["clean_runs"], built.zoo
    assert [row["forget_set"] for row in rows] == ["{2}", "{3}", "{2, 3}"]
    for row, forget in zip(rows, ([2], [3], [2, 3]), strict=True):
        others = [label for label in range(4) if label not in forget]
        full = np.isclose(zoo.exposures[:, others], zoo.progress[:, None], rtol=0.0, atol=1e-6).all(1)
        clean = (zoo.exposures[:, forget] == 0.0).all(1) & full
        last, held_out = zoo.progress == 1.0, (zoo.run >= 23) & (zoo.run < 26)  # a tenth of 26 runs
        assert row["checkpoints"] == clean.sum()
        assert row["runs"] == len(set(zoo.run[clean & last & ~held_out].tolist()))
        assert row["held_out_runs"] == len(set(zoo.run[clean & last & held_out].tolist()))
    assert sum(row["checkpoints"] for row in rows) > 0


def test_a_combination_that_is_held_out_says_so() -> None:
    summary = {
        "trained": [9, 9, 9, 0],
        "good": [9, 9, 9, 0],
        "kept": [9, 9, 0, 0],
        "checkpoints": 18,
        "added_blocks": 0,
    }
    found = zoo_tables.combinations(summary, (2, 3), ZooConfig(held_out_sets=((3, 2),)))["short_because"].tolist()
    assert found[:2] == [None, None]
    assert found[2] == "9 were good, 0 of these kept: raise zoo.selection_probability"
    assert found[3] == "no run is aimed at it: it contains one of zoo.held_out_sets"


def test_every_class_has_every_checkpoint_in_one_loss_level(built: Census) -> None:
    rows, losses = built.numbers["losses"], built.zoo.losses
    assert [row.pop("class") for row in rows] == [0, 1, 2, 3]
    assert [sum(row.values()) for row in rows] == [len(built.zoo)] * 4
    assert rows[2]["below 0.1"] == (losses[:, 2] < np.float32(0.1)).sum()
    assert rows[3]["1 to 2"] == ((losses[:, 3] >= 1.0) & (losses[:, 3] < 2.0)).sum()
    assert rows[3]["from 8"] == (losses[:, 3] >= 8.0).sum()


def test_resampling_is_what_drawing_every_group_equally_often_gives(built: Census) -> None:
    rows, zoo = built.numbers["resampling"], built.zoo
    means = zoo.losses.astype(np.float64).mean(1)
    lows, highs = (np.array([row[end] for row in rows]) for end in ("from", "to"))
    assert (lows[0], highs[-1]) == pytest.approx((means.min(), means.max()))
    np.testing.assert_array_equal(lows[1:], highs[:-1])
    level = np.searchsorted(highs[:-1], means, side="right")
    counts = np.bincount(level, minlength=20)
    np.testing.assert_allclose([row["share_none"] for row in rows], counts / len(zoo), atol=1e-12)
    used = counts > 0
    np.testing.assert_allclose([row["share_losses"] for row in rows], used / used.sum(), atol=1e-12)
    high = zoo.accuracies[:, [2, 3]] <= 0.5
    within = [
        np.bincount(level[(high == code).all(1)], minlength=20) / (high == code).all(1).sum()
        for code in ([0, 0], [0, 1], [1, 0], [1, 1])
    ]
    np.testing.assert_allclose([row["share_combinations"] for row in rows], np.mean(within, axis=0), atol=1e-12)


def scores(weights: np.ndarray[Any, Any], images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Any:
    """Losses and accuracies [4] of a 64-3-4 model, in plain numpy."""
    w1, b1, w2, b2 = np.split(weights.astype(np.float64), np.cumsum((64 * 3, 3, 3 * 4)))
    logits = np.maximum(images @ w1.reshape(3, 64).T + b1, 0.0) @ w2.reshape(4, 3).T + b2
    own = logits[np.arange(len(labels)), labels]
    losses, hits = np.log(np.exp(logits).sum(1)) - own, logits.argmax(1) == labels
    return np.array([(losses[labels == label].mean(), hits[labels == label].mean()) for label in range(4)]).T


def test_the_effect_of_rounding_is_that_of_a_model_rounded_by_hand(built: Census) -> None:
    validation, weights = built.run.dataset.validation, np.asarray(built.zoo.weights)
    rounded = {
        "float32": weights,
        "bfloat16": np.asarray(jnp.asarray(weights).astype(jnp.bfloat16).astype(jnp.float32)),
        "float16": weights.astype(np.float16).astype(np.float32),
    }
    assert [row["weights"] for row in built.numbers["precision"]] == list(rounded)
    for row in built.numbers["precision"]:
        found = np.array([scores(each, validation.images, validation.labels) for each in rounded[row["weights"]]])
        change = np.abs(np.log(found[:, 0] + 1e-3) - np.log(built.zoo.losses + 1e-3))
        lost = built.zoo.accuracies - found[:, 1]
        assert row["checkpoints"] == len(weights)
        assert row["log_loss_change_median"] == pytest.approx(np.median(change), rel=0.01, abs=1e-5)
        assert row["log_loss_change_q95"] == pytest.approx(np.quantile(change, 0.95), rel=0.01, abs=1e-5)
        assert row["log_loss_change_max"] == pytest.approx(change.max(), rel=0.01, abs=1e-4)
        assert row["accuracy_lost_mean"] == pytest.approx(lost.mean(), abs=1e-4)
    still, coarse, fine = (row["log_loss_change_q95"] for row in built.numbers["precision"])
    assert still < 1e-5 < fine < coarse < 0.1


def test_of_a_large_zoo_only_a_sample_of_the_weights_is_read(built: Census, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, read = [], Rows.read

    def counted(rows: Rows, places: Any) -> Any:
        reads.append(read(rows, places))
        return reads[-1]

    monkeypatch.setattr(Rows, "read", counted)
    monkeypatch.setattr(zoo_report, "ROUNDED", 3)
    count = len(built.zoo)
    expected = built.zoo.weights.read(np.array([0, count // 3, 2 * count // 3]))
    reads.clear()
    rows = zoo_report.precision(built.run, built.zoo)
    assert rows["checkpoints"].tolist() == [3] * 3
    assert [len(each) for each in reads] == [3]
    np.testing.assert_array_equal(reads[0], expected)


# Odd zoos.


def test_one_forgettable_class_is_enough(tmp_path: Path) -> None:
    made = invented(tmp_path, (0, 1, 2), 50)
    assert [row["combination"] for row in made.numbers["combinations"]] == ["3 low", "3 high"]
    assert files(tmp_path) == FILES


def test_of_many_combinations_the_rarest_are_printed_and_the_files_have_all(tmp_path: Path) -> None:
    made = invented(tmp_path, (), 400, classes=10)
    rows = made.numbers["combinations"]
    assert len(rows) == 1024
    assert sum(row["kept"] for row in rows) == 400
    empty = [row for row in rows if row["kept"] == 0]
    shown = [line.strip() for line in made.printed.splitlines() if line.strip().startswith(("0 low", "0 high"))]
    assert [line[: line.index("  ")] for line in shown] == [row["combination"] for row in empty[:16]]
    assert f"short: {empty[0]['combination']} and {len(empty) - 1} others: no run reached it" in made.printed
    assert f"400 checkpoints; {len(empty)} of 1,024 combinations have none" in made.printed
    page = (tmp_path / "coverage.md").read_text(encoding="utf-8")
    assert all(f"\n| {row['combination']} " in page for row in rows)
    assert files(tmp_path) == FILES


def test_an_empty_zoo_has_a_report_that_says_why(tmp_path: Path) -> None:
    made = invented(tmp_path, (0, 1), 0)
    assert made.numbers["least_share"] == 0.0
    assert {row["kept"] for row in made.numbers["combinations"]} == {0}
    assert "0 checkpoints; 4 of 4 combinations have none" in made.printed
    assert "short: 2 low, 3 low and 3 others: no run reached it" in made.printed
    assert files(tmp_path) == {name for name in FILES if "resampling" not in name}


def test_rounded_weights_are_not_rounded_again(tmp_path: Path) -> None:
    made = invented(tmp_path, (0, 1), 20, dtype="bfloat16")
    assert "precision" not in made.numbers
    assert "not measured, that takes checkpoints of float32; zoo.dtype is bfloat16" in made.printed
    assert files(tmp_path) == FILES


def test_a_file_in_the_place_of_the_figures_names_the_remedy(built: Census, tmp_path: Path) -> None:
    (tmp_path / "figures").touch()
    with pytest.raises(HyperForgetError, match="choose another workdir"):
        take(replace(built.run, folder=tmp_path), built.zoo)


# Words.


@pytest.mark.parametrize(
    ("added", "tally", "said"),
    [
        (0, (200, 150, 100), None),
        (8, (0, 0, 0), "no run reached it, 8 added blocks included: raise zoo.max_added_blocks or zoo.epochs"),
        (1, (0, 0, 0), "no run reached it, nor one aimed at it: raise zoo.epochs or widen classifier.hidden"),
        (
            1,
            (5000, 99, 80),
            "5,000 of the snapshots had it, 99 of these passed zoo.pivot_accuracy 0.8: lower it, or raise zoo.epochs",
        ),
        (
            1,
            (9, 0, 0),
            "9 of the snapshots had it, 0 of these passed zoo.pivot_accuracy 0.8: lower it, or raise zoo.epochs",
        ),
        (1, (5000, 4000, 99), "4,000 were good, 99 of these kept: raise zoo.selection_probability"),
        (8, (99, 99, 99), "99 of the snapshots had it, 8 added blocks included: raise zoo.max_added_blocks"),
        (2, (60, 7, 3), "60 of the snapshots had it, but the last block aimed at it kept none: raise zoo.runs"),
    ],
)
def test_what_makes_a_combination_short_by_hand(added: int, tally: tuple[int, int, int], said: str | None) -> None:
    assert zoo_tables.reason(ZooConfig(min_per_combination=100), added, *tally) == said


def test_an_empty_combination_is_told_even_if_none_was_demanded() -> None:
    assert zoo_tables.reason(ZooConfig(), 0, 9, 9, 1) is None
    assert zoo_tables.reason(ZooConfig(), 0, 0, 0, 0) == (
        "no run reached it: set zoo.min_per_combination, which aims blocks at it"
    )
    assert zoo_tables.reason(ZooConfig(), 0, 9, 9, 0) == (
        "9 were good, 0 of these kept: raise zoo.selection_probability"
    )


def test_caps_are_named_if_they_are_set() -> None:
    capped = ZooConfig(max_per_bin=3, max_per_combination=4, min_per_combination=100)
    assert zoo_tables.reason(capped, 0, 500, 400, 30) == (
        "400 were good, 30 of these kept: raise zoo.selection_probability or zoo.max_per_bin or zoo.max_per_combination"
    )


def test_exactly_the_short_combinations_of_a_summary_have_a_reason(built: Census) -> None:
    summary = storage.read_summary(workdir.zoo_path(built.run.config))
    assert summary is not None
    for demanded in (1, 30, 60, 90, 10_000):
        config = replace(PROTOCOL, min_per_combination=demanded)
        rows = zoo_tables.combinations(summary, (2, 3), config)
        assert rows["short_because"].notna().tolist() == [kept < demanded for kept in summary["kept"]]


def test_the_page_has_a_table_for_each_part(built: Census) -> None:
    page = (built.run.folder / "coverage.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    row = built.numbers["combinations"][0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    numbers = [str(row[name]) for name in ("trained", "good", "kept")]
    assert ["2 low, 3 low", *numbers, f"{row['share']:.2%}", ""] in cells
    assert sum(line.startswith(("|:--", "|--")) for line in lines) == 5
    assert f"{len(built.zoo):,} checkpoints; the rarest of 4 combinations has " in page
    widths = {line.count("|") for line in lines if line.startswith("|")}
    # one more than columns: 6 of combinations, 4 of clean runs, 8 of levels, 5 of draws, 7 of types
    assert widths == {7, 5, 9, 6, 8}


def test_texts_by_hand() -> None:
    numbers = {"class": 1234, "n": 1234567, "share": 0.00519, "share_none": 1.34e-5, "x": 0.0012345}
    printed = zoo_tables.texts(pd.DataFrame([numbers | {"why": None}], dtype=object))
    assert printed.iloc[0].tolist() == ["1234", "1,234,567", "0.52%", "0.001%", "0.00123", ""]


def test_the_rarest_combination_is_named_in_the_headline(built: Census) -> None:
    rows = [{"combination": "2 low", "kept": 995, "share": 0.995}, {"combination": "2 high", "kept": 5, "share": 0.005}]
    assert (
        zoo_tables.headline(pd.DataFrame(rows)) == "1,000 checkpoints; the rarest of 2 combinations has 0.50% (2 high)"
    )
    assert built.printed.splitlines()[-2] == zoo_tables.headline(pd.DataFrame(built.numbers["combinations"]))
