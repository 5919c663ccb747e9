"""G.pt: the whole experiment on a tiny setting, its grids and draws by hand, its refusals, its table and its figures."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from configs import gpt as setting
from configs import smoke_dihyfo1
from experiments import gpt, gpt_figures
from experiments.gpt_figures import Followed
from hyperforget_jax import classifier
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import figures
from hyperforget_jax.report.style import RC
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.zoo.storage import Zoo
from tests.small_run import on_paper, printed

pytestmark = pytest.mark.usefixtures("programs")

FOLDERS = ["mean_loss", "mean_loss_balanced", "mean_error", "one_loss"]
PICTURES = [f"fig{number}" for number in range(26, 32)]


def tiny(folder: Path) -> Config:
    """The experiment in seconds: bad models, every file."""
    base, ours = smoke_dihyfo1.get_config(), setting.get_config()
    asked = replace(base.hypernetwork, metric="one_loss", metric_class=3)
    few = replace(base.training, untrained=16)
    return replace(base, workdir=str(folder), loader=ours.loader, hypernetwork=asked, training=few)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a tiny run."""
    place = tmp_path_factory.mktemp("gpt") / "run"
    printed(tiny(place), gpt.run)
    return place


@pytest.fixture(scope="module")
def known(finished: Path) -> Zoo:
    """The training part of its zoo."""
    job = on_paper(tiny(finished))
    return pipeline_zoo.make_zoo(job).split(job.config.zoo.runs, job.config.zoo.validation_share)[0]


def variant(folder: Path, name: str) -> Run:
    """The run of one hypernetwork."""
    return on_paper(gpt.variants(tiny(folder))[name])


# The experiment.


