"""The ablation on a tiny grid: every cell once, and not again; batches, table and figure whose values are known."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.axes import Axes as Panel
from matplotlib.colors import to_hex

from configs.ablation import get_config
from experiments import ablation
from experiments.ablation import Axes, Cell, sampled, trained
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.config import CodecConfig, Config, DiffusionConfig
from hyperforget_jax.diffusion.hypernetwork import Start
from hyperforget_jax.pipeline import alignment as align
from hyperforget_jax.pipeline import sample_quality, workdir
from hyperforget_jax.pipeline.run import Run, validate_run_config
from hyperforget_jax.pipeline.sample_quality import in_batches, measure
from hyperforget_jax.report import figures
from hyperforget_jax.report.style import FAINT, LEVEL, OURS, REFERENCE
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, printed, tiny

pytestmark = pytest.mark.usefixtures("programs")

AXES = Axes(guidance=(1.0, 2.0), samplers=(("ddpm", 4), ("ddim", 2)))
MEASURED = [
    *("r2_2", "pearson_2", "r2_3", "pearson_3"),
    *("retain_2", "forget_2", "retain_3", "forget_3", "retain_2-3", "forget_2-3"),
    *("seconds", "models", "models_per_second"),
]
BOUNDS = {"r2": (-1e9, 1.0), "pearson": (-1.0, 1.0), "retain": (0.0, 1.0), "forget": (0.0, 1.0)}
Row = dict[str, Any]


def setting(folder: Path) -> Config:
    """Everything tiny; a process of four timesteps."""
    base = tiny(folder)
    return replace(
        base,
        codec=CodecConfig(basis_size=8, chunk_size=24),
        diffusion=DiffusionConfig(timesteps=4, class_dropout=0.1, full_dropout=0.1),
        request=replace(base.request, samples=4),
    )


def work(folder: Path, axes: Axes) -> str:
    """Runs the ablation and returns what it printed."""
    return printed(setting(folder), partial(ablation.run, axes=axes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a grid of sixteen cells; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    work(folder, AXES)
    return folder


# The grid.


def test_the_default_is_the_grid_of_the_issue() -> None:
    cells = Axes().cells()
    assert len(set(cells)) == len(cells) == 2 * 2 * 2 * 4
    assert cells[0] == Cell("functional", "x0", 1.0, "ddpm", 1000)
    assert {cell[3:] for cell in cells} == {("ddpm", 1000), ("ddim", 100), ("ddim", 25), ("ddim", 10)}
    for cell in cells:
        validate_run_config(sampled(get_config(), cell))


def test_cells_share_a_zoo_and_those_of_one_training_share_a_folder() -> None:
    base = get_config()
    settings = [trained(base, cell) for cell in Axes().cells()]
    assert {workdir.zoo_path(config) for config in settings} == {workdir.zoo_path(base)}
    objectives = {
        Path(config.workdir).name: (config.codec.kind, config.diffusion.prediction, config.diffusion.weighting)
        for config in settings
    }
    assert objectives == {
        "functional-x0": ("functional", "x0", "uniform"),
        "functional-v": ("functional", "v", "min_snr"),
        "raw-x0": ("raw", "x0", "uniform"),
        "raw-v": ("raw", "v", "min_snr"),
    }
    assert {config.sampling for config in settings} == {base.sampling}


def test_every_cell_has_its_row_with_every_measure(finished: Path) -> None:
    rows = artifacts.read_rows(finished / "ablation.jsonl")
    assert [Cell(*(row[name] for name in Cell._fields)) for row in rows] == AXES.cells()
    for row in rows:
        assert list(row) == [*Cell._fields, *MEASURED, "device"]
        assert row["models"] == 13
        assert row["seconds"] > 0.0
        assert row["models_per_second"] == pytest.approx(13 / row["seconds"])
        for name, (low, high) in BOUNDS.items():
            assert all(low <= row[each] <= high for each in MEASURED if each.startswith(name))
    values = {tuple(row[name] for name in MEASURED[:10]) for row in rows}
    assert len(values) == len(rows)  # no two cells are the same hypernetwork sampled the same way


def test_every_training_is_an_artifact_and_the_zoo_is_made_once(finished: Path) -> None:
    folders = {str(path.parent.relative_to(finished)) for path in finished.rglob(artifacts.MANIFEST)}
    trainings = {f"{tokens}-{of}/hypernetwork" for tokens in ("functional", "raw") for of in ("x0", "v")}
    assert folders == trainings | {"zoo/block-00000", "zoo/block-00001"}


def test_the_table_has_a_line_per_cell_and_the_figure_is_there(finished: Path) -> None:
    page = (finished / "ablation.md").read_text()
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith(("| functional", "| raw"))]
    assert [(line[0][2:], line[1][:2].strip(","), float(line[2]), line[3]) for line in lines] == [
        (cell.tokens, cell.objective, cell.guidance, f"{cell.sampler.upper()} {cell.steps}") for cell in AXES.cells()
    ]
    assert {len(line) for line in lines} == {4 + len(MEASURED) - 1}  # models stand above the table
    assert "Seconds to sample 13 models" in page
    assert (finished / "figures" / "ablation.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (finished / "figures" / "ablation.svg").read_text()[:1000]


def test_a_second_run_reuses_every_row_and_every_training(finished: Path) -> None:
    before = (finished / "ablation.jsonl").read_bytes()
    told = work(finished, AXES)
    for cell in AXES.cells():
        assert f"{cell}: reused from {finished / 'ablation.jsonl'}" in told
    assert told.count("hypernetwork: reused from ") == 4
    assert "zoo: reused from " in told
    assert "steps/s" not in told
    assert "models/s" not in told
    assert (finished / "ablation.jsonl").read_bytes() == before


def test_a_stopped_grid_goes_on_where_it_was_and_measures_the_same(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the seconds; and a narrower grid leaves the rows of the others in the file."""
    path, made = finished / "ablation.jsonl", []
    stored = path.read_bytes()
    rows = artifacts.read_rows(path)

    def counted(run: Run, name: str, *others: Any) -> dict[str, float]:
        made.append(name)
        return measure(run, name, *others)

    monkeypatch.setattr(sample_quality, "measure", counted)
    try:
        artifacts.write_rows(path, rows[1:])
        work(finished, Axes(("functional",), ("x0",), AXES.guidance, AXES.samplers))
        found = artifacts.read_rows(path)
    finally:
        path.write_bytes(stored)
    assert made == [str(AXES.cells()[0])]
    assert found[:-1] == rows[1:]
    for name in (*Cell._fields, *MEASURED[:10]):
        assert found[-1][name] == pytest.approx(rows[0][name], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--diffusion.full-dropout", "0"], "sampling.guidance_scale is 2.0, but training never drops a whole"),
        (["--diffusion.timesteps", "3"], "sampling.steps is 4: choose 1 to diffusion.timesteps = 3"),
        (["--codec.chunk-size", "32"], "codec.chunk_size is 32: choose less than hypernetwork.hidden_size, 32"),
        (["--hypernetwork.metric", "mean_loss"], "hypernetwork.metric is mean_loss: "),
    ],
)
def test_a_config_that_cannot_serve_every_cell_is_refused_before_any_work(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, refuse = partial(ablation.run, axes=AXES), partial(ablation.validate, axes=AXES)
    assert run_job("tiny", setting(tmp_path / "run"), job, arguments, refuse) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "run").exists()


