"""A scrubbed copy: the run stays as it is, every answer forgets the class, and a stopped scrub is none."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.cli import scrub as command
from hyperforget_jax.config import AttackConfig, ScrubConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, scrub, unlearning
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, open_run
from hyperforget_jax.pipeline.workdir import identity, zoo_identity, zoo_path
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, tiny, trained

pytestmark = pytest.mark.usefixtures("programs")
FEW = ScrubConfig(steps=2, batch_size=8, lessons=40, lesson_steps=2)
SEARCH = AttackConfig(search_batch=32, search_restarts=4, search_rounds=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that can be asked for exposures."""
    config = tiny(tmp_path_factory.mktemp("scrub") / "run")
    run = on_paper(replace(config, hypernetwork=replace(config.hypernetwork, exposure=True)))
    trained(run)
    return run


def files(folder: Path) -> dict[str, str]:
    return {str(path): artifacts.checksum(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_stopped_scrub_is_none_and_the_same_call_goes_on(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, copy = files(finished.folder / HYPERNETWORK), tmp_path / "copy"
    with monkeypatch.context() as patch:
        patch.setattr(scrub, "measured", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            scrub.scrub(finished, (2,), copy, FEW, SEARCH)
    with pytest.raises(HyperForgetError, match="has no finished hypernetwork"):
        open_run(copy, finished.console, "test")
    record = scrub.scrub(finished, (2,), copy, FEW, SEARCH)
    assert files(finished.folder / HYPERNETWORK) == before
    assert record["classes"] == [2]
    assert set(record["audit"]["after"]["2"]) == {"models", "sweep", "search"}
    assert set(record["alignment"]["after"]) == {"3"}
    with monkeypatch.context() as patch:
        patch.setattr(scrub, "trained", lambda *_: pytest.fail("scrubbed again"))
        assert scrub.scrub(finished, (2,), copy, FEW, SEARCH) == record

    with pytest.raises(HyperForgetError, match=r"by other settings \(scrub\)"):
        scrub.scrub(finished, (2,), copy, replace(FEW, jitter=0.1), SEARCH)

    opened = open_run(copy, finished.console, "test")
    assert opened.config.task.forget_sets == ((2,), (2, 3))
    answer = unlearning.unlearn(opened, (3,), num_samples=4, num_selected=1)
    assert answer.result.request.labels == (2, 3)
    model = pretrained.load(copy / HYPERNETWORK)
    guard = model.hypernetwork.guard
    assert guard is not None
    assert np.flatnonzero(np.isfinite(np.asarray(guard.usual))).tolist() == [2, 4 + 2]
    statistics, positions = model.statistics, finished.dataset.positions((2,))
    never = (statistics.exposures[:, positions] == 0).all(1) & (statistics.progress == 1)
    assert statistics.losses[never, 2].min() <= float(guard.least[2]) <= float(guard.usual[2])
    assert set(model.book) <= {"forget-2", "forget-2-3"}
    with pytest.raises(HyperForgetError, match="class 2 is forgotten by every answer of this run already"):
        scrub.scrub(opened, (2,), tmp_path / "again", FEW, SEARCH)


@pytest.mark.slow
def test_no_step_is_refused_in_one_line(finished: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"--forget 2 --workdir {tmp_path / 'new'} --steps 0".split()
    assert command.main([str(finished.folder), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--steps is 0" in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("labels", "folder", "message"),
    [((0,), "new", "pivot"), ((7,), "new", "7"), ((), "new", "empty"), ((2,), "run", "is the run itself")],
)
def test_what_cannot_be_scrubbed_is_refused(labels: tuple[int, ...], folder: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(HyperForgetError, match=message):
        scrub.scrubbed_config(tiny(tmp_path / "run"), labels, range(4), tmp_path / folder)


def test_dihyfo1_is_refused(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    config = replace(config, hypernetwork=replace(config.hypernetwork, kind="dihyfo1"))
    with pytest.raises(HyperForgetError, match="scrub a run of dihyfo2"):
        scrub.scrubbed_config(config, (2,), range(4), tmp_path / "new")


def test_the_config_of_a_copy_forgets_the_class_always_and_keeps_the_zoo(tmp_path: Path) -> None:
    config = tiny(tmp_path / "run")
    changed = scrub.scrubbed_config(config, (2,), range(4), tmp_path / "new")
    assert changed.task.forget_sets == ((2,), (2, 3))
    assert changed.task.always == (2,)
    assert zoo_path(changed) == zoo_path(config)
    assert zoo_identity(changed) == zoo_identity(config)
    assert "task.scrubbed" not in identity(config)
    assert identity(changed)["task.scrubbed"] == [2]
    with pytest.raises(HyperForgetError, match="class 2 is forgotten by every answer"):
        scrub.scrubbed_config(changed, (2,), range(4), tmp_path / "newer")


def test_a_record_in_words() -> None:
    figures = {"models": 9, "sweep": 0.5, "search": 0.75}
    record = {
        **{"classes": [2], "run": "runs/a", "chance": 0.25},
        **{"audit": {"before": {"2": figures}, "after": {"2": figures | {"search": 0.1}}}},
        **{"alignment": {"before": {"3": 0.9}, "after": {"3": 0.88}}},
    }
    lines = scrub.described(json.loads(json.dumps(record)))
    assert lines[1].endswith("by a search 0.7500 (chance + 0.05: 0.3000)")
    assert lines[3] == "class 3: alignment R² 0.9000 before, 0.8800 after"
