"""The benchmark of a request: every contender is timed once, and break-even counts are arithmetic."""

import json
from pathlib import Path

import pytest

from experiments.benchmarks import request, request_work
from hyperforget_jax.runtime import artifacts
from tests.small_run import on_paper, tiny, trained

pytestmark = pytest.mark.usefixtures("programs")


@pytest.mark.slow
def test_every_contender_is_timed_and_break_even_is_what_was_spent_over_what_a_request_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = on_paper(tiny(tmp_path / "run"))
    trained(run)
    monkeypatch.setattr(request, "TRAINING_SETS", (None, 400))
    monkeypatch.setattr(request, "SECONDS", 0.01)
    monkeypatch.setattr(request, "cold_starts", lambda run, forget: {"process_with_cache_64": 3.0})
    assert request.main([str(run.folder), "--forget", "2"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    result = json.loads(line)
    assert result == json.loads((run.folder / "bench_request.json").read_text(encoding="utf-8"))
    assert {"model_1", "request_1", "request_64", "retraining_1", "retraining_64", "process_with_cache_64"} <= set(
        result["seconds"]
    )
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert [row["images"] for row in result["growth"]] == sorted((400, len(run.dataset.train.labels)))
    assert (run.folder / "bench_request.png").exists()
    artifacts.write_rows(
        run.folder / "costs.jsonl", [{"stage": "zoo", "seconds": 30.0}, {"stage": "hypernetwork", "seconds": 10.0}]
    )
    warm, others = {"request_64": 1.0, "model_1": 0.5}, {"retraining_64": 5.0, "retraining_1": 0.25}
    assert request.break_even(run, warm, others) == {"break_even_requests_64": 10.0, "break_even_models": None}
    artifacts.write_rows(run.folder / "costs.jsonl", [{"stage": "hypernetwork", "seconds": 10.0}])
    assert request.break_even(run, warm, others)["break_even_requests_64"] is None


@pytest.mark.slow
def test_an_answer_selects_at_most_as_many_as_it_samples(tmp_path: Path) -> None:
    run = on_paper(tiny(tmp_path / "run"))
    trained(run)
    asking = request_work.asked(run, (2,))
    assert len(asking.answer(1).selected) == 1
    assert len(asking.answer(16).selected) == 5
    assert asking.forget == (2,)