def test_without_guidance_no_dropout_is_needed() -> None:
    config = replace(get_config(), diffusion=DiffusionConfig())
    for cell in Axes(guidance=(1.0,)).cells():
        validate_run_config(sampled(config, cell))


# One cell.


def obedient(
    draws: jax.Array, losses: jax.Array, on_models: Callable[[int], None], start: Start | None = None
) -> Params:
    """Models without hidden units that matter: their output biases alone decide, and are the losses, negated."""
    on_models(len(draws))
    zeros = jnp.zeros((len(draws), 4, 3))
    hidden = {"w": jnp.zeros((len(draws), 3, 64)), "b": jnp.zeros((len(draws), 3))}
    return (hidden, {"w": zeros, "b": -losses})


def test_a_cell_of_known_models_has_their_values(tmp_path: Path) -> None:
    """They say one class of every image, so they are right on its images alone."""
    run = on_paper(setting(tmp_path))
    ask = np.full((3, 4), 9.0, np.float32)
    ask[0, 0] = ask[1, 3] = ask[2, 1] = 0.0  # say 0 when asked to forget 2, 3 when to forget 3, 1 when to forget both
    targets = np.tile(np.full(4, 9.0, np.float32), (4, 1))
    targets[:, 2] = np.linspace(0.0, 6.0, 4)
    found = measure(run, "known", obedient, {2: align.Grid(targets, 0.0)}, ask)
    counts = np.bincount(run.dataset.test.labels)
    expected = {
        "retain_2": counts[0] / (counts.sum() - counts[2]),
        "forget_2": 0.0,
        "retain_3": 0.0,
        "forget_3": 1.0,
        "retain_2-3": counts[1] / (counts[0] + counts[1]),
        "forget_2-3": 0.0,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6)
    observed = np.log1p(3 * np.exp(targets[:, 2].astype(np.float64) - 9.0))  # -log softmax of output 2
    spread = np.square(targets[:, 2] - 3.0).sum()
    assert found["r2_2"] == pytest.approx(1 - np.square(targets[:, 2] - observed).sum() / spread, abs=1e-4)
    assert found["pearson_2"] == pytest.approx(np.corrcoef(targets[:, 2], observed)[0, 1], abs=1e-4)
    assert found["models"] == 13


