"""Figures of the paper from finished runs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from experiments import paper_figures
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run_folder import FinishedRun
from tests.small_paper import TWO, answers_of


def test_agreement_counts_the_best_model_against_the_median_retrained_one(
    finished_runs: dict[str, FinishedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[Any]()
    monkeypatch.setattr(paper_figures, "agreement_matrices", drawn.extend)
    paper_figures.agreement(8, "mnist4", "dihyfo2", SimpleNamespace(open=lambda *names: finished_runs["dihyfo2"]))  # type: ignore[arg-type]
    one, test = finished_runs["dihyfo2"], finished_runs["dihyfo2"].run.dataset.test
    for index, (found, forget) in enumerate(zip(drawn, TWO, strict=True)):
        assert (found.forget_set, found.classes) == (forget, (0, 1, 2, 3))
        retained = ~np.isin(test.labels, forget)
        ours = answers_of(one.results[index].models, test.images)[one.results[index].selected[0]]
        reference = answers_of(jax.tree.map(lambda leaf, i=index: leaf[i], one.reference), test.images)
        accuracies = (reference == test.labels)[:, retained].mean(1)
        theirs = reference[np.flatnonzero(accuracies == np.median(accuracies))[0]]
        for counts, member in ((found.test, np.ones_like(retained)), (found.retain, retained)):
            expected = [[(member & (theirs == a) & (ours == b)).sum() for b in range(4)] for a in range(4)]
            np.testing.assert_array_equal(counts, expected)


def test_without_alignment_during_training_its_figure_is_refused(tmp_path: Path) -> None:
    runs: Any = SimpleNamespace(open=lambda *names: SimpleNamespace(training=tmp_path))
    with pytest.raises(HyperForgetError, match=r"fig12 shows alignment during training.*training\.alignment_every"):
        paper_figures.evolution(12, "mnist4", "dihyfo1", runs)