def test_it_leaves_its_rows_figures_and_page(finished: Path) -> None:
    rows = artifacts.read_rows(finished / "gpt.jsonl")
    assert list(dict.fromkeys(row["method"] for row in rows)) == FOLDERS
    for name in FOLDERS:
        ours = [row for row in rows if row["method"] == name]
        assert {row["class"] for row in ours} == {3 if name == "one_loss" else None}
        assert {(row["n"], row["split"], row["ideal"], row["dataset"]) for row in ours} == {(3, "test", 1.0, "digits4")}
        assert [(row["metric"], row["statistic"]) for row in ours] == [
            *(("alignment_r2", each) for each in ("mean", "median", "q05", "q95")),
            *(("alignment_r2", each) for each in ("mean_clipped", "share_aligned")),
            *([("alignment_pivot_accuracy", "value")] if name == "one_loss" else []),
            *(("alignment_pearson", each) for each in ("mean", "median", "q05", "q95")),
        ]
        assert all(math.isfinite(row["value"]) for row in ours)
    for name in PICTURES:
        assert (finished / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (finished / "figures" / f"{name}.svg").read_text()[:1000]
    page = (finished / "gpt.md").read_text(encoding="utf-8")
    for words in ("| mean loss, re-balanced |", "| mean error |", "| loss of class 3 |", *PICTURES):
        assert words in page


def test_every_hypernetwork_has_its_folder_and_all_share_one_zoo(finished: Path) -> None:
    manifests = {str(path.parent.relative_to(finished)) for path in finished.rglob(artifacts.MANIFEST)}
    assert manifests == {"zoo/block-00000", "zoo/block-00001", *(f"{name}/hypernetwork" for name in FOLDERS)}
    for name in FOLDERS:
        curve = artifacts.read_rows(finished / name / "training" / "alignment_curve.jsonl")
        assert [row["step"] for row in curve] == [2, 4]
        assert all(set(row) == {"step", "r2", "pearson", "pivots"} for row in curve)
        assert all(-1.0 <= row["pearson"] <= 1.0 >= row["r2"] for row in curve)


def test_a_second_run_does_nothing_again_and_leaves_the_same(finished: Path) -> None:
    names = ["gpt.jsonl", "gpt.md", *(f"figures/{name}.png" for name in PICTURES)]
    before = {name: (finished / name).read_bytes() for name in names}
    told = printed(tiny(finished), gpt.run)
    for name in FOLDERS:
        assert f"hypernetwork: reused from {finished / name / 'hypernetwork'}" in told
    assert {name: (finished / name).read_bytes() for name in names} == before


def test_the_variants_differ_in_metric_and_balance_alone(tmp_path: Path) -> None:
    found = gpt.variants(tiny(tmp_path))
    assert list(found) == FOLDERS == list(gpt.NAMES)
    told = [(each.hypernetwork.metric, each.loader.resample) for each in found.values()]
    assert told == [("mean_loss", "none"), ("mean_loss", "losses"), ("mean_error", "none"), ("one_loss", "none")]
    flats = [flatten(config) for config in found.values()]
    differing = {name for name in flats[0] if len({str(flat[name]) for flat in flats}) > 1}
    assert differing == {"workdir", "hypernetwork.metric", "loader.resample"}
    assert {config.zoo.folder for config in found.values()} == {str(tmp_path.resolve() / "zoo")}


def test_a_zoo_elsewhere_stays_there(tmp_path: Path) -> None:
    base = tiny(tmp_path)
    elsewhere = replace(base, zoo=replace(base.zoo, folder=str(tmp_path / "mine")))
    folders = {config.zoo.folder for config in gpt.variants(elsewhere).values()}
    assert folders == {str((tmp_path / "mine").resolve())}


# Grids and draws.


@pytest.mark.parametrize("name", FOLDERS)
def test_the_grid_is_regular_and_lies_within_the_zoos_range(finished: Path, known: Zoo, name: str) -> None:
    by_hand = {"mean_error": 1.0 - known.accuracies.mean(1), "one_loss": known.losses[:, 3]}
    stored = by_hand.get(name, known.losses.mean(1)).astype(np.float64)
    each = variant(finished, name)
    grid = gpt.grid_of(each, known)
    assert grid.prompts.shape == (each.config.evaluation.alignment_prompts, 1)
    assert stored.min() <= grid.prompts.min() < grid.prompts.max() <= stored.max()
    ends = np.quantile(stored, each.config.evaluation.alignment_quantiles)
    np.testing.assert_allclose(grid.prompts[[0, -1], 0], ends, rtol=1e-5)
    np.testing.assert_allclose(np.diff(grid.prompts[:, 0]), (ends[1] - ends[0]) / 3, rtol=1e-4)
    assert stored.min() <= grid.learned <= np.quantile(stored, 0.1)


def test_what_is_drawn_is_what_the_training_reads(finished: Path, known: Zoo, monkeypatch: Any) -> None:
    """Both ends of a pair are checkpoints of one run, the start the earlier; their mean losses are those of the zoo."""
    monkeypatch.setattr(gpt, "DRAWN", 5)
    each = variant(finished, "mean_loss_balanced")
    sweep = gpt.Sweep(np.zeros(2), np.zeros((3, 2)), 0.0)
    found = gpt.followed(each, ("a {}", "b"), 7, sweep, known)
    assert (found.name, found.axis) == ("a 7", "b")
    means = known.losses.mean(1)
    np.testing.assert_allclose(found.trained_on, means, rtol=1e-6)
    assert found.drawn.shape == (2, 5 * each.config.training.batch_size)
    for start_loss, target_loss in found.drawn.T:
        starts = np.flatnonzero(np.isclose(means, start_loss, rtol=1e-6))
        targets = np.flatnonzero(np.isclose(means, target_loss, rtol=1e-6))
        assert any(
            known.run[a] == known.run[b] and known.progress[a] < known.progress[b] for a in starts for b in targets
        )


@pytest.mark.parametrize(
    ("name", "expected"), [("mean_loss", math.log(4)), ("mean_error", 0.75), ("one_loss", math.log(4))]
)
def test_a_sweep_observes_the_metric_of_what_is_generated(
    finished: Path, known: Zoo, name: str, expected: float
) -> None:
    """Models of zeros find every class alike and answer the first, whatever is asked for."""
    each = variant(finished, name)

    def zeros(keys: jax.Array, losses: jax.Array, on_models: Callable[[int], None], start: Any = None) -> Any:
        assert losses.shape == (len(keys), 1)
        drawn = jax.vmap(lambda key: classifier.init(key, each.sizes))(keys)
        return jax.tree.map(jnp.zeros_like, drawn)

    grid, families = gpt.grid_of(each, known), jax.random.split(jax.random.key(0), 2)
    sweep = alignment.follow(each, grid, 0, zeros, families, on_device(each.dataset.test), lambda count: None)
    np.testing.assert_allclose(sweep.observed, np.full((2, 4), expected), rtol=1e-6)
    np.testing.assert_array_equal(sweep.targets, grid.prompts[:, 0])
    assert alignment.means(each, sweep)["pearson"] == 0.0
    assert alignment.means(each, sweep)["r2"] <= 0.0


# Refusals.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hypernetwork": {"kind": "dihyfo2"}}, "hypernetwork.kind is dihyfo2: leave it out"),
        ({"hypernetwork": {"metric": "mean_loss"}}, "hypernetwork.metric is mean_loss: leave it out"),
        ({"loader": {"resample": "combinations"}}, "loader.resample is combinations: leave it out"),
        ({"hypernetwork": {"metric_class": 1}}, "hypernetwork.metric_class 1 is a pivot: choose one of 2, 3"),
        ({"training": {"alignment_every": 0}}, "training.alignment_every is 0: .* choose at least 1"),
    ],
    ids=str,
)
def test_what_the_experiment_cannot_use_is_refused_before_any_work(
    tmp_path: Path, changes: dict[str, dict[str, Any]], words: str
) -> None:
    config = tiny(tmp_path / "run")
    config = replace(config, **{part: replace(getattr(config, part), **fields) for part, fields in changes.items()})
    with pytest.raises(HyperForgetError, match=words):
        gpt.validate(on_paper(config))
    assert list(tmp_path.iterdir()) == []


