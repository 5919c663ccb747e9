"""The paper's own protocol: selection on test images."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hyperforget_jax.pipeline import paper_protocol, unlearning
from hyperforget_jax.pipeline.run_folder import FinishedRun
from tests.small_paper import TWO, answers_of, value_of


@pytest.mark.parametrize("method", ["dihyfo1", "dihyfo2"])
def test_under_the_papers_protocol_the_best_on_test_are_selected(
    finished_runs: dict[str, FinishedRun], method: str
) -> None:
    run = finished_runs[method].run
    rows, test = paper_protocol.rows(run), run.dataset.test
    assert {(row["protocol"], row["split"]) for row in rows} == {("paper", "test")}
    assert {row["protocol"] for row in finished_runs[method].rows} == {"strict"}
    for labels in TWO:
        answer = unlearning.stored(replace(run, folder=run.folder / paper_protocol.FOLDER), labels)
        right = answers_of(answer.models, test.images) == test.labels  # [N, n]
        forgotten = np.isin(test.labels, labels)
        retain, forget = right[:, ~forgotten].mean(1), right[:, forgotten].mean(1)
        score = np.where(forget <= run.config.request.forget_tolerance, retain, 0.0)
        np.testing.assert_array_equal(score[answer.selected], np.sort(score)[::-1][: run.config.request.num_selected])
        about: dict[str, Any] = {"forget_set": list(labels), "selection": "selected", "statistic": "mean"}
        assert value_of(rows, **about, metric="retain_accuracy") == pytest.approx(retain[answer.selected].mean())
        assert value_of(rows, **about, metric="forget_accuracy") == pytest.approx(forget[answer.selected].mean())
