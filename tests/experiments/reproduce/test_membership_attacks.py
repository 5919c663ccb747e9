"""Other membership attackers beside reference models."""

from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import roc_auc_score

from experiments import membership_attacks
from hyperforget_jax import classifier
from hyperforget_jax.pipeline.run_folder import FinishedRun
from tests.small_paper import Finished, lines_of


def test_every_attacker_tells_of_ours_and_of_the_reference(
    finished: Finished, finished_runs: dict[str, FinishedRun]
) -> None:
    found = lines_of(finished, "attacks-mnist4-dihyfo1")
    assert [(line["forget_set"], line["metric"]) for line in found] == [
        (forget, metric) for forget in ("2", "2-3") for metric in membership_attacks.NAMES
    ]
    one = finished_runs["dihyfo1"]
    train, test = one.run.dataset.train, one.run.dataset.test
    asked, unseen = (split.images[np.isin(split.labels, (2, 3))] for split in (train, test))
    reference = jax.tree.map(lambda leaf: leaf[1], one.reference)  # without {2, 3}
    labels = np.repeat([1, 0], [len(asked), len(unseen)])
    areas = [
        roc_auc_score(labels, -np.concatenate(each))
        for each in zip(*(entropies_of(reference, images) for images in (asked, unseen)), strict=True)
    ]
    (line,) = (line for line in found if (line["forget_set"], line["metric"]) == ("2-3", "mia_auc"))
    assert float(line["reference_mean"]) == pytest.approx(np.mean(areas), abs=1e-4)
    assert float(line["reference_low"]) == pytest.approx(np.quantile(areas, 0.05), abs=1e-4)
    assert {line["place"] for line in found} <= {"below", "inside", "above"}
    page = (finished.folder / "paper" / "attacks-mnist4-dihyfo1.md").read_text(encoding="utf-8")
    assert "| {2, 3} | D_f-train against D_f-test, AUC |" in page


def entropies_of(models: classifier.Params, images: Any) -> Any:
    """[N, n] of stacked models, by SciPy."""
    return scipy.stats.entropy(jax.nn.softmax(classifier.logits_of_many(models, images)), axis=-1)