# The table and the figures.


def followed(name: str, error: float = 0.1, above: float = 1.0) -> Followed:
    """A hypernetwork that follows its targets with some error."""
    noise = np.random.default_rng(1)
    targets, stored = np.linspace(0.1, 3.0, 20), noise.lognormal(-0.5, 1.0, 2000)
    steps = range(100, 900, 100)
    return Followed(
        name=name,
        axis="mean loss (nats)",
        targets=targets,
        observed=np.maximum(targets + error * noise.normal(size=(16, 20)), 0.0) * above,
        learned=0.05,
        trained_on=stored,
        drawn=noise.choice(stored, (2, 4000)),
        learning=[{"step": step, "train_loss": 100 / step, "validation_loss": 120 / step} for step in steps],
        alignment=[{"step": step, "r2": 1 - 300 / step, "pearson": 1 - 40 / step} for step in steps],
    )


def pictures() -> dict[str, Figure]:
    found = {folder: followed(name) for folder, (name, _) in gpt.NAMES.items()}
    return gpt_figures.draw(found, levels=20)


@pytest.mark.slow
def test_both_files_are_written_and_byte_identical_twice(tmp_path: Path) -> None:
    settings = {name: matplotlib.rcParams[name] for name in RC}
    assert list(pictures()) == PICTURES == list(gpt.FIGURES)
    for place in ("first", "again"):
        for name, picture in pictures().items():
            figures.save(picture, tmp_path / place, name)
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert {name: matplotlib.rcParams[name] for name in RC} == settings


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_drawn_beyond_the_page(name: str) -> None:
    figure = pictures()[name]
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    assert min(box.x0, box.y0) >= 0
    assert box.x1 <= width
    assert box.y1 <= height


