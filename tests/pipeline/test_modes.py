"""A run that draws prompts answers by the best one as well: two sets of artifacts, rows, tables and figures, each with its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax import HyperForget
from hyperforget_jax.pipeline import end_to_end, unlearning
from hyperforget_jax.pipeline.pretrained import load
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.pipeline.workdir import acquire_workdir
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import prompts
from tests.small_run import on_paper, tiny

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.slow]

SETS = ((2,), (2, 3))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two forget sets with drawn prompts, exposure and comparison with clean runs."""
    config = tiny(tmp_path_factory.mktemp("modes") / "run")
    config = replace(
        config,
        task=replace(config.task, forget_sets=SETS),
        hypernetwork=replace(config.hypernetwork, exposure=True),
        sampling=replace(config.sampling, temperature=1.0),
        request=replace(config.request, prompts="drawn"),
        evaluation=replace(config.evaluation, distribution_models=5),
    )
    job = on_paper(config)
    acquire_workdir(job.config)
    end_to_end.run(job)
    return job


def rows_of(run: Run) -> list[dict[str, Any]]:
    return artifacts.read_rows(run.folder / "results.jsonl")


def test_each_mode_has_its_artifacts(finished: Run) -> None:
    kept = {path.name for path in (finished.folder / "requests").iterdir()}
    assert kept == {"forget-2", "forget-2-best", "forget-2-3", "forget-2-3-best"}
    drawn, best = (unlearning.stored(run, (2, 3)) for run in finished.modes)
    statistics = load(finished.folder / HYPERNETWORK).statistics
    candidates = prompts.candidates(statistics.losses, statistics.accuracies, (2, 3), finished.config.request)
    np.testing.assert_array_equal(best.candidate_prompts, prompts.asking_to_forget(candidates, (2, 3)))
    assert len(np.unique(drawn.candidate_prompts[:, 0])) > 1
    assert best.prompt.tolist() == candidates[best.chosen].tolist()


def test_every_measure_has_rows_of_both_modes_and_each_row_is_there_once(finished: Run) -> None:
    rows = rows_of(finished)
    keys = [tuple(str(row[name]) for name in row if name not in ("value", "low", "high", "n", "ideal")) for row in rows]
    assert len(set(keys)) == len(keys)
    methods = {
        metric: {row["method"] for row in rows if row["metric"] == metric and row["forget_set"] == [2, 3]}
        for metric in ("retain_accuracy", "c2st_outputs", "disagreement", "relearning_k5_s5")
    }
    both = {"dihyfo2", "dihyfo2_best"}
    assert methods == {
        "retain_accuracy": both | {"retrain"},
        "c2st_outputs": both | {"clean_reference", "permuted_labels"},
        "disagreement": both | {"clean_reference"},
        "relearning_k5_s5": both | {"clean_reference"},
    }


def test_the_values_of_a_mode_are_those_of_its_models(finished: Run) -> None:
    for run in finished.modes:
        scores = end_to_end.evaluation.comparison.outputs(unlearning.stored(run, (2, 3)).models, run.dataset.test, None)
        accuracies = scores.class_metrics["class_accuracy"][:, 0]
        (mean,) = (
            row["value"]
            for row in rows_of(finished)
            if (row["method"], row["metric"], row["class"]) == (run.method, "class_accuracy", 0)
            if (row["forget_set"], row["selection"], row["statistic"]) == ([2, 3], "all", "mean")
        )
        assert mean == pytest.approx(accuracies.mean())


def test_tables_and_page_name_both(finished: Run) -> None:
    text = (finished.folder / "results.md").read_text(encoding="utf-8").replace("  ", "")
    accuracy, distribution = text.split("clean reference, clean runs")
    for mode in ("drawn prompts", "best prompt"):
        assert accuracy.count(f"| {mode}") == 2 * 10
        assert distribution.count(f"| {mode}") == 2 * (8 + 2 + 1)
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    for mode in ("drawn prompts", "best prompt"):
        for forget in ("{2}", "{2, 3}"):
            assert f"<h3>Forget {forget}, {mode}</h3>" in page
            assert f"Forget {forget}, {mode}, beside retrained models" in page
            assert f"Forget {forget}, {mode}, beside the clean reference" in page


def test_a_finished_run_is_measured_again_with_the_same_numbers(finished: Run) -> None:
    before = rows_of(finished)
    end_to_end.evaluate_again(finished)
    assert rows_of(finished) == before


def test_any_set_is_answered_in_either_mode_and_kept_apart(finished: Run) -> None:
    drawn, best = (unlearning.unlearn(finished, (3,), prompts=mode) for mode in ("drawn", "best"))
    assert [answer.folder.name for answer in (drawn, best)] == ["forget-3", "forget-3-best"]
    assert unlearning.unlearn(finished, (3,)).folder == drawn.folder
    assert unlearning.unlearn(finished, (2,), prompts="best").cached
    assert drawn.result.candidate_prompts.shape[0] == finished.config.request.samples


def test_a_run_of_the_best_prompt_has_one_mode_and_draws_where_it_is_asked_to(finished: Run) -> None:
    assert [(run.variant, run.method) for run in finished.modes] == [("", "dihyfo2"), ("-best", "dihyfo2_best")]
    config = replace(finished.config, request=replace(finished.config.request, prompts="best"))
    run = replace(finished, config=config)
    assert run.modes == (run,)
    assert run.prompted("best") is run
    assert (run.prompted("drawn").variant, run.prompted("drawn").config) == ("-drawn", finished.config)


def test_the_library_answers_in_either_mode_with_the_same_models(finished: Run) -> None:
    model, request = HyperForget.from_pretrained(finished.folder, progress=False), finished.config.request
    counts = {"num_samples": request.samples, "num_selected": request.num_selected}
    for run in finished.modes:
        mode = run.config.request.prompts
        found = model.unlearn((2,), finished.dataset.validation, **counts, prompts=mode)
        jax.tree.map(np.testing.assert_array_equal, found.models, unlearning.stored(run, (2,)).models)
    usual = model.unlearn((2,), finished.dataset.validation, **counts)
    jax.tree.map(np.testing.assert_array_equal, usual.models, unlearning.stored(finished, (2,)).models)


def test_a_damaged_mode_is_made_again_and_the_other_is_not(finished: Run, tmp_path: Path) -> None:
    path = finished.folder / "requests" / "forget-3-best" / "manifest.json"
    path.rename(tmp_path / "manifest.json")
    assert not unlearning.unlearn(finished, (3,), prompts="best").cached
    assert unlearning.unlearn(finished, (3,)).cached
