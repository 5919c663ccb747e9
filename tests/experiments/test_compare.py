"""The comparison on a tiny run: every contender has every forget set, goes on where it was stopped, and measures nothing twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments import compare as experiment
from hyperforget_jax.baselines import registry
from hyperforget_jax.config import AttackConfig, ComparisonConfig
from hyperforget_jax.pipeline import contenders
from hyperforget_jax.pipeline.compare import Table
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, tiny, trained

pytestmark = pytest.mark.usefixtures("programs")

ATTACK = AttackConfig(
    attacked_models=4,
    attacked_reference=6,
    control_splits=2,
    two_sample_splits=2,
    two_sample_trees=5,
    linear_steps=20,
    relearning_shots=(5,),
    head_labels=(5,),
    rounding_bits=(4,),
)
CONFIG = ComparisonConfig(models=6, search_models=2, candidates=2, worst_models=2, attack=ATTACK)


@pytest.mark.slow
def test_every_contender_has_its_row_and_a_stopped_comparison_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: registry.METHODS[name] for name in ("fine_tune", "retrain", "ssd")}
    monkeypatch.setattr(registry, "METHODS", few)
    config = tiny(tmp_path / "run")
    run = on_paper(replace(config, task=replace(config.task, forget_sets=((2,),))))
    trained(run)
    measure, measured = Table.measure, list[str]()

    def stops(table: Table, contender: contenders.Contender) -> object:
        if contender.name == "ssd" and "ssd" not in measured:
            measured.append("ssd")
            raise KeyboardInterrupt
        measured.append(contender.name)
        return measure(table, contender)

    monkeypatch.setattr(Table, "measure", stops)
    with pytest.raises(KeyboardInterrupt):
        experiment.shown(run, CONFIG)
    assert not (run.folder / "compare" / "ssd").exists()
    experiment.shown(run, CONFIG)
    names = [contenders.CONTROL, *few, *(mode.method for mode in run.modes)]
    assert sorted(measured) == sorted([*names, "ssd"])
    rows = artifacts.read_rows(run.folder / "compare.jsonl")
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert [each["forget_set"] for each in row["summary"]["sets"]] == [[2]]
        assert row["summary"]["worst"]["sets"] == 3  # {2}, {3} and {2, 3}
        assert row["summary"]["exact"] == (row["name"] in ("retrain", contenders.CONTROL))
    assert retrained_forgets(run) == 0.0
    for name in ("compare.md", "figures/pareto.png", "figures/distances.png"):
        assert (run.folder / name).stat().st_size > 1000


def retrained_forgets(run: Run) -> float:
    rows = artifacts.read_rows(run.folder / "compare.jsonl")
    (control,) = (row["summary"] for row in rows if row["name"] == contenders.CONTROL)
    return max(each["forget"] for each in control["sets"])
