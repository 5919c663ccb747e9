"""Costs and the number of models after which the hypernetwork has paid for itself."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import cost
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts
from tests.small_paper import Finished, lines_of
from tests.small_run import on_paper, tiny


def costly(folder: Path, sample: float, retraining: float, **stage_seconds: float) -> Run:
    """A run whose seconds are told by its files."""
    folder.mkdir(exist_ok=True)
    rows = [{"stage": stage.replace("_", "-"), "seconds": told} for stage, told in stage_seconds.items()]
    artifacts.write_rows(folder / "costs.jsonl", rows)
    (folder / cost.FILE).write_text(json.dumps({"sample": sample, "retraining": retraining}))
    return on_paper(tiny(folder))


def test_it_breaks_even_where_requests_have_saved_what_it_took_to_train(tmp_path: Path) -> None:
    run = costly(
        tmp_path, 0.5, 2.0, zoo=30.0, hypernetwork=50.0, prompts=10.0, forget_2=2.0, forget_2_3=4.0, evaluation=9.0
    )
    assert cost.seconds(run) == {
        **{"zoo": 30.0, "training": 60.0, "request": 3.0, "sample": 0.5, "retraining": 2.0},
        "break_even": (30.0 + 60.0) / (2.0 - 0.5),
    }


@pytest.mark.parametrize("sample", [2.0, 3.0])
def test_it_never_breaks_even_if_sampling_takes_as_long_as_retraining(tmp_path: Path, sample: float) -> None:
    assert (
        cost.seconds(costly(tmp_path, sample, 2.0, hypernetwork=50.0, prompts=10.0, forget_2=2.0))["break_even"] is None
    )


def test_a_shared_zoo_counts_with_the_seconds_of_the_run_that_made_it(tmp_path: Path) -> None:
    costly(tmp_path / "first", 0.5, 2.0, zoo=30.0, hypernetwork=1.0)
    run = costly(tmp_path / "second", 0.5, 2.0, hypernetwork=50.0, prompts=10.0, forget_2=2.0)
    for folder, zoo, break_even in ((tmp_path / "first" / "zoo", 30.0, 60.0), (tmp_path / "zoo", None, 40.0)):
        shared = replace(run.config, zoo=replace(run.config.zoo, folder=str(folder)))
        found = cost.seconds(replace(run, config=shared))
        assert (found["zoo"], found["break_even"]) == (zoo, break_even)


def test_the_cost_of_both_hypernetworks_is_told_with_the_zoo_that_they_share(finished: Finished) -> None:
    first, second = lines_of(finished, "cost-mnist4")
    assert (first["method"], second["method"]) == ("dihyfo1", "dihyfo2")
    assert first["zoo"] == second["zoo"] != ""
    for line in (first, second):
        assert all(float(line[name]) > 0.0 for name in ("training", "request", "sample", "retraining"))
