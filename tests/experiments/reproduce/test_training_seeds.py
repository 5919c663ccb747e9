"""Further seeds of the training."""

from typing import Any

import numpy as np
import pytest

from hyperforget_jax.pipeline.run_folder import FinishedRun
from hyperforget_jax.runtime import artifacts
from tests.small_paper import SEEDS, Finished, lines_of, value_of


def test_further_seeds_are_trained_on_the_same_zoo_and_stand_beside_the_first(
    finished: Finished, finished_runs: dict[str, FinishedRun]
) -> None:
    first, again = (finished.folder / f"mnist4_dihyfo2{ending}" for ending in ("", "_seed1"))
    assert not (again / "zoo").exists()
    assert f"mnist4_dihyfo2_seed1: not there yet, made in {again}" in finished.told
    weights = [(place / "requests" / "forget-2" / "weights.npy").read_bytes() for place in (first, again)]
    assert weights[0] != weights[1]
    found = {line["about"]: line for line in lines_of(finished, SEEDS)}
    assert len(found) == 2 * 3 + 2 * 2
    about: dict[str, Any] = {"forget_set": [2, 3], "metric": "retain_accuracy", "statistic": "mean"}
    values = [
        value_of(artifacts.read_rows(place / "results.jsonl"), **about, method="dihyfo2", selection="selected")
        for place in (first, again)
    ]
    line = found["{2, 3}, retain, selected, mean"]
    assert [float(line[name]) for name in ("training_0", "training_1")] == values
    told = [float(line[name]) for name in ("mean", "least", "greatest")]
    assert told == [pytest.approx(np.mean(values)), min(values), max(values)]
    (r2,) = (
        row["value"]
        for row in finished_runs["dihyfo2"].rows
        if (row["metric"], row["class"], row["statistic"]) == ("alignment_r2", 3, "mean")
    )
    assert float(found["class 3, R², mean"]["training_0"]) == r2