def test_evolution_shows_both_curves_and_points_down_where_one_leaves_the_panel() -> None:
    figure = gpt_figures.evolution([followed("mean loss"), followed("mean error")])
    r2, pearson = figure.axes
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["mean R²", "mean Pearson"]
    steps = np.arange(100, 900, 100)
    for panel, values in ((r2, 1 - 300 / steps), (pearson, 1 - 40 / steps)):
        curves = {str(line.get_label()): np.asarray(line.get_xydata()) for line in panel.lines}
        for label in ("mean loss", "mean error"):
            curve = curves[f"{label}: {values[-1]:.3g}"]
            np.testing.assert_allclose(curve, np.stack([steps, np.maximum(values, -1.0)], axis=1))
    down = [np.asarray(line.get_xdata()).tolist() for line in r2.lines if line.get_marker() == "v"]
    assert down == [[100], [100]]


def test_the_distributions_are_shares_that_add_up() -> None:
    one = followed("mean loss")
    (panel,) = gpt_figures.distribution(one).axes
    curves = {str(each.get_label()): each.get_data() for each in panel.patches if isinstance(each, StepPatch)}
    assert list(curves) == ["training set", "targets", "sampled models"]
    for shares, edges, _ in curves.values():
        assert shares.sum() == pytest.approx(100.0)
        assert edges[0] == 0.0
    shares, edges, _ = curves["training set"]
    assert shares[0] == pytest.approx(100 * np.mean(one.trained_on < edges[1]))
    assert shares[-1] == pytest.approx(100 * np.mean(one.trained_on >= edges[-2]))


def test_the_draws_stand_on_a_logarithmic_axis_before_and_after() -> None:
    before, after = followed("mean loss"), followed("mean loss, re-balanced")
    panels = gpt_figures.draws(before, after, levels=20).axes
    assert [panel.get_title(loc="left") for panel in panels] == ["starts θ", "targets θ*"]
    for place, panel in enumerate(panels):
        assert panel.get_xscale() == "log"
        old, new = (each.get_data() for each in panel.patches if isinstance(each, StepPatch))
        assert len(old.values) == len(new.values) == 20
        np.testing.assert_allclose(np.diff(np.log(old.edges)), np.log(old.edges[1] / old.edges[0]))
        for drawn, data in ((before.drawn[place], old), (after.drawn[place], new)):
            counts, _ = np.histogram(drawn, data.edges)
            np.testing.assert_allclose(data.values, 100 * counts / counts.sum(), atol=0.1)


def test_sweeps_side_by_side_have_one_scale() -> None:
    left, right = gpt_figures.balance([followed("mean loss", above=3.0), followed("re-balanced")]).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[1] > 9.0
    assert [panel.get_title(loc="left") for panel in (left, right)] == ["mean loss", "re-balanced"]


def test_the_table_by_hand() -> None:
    def row(method: str, name: str, statistic: str, value: float) -> dict[str, Any]:
        label = 5 if method == "one_loss" else None
        return {"method": method, "class": label, "metric": name, "statistic": statistic, "value": value}

    names = [(each[0], each[1]) for each in gpt.STATISTICS.values()]
    rows = [row("one_loss", *name, value=place / 10) for place, name in enumerate(names)]
    rows += [row("mean_error", *name, value=-place) for place, name in enumerate(names)]
    rows.append(row("mean_error", "alignment_r2", "q05", 99.0))
    first, second = gpt.prompt_alignment(rows)
    assert first == {
        "asked_for": "loss of class 5",
        "r2_mean": 0.0,
        "r2_median": 0.1,
        "r2_clipped": 0.2,
        "r2_share": 0.3,
        "pearson_mean": 0.4,
    }
    assert list(second.values()) == ["mean error", 0, -1, -2, -3, -4]
    page = gpt.page([first])
    assert "| loss of class 5 | 0.0000 | 0.1000 | 0.2000 | 0.3000 | 0.4000 |" in page
    assert [line for line in page.splitlines() if line.startswith("![")] == [
        f"![{caption}](figures/{name}.png)" for name, caption in gpt.FIGURES.items()
    ]
