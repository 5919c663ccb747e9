"""Samplers of one hypernetwork: a row for each, sampled once; the table and the figure of known rows."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import sampling_steps
from experiments.sampling_steps import SAMPLERS, Sampler
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.config import Config, DiffusionConfig
from hyperforget_jax.diffusion import serialization
from hyperforget_jax.pipeline import sample_quality, training, unlearning
from hyperforget_jax.pipeline.run import Run, validate_run_config
from hyperforget_jax.report import figures
from hyperforget_jax.runtime import artifacts, prng
from tests.small_run import on_paper, printed, tiny

pytestmark = pytest.mark.usefixtures("programs")

TRIED: tuple[Sampler, ...] = (("ddpm", 4), ("ddim", 2))
MEASURED = ["retain_2", "forget_2", "retain_2-3", "forget_2-3"]
Row = dict[str, Any]


def setting(folder: Path) -> Config:
    """Two requests; a process of four timesteps."""
    base = tiny(folder)
    return replace(
        base,
        task=replace(base.task, forget_sets=((2,), (2, 3))),
        diffusion=DiffusionConfig(timesteps=4, functional_weight=0.0),
        training=replace(base.training, alignment_every=0),
    )


def work(folder: Path, tried: tuple[Sampler, ...]) -> str:
    """Tries samplers and returns what was printed."""
    return printed(setting(folder), partial(sampling_steps.run, samplers=tried))


# The experiment.


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of two samplers; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("samplers") / "run"
    work(folder, TRIED)
    return folder


def test_the_default_holds_shorter_samplers_against_the_papers() -> None:
    assert SAMPLERS[0] == ("ddpm", 1000)
    assert len(set(SAMPLERS)) == len(SAMPLERS)
    assert [steps for _, steps in SAMPLERS] == sorted((steps for _, steps in SAMPLERS), reverse=True)
    assert {steps for name, steps in SAMPLERS if name == "dpm"} < {steps for name, steps in SAMPLERS if name == "ddim"}


def test_every_sampler_has_its_row(finished: Path) -> None:
    rows = artifacts.read_rows(finished / "samplers.jsonl")
    assert [(row["sampler"], row["steps"]) for row in rows] == list(TRIED)
    for row in rows:
        assert list(row) == [*("sampler", "steps", *MEASURED), *("seconds", "models", "models_per_second", "device")]
        assert all(0.0 <= row[name] <= 1.0 for name in MEASURED)
        assert row["models_per_second"] == pytest.approx(row["models"] / row["seconds"])
        assert math.isfinite(row["models_per_second"])
    assert {tuple(row[name] for name in MEASURED) for row in rows} != {(0.0,) * 4}
    page = (finished / "samplers.md").read_text(encoding="utf-8")
    assert page.count("| ddpm 4 |") == page.count("| ddim 2 |") == 1
    assert (finished / "figures" / "samplers.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (finished / "figures" / "samplers.svg").read_text(encoding="utf-8")[:1000]


def test_a_second_run_samples_nothing_again(finished: Path) -> None:
    names = ("samplers.jsonl", "samplers.md", "figures/samplers.png", "costs.jsonl")
    before = {name: (finished / name).read_bytes() for name in names}
    told = work(finished, TRIED)
    for sampler, steps in TRIED:
        assert f"{sampler} {steps}: reused from {finished / 'samplers.jsonl'}" in told
    assert f"hypernetwork: reused from {finished / 'hypernetwork'}" in told
    assert "models/s" not in told
    assert {name: (finished / name).read_bytes() for name in names} == before


def test_a_missing_row_is_measured_again_alone_and_tells_the_same(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the seconds; every sampler is asked with the chosen prompts, and the others' rows stay."""
    path, asked = finished / "samplers.jsonl", list[Any]()
    stored, rows = path.read_bytes(), artifacts.read_rows(path)

    def counted(run: Run, name: str, generate: Any, grids: Any, prompts: Any) -> dict[str, float]:
        asked.append((name, run.config.sampling.sampler, run.config.sampling.steps, prompts))
        return sample_quality.measure(run, name, generate, grids, prompts)

    monkeypatch.setattr(sampling_steps, "measure", counted)
    try:
        artifacts.write_rows(path, rows[1:])
        work(finished, TRIED)
        found = artifacts.read_rows(path)
    finally:
        path.write_bytes(stored)
    ((name, sampler, steps, prompts),) = asked
    assert (name, sampler, steps) == ("ddpm 4", "ddpm", 4)
    run = on_paper(setting(finished))
    answers = [unlearning.stored(run, labels) for labels in run.config.task.forget_sets]
    np.testing.assert_array_equal(prompts, [answer.prompt for answer in answers])
    assert found[0] == rows[1]
    for each in MEASURED:
        assert found[1][each] == pytest.approx(rows[0][each], abs=1e-6)