def test_batches_of_one_size_give_the_same_models() -> None:
    sizes, made, seconds = [], [], list[float]()

    def generate(
        draws: jax.Array, losses: jax.Array, on_models: Callable[[int], None], start: Start | None = None
    ) -> Params:
        sizes.append(len(draws))
        on_models(len(draws))
        return ({"w": losses[..., None], "b": losses + jax.vmap(jax.random.uniform)(draws)[:, None]},)

    keys = jax.random.split(jax.random.key(0), 7)
    losses = jnp.arange(14.0).reshape(7, 2)
    whole = generate(jax.random.clone(keys), losses, lambda count: None)
    parts = in_batches(generate, 3, seconds)(keys, losses, made.append)
    jax.tree.map(np.testing.assert_array_equal, whole, parts)
    assert sizes[1:] == [3, 3, 3]
    assert made == [3, 3, 1]
    assert len(seconds) == 3


# Table and figure.


def row(cell: Cell, r2: float, accuracy: float, seconds: float) -> Row:
    measured = {"r2_2": r2, "r2_3": 0.0, "pearson_2": 0.5, "pearson_3": 0.5, "retain_2-3": accuracy}
    timed = {"seconds": seconds, "models": 60, "models_per_second": 60 / seconds}
    return {**cell._asdict(), **measured, "forget_2-3": 1 - accuracy, **timed, "device": "abacus"}


ROWS = [
    row(Cell("functional", "x0", 1.0, "ddim", 10), 0.9, 0.75, 2.0),
    row(Cell("functional", "v", 1.5, "ddim", 10), 0.90004, 1.0, 4.0),
    row(Cell("raw", "x0", 1.0, "ddpm", 1000), -9.0, 0.5, 1000.0),
    row(Cell("raw", "v", 1.0, "ddpm", 1000), 0.8, 1.0, 2.0),
]


def test_the_best_of_every_column_is_bold_and_all_of_them_at_a_tie() -> None:
    lines = [line[2:-2].split(" | ") for line in ablation.page(ROWS).splitlines() if line[:2] == "| "]
    assert lines[0][4:] == [
        *("Mean R², class 2", "Mean R², class 3", "Pearson, class 2", "Pearson, class 3"),
        *("Retain accuracy, {2, 3}", "Forget accuracy, {2, 3}", "Seconds", "Models/s"),
    ]
    assert lines[1 + 1][:4] == ["functional", "x0, uniform", "1", "DDIM 10"]
    marked = {column: [line[4 + column].startswith("**") for line in lines[2:]] for column in range(8)}
    assert marked == {
        0: [True, True, False, False],  # equal as printed
        1: [True] * 4,
        2: [True] * 4,
        3: [True] * 4,
        4: [False, True, False, True],
        5: [False, True, False, True],
        6: [True, False, False, True],
        7: [True, False, False, True],
    }
    assert lines[3][4] == "**0.9000**"


def test_a_summary_averages_classes_and_forget_sets() -> None:
    assert ablation.summary(ROWS[0] | {"retain_2": 0.25, "forget_2": 0.5}) == {
        **{"r2": 0.45, "pearson": 0.5, "retain": 0.5, "forget": 0.375},
        "seconds": 2.0,
    }


def marks(panel: Panel) -> list[tuple[float, float, str, Any, Any]]:
    """Place, colour, shape and filling of every mark."""
    return [
        (*line.get_xydata()[0], to_hex(line.get_color()).upper(), line.get_marker(), line.get_fillstyle())
        for line in panel.lines
        if line.get_marker() != "None"
    ]


def test_every_cell_is_one_mark_in_every_panel() -> None:
    """Colour tells tokens and objective, shape the sampler, filling the guidance; what is below the floor stays on it."""
    alignment, retain, forget = ablation.tradeoff(ROWS).axes
    assert marks(alignment) == [
        (2.0, 0.45, LEVEL, "o", "full"),
        (4.0, 0.45002, OURS, "o", "none"),
        (1000.0, ablation.FLOOR, FAINT, "s", "full"),
        (2.0, 0.4, REFERENCE, "s", "full"),
    ]
    assert [mark[1] for mark in marks(retain)] == [0.75, 1.0, 0.5, 1.0]
    assert [mark[1] for mark in marks(forget)] == [0.25, 0.0, 0.5, 0.0]
    assert [panel.get_title(loc="right") for panel in (alignment, retain, forget)] == ["1 below", "", ""]
    assert {panel.get_xscale() for panel in (alignment, retain, forget)} == {"log"}


def test_the_legend_names_every_value_of_every_axis_once() -> None:
    (legend,) = ablation.tradeoff(ROWS).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("functional, x0", "functional, v", "raw, x0", "raw, v"),
        *("DDIM 10", "DDPM 1000", "no guidance", "guidance 1.5"),
    ]


def test_the_figure_is_byte_identical_twice(tmp_path: Path) -> None:
    for name in ("first", "anew"):
        figures.save(ablation.tradeoff(ROWS), tmp_path, name)
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()
