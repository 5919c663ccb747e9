"""Every image is on each side as often, a leak is found, none is not; and a system is trained on what it has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import shadows
from hyperforget_jax.config import ShadowsConfig
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")
CONFIG = ShadowsConfig(systems=16)


@pytest.fixture
def job(tmp_path: Path) -> Run:
    config = tiny(tmp_path / "run")
    run = on_paper(replace(config, task=replace(config.task, forget_sets=((2,),))))
    run.folder.mkdir()
    return run


def test_two_systems_share_the_images_out_and_sides_are_who_had_them(job: Run) -> None:
    halves = np.stack([shadows.half(job, number, 9) for number in range(16)])
    assert (halves[::2] != halves[1::2]).all()
    assert len(np.unique(halves[::2], axis=0)) > 4
    confidences = np.where(halves, 1.0, -1.0) * (1 + np.arange(16)[:, None])
    with_it, without = shadows.sides(confidences, halves)
    assert with_it.shape == without.shape == (8, 9)
    assert (with_it > 0).all()
    assert (without < 0).all()
    assert sorted(np.abs(np.concatenate([with_it, without])[:, 0])) == [*range(1, 17)]


def test_a_leak_is_found_and_where_nothing_leaks_nothing_is(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    random, made = np.random.default_rng(0), list[int]()

    def system(job: Run, number: int, folder: Path, config: ShadowsConfig) -> dict[str, object]:
        made.append(number)
        member = shadows.half(job, number, 60)
        nothing, leak = random.normal(size=60), random.normal(size=60) + 4.0 * member
        return {
            "member": member,
            **{"one": nothing, "mean": leak, "knowing_one": leak, "knowing_mean": leak},
            **{"retain": 0.9, "forget": 0.0, "knowing_forget": 1.0},
        }

    monkeypatch.setattr(shadows, "trained", system)
    shadows.run(job, CONFIG)
    rows = artifacts.read_rows(job.folder / "shadows.jsonl")
    aucs = {(row["method"], row["attack"]): row["value"] for row in rows if row["attack"].endswith("_auc")}
    assert len(aucs) == 2 * len(shadows.SEEN)
    for (seen, _), auc in aucs.items():
        assert abs(auc - 0.5) < 0.08 if seen == "one model" else auc > 0.9
    assert "forget accuracy 0.0000" in (job.folder / "shadows.md").read_text(encoding="utf-8")
    assert (job.folder / "figures" / "shadows.png").stat().st_size > 5000
    shadows.run(job, CONFIG)
    assert made == [*range(16)]  # none twice


@pytest.mark.slow
def test_a_system_is_trained_on_the_images_that_it_has(
    job: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on = list[int]()
    make_zoo = pipeline_zoo.make_zoo

    def seen(run: Run) -> object:
        trained_on.append(len(run.dataset.train.labels))
        return make_zoo(run)

    monkeypatch.setattr(pipeline_zoo, "make_zoo", seen)
    images = int((job.dataset.train.labels == 2).sum())
    learned = shadows.trained(job, 1, tmp_path / "system", ShadowsConfig(samples=8, knowing=2))
    assert learned["member"].sum() == images - images // 2
    assert trained_on == [len(job.dataset.train.labels) - images // 2]
    assert learned["one"].shape == (images,)
    assert np.isfinite(learned["mean"]).all()