def test_a_row_holds_medians_of_what_the_sampler_makes(finished: Path) -> None:
    """Of all models, none selected; they are told right from wrong by NumPy."""
    run = on_paper(setting(finished))
    sampling = replace(run.config.sampling, sampler="ddim", steps=2)
    asking = replace(run, config=replace(run.config, sampling=sampling))
    hypernetwork = serialization.load(finished / "hypernetwork", run.config.hypernetwork, run.config.diffusion)
    answers = [unlearning.stored(run, labels) for labels in run.config.task.forget_sets]
    count, test = run.config.request.samples, run.dataset.test
    draws = jax.random.split(prng.stream(run.config.seed, "ablation"), 2 * count)
    prompts = np.repeat([answer.prompt for answer in answers], count, axis=0)
    models = training.generator_of(asking, hypernetwork)(draws, jnp.asarray(prompts), lambda made: None)
    first, last = jax.tree.map(np.asarray, models)
    hidden = np.maximum(np.einsum("nd,Nhd->Nnh", test.images, first["w"]) + first["b"][:, None], 0.0)
    logits = np.einsum("Nnh,Nkh->Nnk", hidden, last["w"]) + last["b"][:, None]
    right = (logits.argmax(-1) == test.labels).reshape(2, count, -1)
    (row,) = (row for row in artifacts.read_rows(finished / "samplers.jsonl") if row["sampler"] == "ddim")
    for each, labels in zip(right, run.config.task.forget_sets, strict=True):
        about, forgotten = "-".join(map(str, labels)), np.isin(test.labels, labels)
        assert row[f"retain_{about}"] == pytest.approx(np.median(each[:, ~forgotten].mean(1)), abs=1e-6)
        assert row[f"forget_{about}"] == pytest.approx(np.median(each[:, forgotten].mean(1)), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--diffusion.timesteps", "3"], "sampling.steps is 4: choose 1 to diffusion.timesteps = 3"),
        (["--hypernetwork.metric", "mean_loss"], "hypernetwork.metric is mean_loss: "),
    ],
)
def test_a_config_that_cannot_serve_every_sampler_is_refused_before_any_work(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, refuse = (partial(sampling_steps.run, samplers=TRIED), partial(sampling_steps.validate, samplers=TRIED))
    config = replace(setting(tmp_path / "run"), sampling=replace(tiny(tmp_path).sampling, steps=1))
    assert run_job("tiny", config, job, arguments, refuse) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["smoke_dihyfo1", "mnist4_dihyfo2", "mnist_dihyfo1", "digits4_dihyfo2"])
def test_every_config_of_class_losses_is_served(name: str) -> None:
    config = load_config(name)
    for sampler, steps in SAMPLERS:
        validate_run_config(replace(config, sampling=replace(config.sampling, sampler=sampler, steps=steps)))


# Table and figure.


def row(sampler: str, steps: int, two: float, both: float, speed: float) -> Row:
    accuracies = {"retain_2": two, "forget_2": 0.0, "retain_2-3": both, "forget_2-3": 0.25}
    return {"sampler": sampler, "steps": steps, **accuracies, "models_per_second": speed, "device": "abacus"}


ROWS = [row("ddpm", 1000, 0.75, 1.0, 2.0), row("ddim", 50, 0.8125, 0.96875, 40.0), row("ddim", 5, 0.875, 1.0, 512.0)]


def test_a_summary_tells_what_is_lost_at_most_and_the_gain_in_speed() -> None:
    assert sampling_steps.summary(ROWS)[:2] == [
        {
            "sampler": "ddpm 1000",
            **{"retain {2}": 0.75, "retain {2, 3}": 1.0, "forget {2}": 0.0, "forget {2, 3}": 0.25},
            **{"most lost": 0.0, "models a second": 2.0, "times as fast": 1.0},
        },
        {
            "sampler": "ddim 50",
            **{"retain {2}": 0.8125, "retain {2, 3}": 0.96875, "forget {2}": 0.0, "forget {2, 3}": 0.25},
            **{"most lost": 0.03125, "models a second": 40.0, "times as fast": 20.0},
        },
    ]
    last = sampling_steps.summary(ROWS)[2]
    assert (last["most lost"], last["times as fast"]) == (
        0.0,
        256.0,
    )  # what {2} gains does not make up for another's loss


def test_what_is_gained_everywhere_is_a_negative_loss() -> None:
    assert sampling_steps.summary([ROWS[0], row("ddim", 5, 1.0, 1.125, 4.0)])[1]["most lost"] == -0.125


def test_the_page_has_a_line_per_sampler_and_tells_the_device() -> None:
    page = sampling_steps.page(ROWS)
    heads, _, *body = [line[2:-2].split(" | ") for line in page.splitlines() if line.startswith("| ")]
    assert heads == [
        *("Sampler", "Retain {2}", "Retain {2, 3}", "Forget {2}", "Forget {2, 3}"),
        *("Most lost", "Models a second", "Times as fast"),
    ]
    assert body == [
        ["ddpm 1000", "0.7500", "1.0000", "0.0000", "0.2500", "0.0000", "2.0", "1.0"],
        ["ddim 50", "0.8125", "0.9688", "0.0000", "0.2500", "0.0312", "40.0", "20.0"],
        ["ddim 5", "0.8750", "1.0000", "0.0000", "0.2500", "0.0000", "512.0", "256.0"],
    ]
    assert "on: abacus." in page
    assert page.endswith("(figures/samplers.png)\n")


def test_every_sampler_is_a_mark_with_its_name_in_the_panel_of_every_forget_set() -> None:
    two, both = sampling_steps.speed_figure(ROWS).axes
    for panel, name, values in ((two, "{2}", (0.75, 0.8125, 0.875)), (both, "{2, 3}", (1.0, 0.96875, 1.0))):
        (line,) = panel.lines
        np.testing.assert_allclose(line.get_xydata(), list(zip((2.0, 40.0, 512.0), values, strict=True)))
        assert [text.get_text() for text in panel.texts] == ["ddpm 1000", "ddim 50", "ddim 5"]
        assert panel.get_title(loc="left") == f"forget {name}"
        assert panel.get_xscale() == "log"
        assert panel.get_xlabel() == "models per second"
    assert [panel.get_ylabel() for panel in (two, both)] == ["median retain accuracy", ""]


def test_the_same_figure_twice_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "anew"):
        figures.save(sampling_steps.speed_figure(ROWS), tmp_path, name)
    for ending in ("png", "svg"):
        assert (tmp_path / f"anew.{ending}").read_bytes() == (tmp_path / f"first.{ending}").read_bytes()
