"""The experiment leaves a line for every attack, mode and forget set, and attacks nothing twice."""

from pathlib import Path

import pytest

from experiments import attack as experiment
from hyperforget_jax.pipeline import attacks, training, unlearning
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, tiny, trained

pytestmark = pytest.mark.usefixtures("programs")


@pytest.mark.slow
def test_what_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = on_paper(tiny(tmp_path / "run"))
    model = trained(run)
    for mode in run.modes:
        unlearning.unlearn_all(mode, model, training.generator_of(run, model.hypernetwork))
    assert experiment.main([str(run.folder)]) == 0
    printed = capsys.readouterr().out
    assert "left out: klom needs 100 unlearned and 200 reference models" in " ".join(printed.split())
    rows = artifacts.read_rows(run.folder / "attack_suite" / "results" / "results.jsonl")
    keys = {(row["method"], tuple(row["forget_set"]), row["attack"]) for row in rows}
    assert len(keys) == len(rows)
    asked = {(method, forget) for method, forget, _ in keys}
    assert asked == {(mode.method, forget) for mode in run.modes for forget in run.config.task.forget_sets}
    assert len(rows) % len(asked) == 0
    page = (run.folder / "attacks.md").read_text(encoding="utf-8")
    assert page.count("\n| {") == len(rows)
    assert (run.folder / "figures" / "attacks.png").stat().st_size > 10_000
    monkeypatch.setattr(attacks, "suites", lambda *_: pytest.fail("attacked again"))
    assert experiment.main([str(run.folder)]) == 0
