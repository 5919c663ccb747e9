"""The values that the paper prints, read from it, and the tables that hold ours beside them."""

import json
from typing import Any

import numpy as np
import pytest

from experiments import paper_tables
from hyperforget_jax.pipeline import paper_protocol
from hyperforget_jax.pipeline.run_folder import FinishedRun
from tests.small_paper import THREE, TWO, Finished, lines_of, value_of

PRINTED = {
    (1, "retain_accuracy"): (0.9072, 0.9390, 0.9373, 0.7369, 0.9433, 0.9518, 0.9193, 0.9479, 0.9504),
    (1, "forget_accuracy"): (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (1, "mia"): (0.3682, 0.3817, 0.4282, 0.3580, 0.3243, 0.3299, 0.3299, 0.3406, 0.3798),
    (2, "overlap_retain"): (0.9106, 0.9511, 0.9498, 0.7298, 0.9364, 0.9482),
    (2, "overlap_forget"): (0.5474, 0.7262, 0.7498, 0.4221, 0.7110, 0.6375),
    (2, "overlap_test"): (0.8731, 0.8831, 0.8471, 0.6978, 0.8682, 0.7881),
    (2, "phi_badt"): (0.9885, 0.9894, 0.9916, 0.8478, 0.9857, 0.9540),
    (3, "retain_accuracy"): (0.9837, 0.9983, 0.9834, 0.9995, 0.9938, 0.9991),
    (3, "forget_accuracy"): (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (3, "mia"): (0.6260, 0.6484, 0.4457, 0.3827, 0.4171, 0.3398),
    (4, "overlap_retain"): (0.9851, 0.9983, 0.9848, 0.9995),
    (4, "overlap_forget"): (0.3473, 0.7106, 0.6800, 0.7751),
    (4, "overlap_test"): (0.8263, 0.8562, 0.9094, 0.8898),
    (4, "phi_badt"): (0.8550, 0.9327, 0.6874, 0.9607),
}


@pytest.mark.parametrize(("which", "count"), [(1, 27), (2, 24), (3, 18), (4, 16), (5, 50)])
def test_every_printed_value_is_there_once(which: int, count: int) -> None:
    rows = paper_tables.printed_values(which)
    keys = [json.dumps({name: each for name, each in row.items() if name != "value"}) for row in rows]
    assert len(rows) == len(set(keys)) == count
    assert {row["dataset"] for row in rows} == {"mnist" if which < 3 else "mnist4"}


@pytest.mark.parametrize(("which", "metric"), PRINTED)
def test_the_printed_values_are_those_of_the_paper(which: int, metric: str) -> None:
    sets, values = THREE if which < 3 else TWO, PRINTED[which, metric]
    columns = [(method, forget) for method in ("dihyfo1", "dihyfo2", "retrain") for forget in sets]
    found = {
        (row["method"], tuple(row["forget_set"])): row["value"]
        for row in paper_tables.printed_values(which)
        if row["metric"] == metric
    }
    assert found == dict(zip(columns, values, strict=False))


def test_the_printed_families_have_the_printed_averages() -> None:
    for metric, known, average in (
        ("alignment_r2", {0: -6.4499, 17: -1.8833, 19: -10.7378, 23: 0.9187}, -0.4911),
        ("alignment_pearson", {0: 0.4931, 17: -0.2664, 19: -0.1768, 23: 0.9683}, 0.7968),
    ):
        found = {row["family"]: row["value"] for row in paper_tables.printed_values(5) if row["metric"] == metric}
        assert found.pop(None) == average
        assert list(found) == list(range(24))
        assert {family: found[family] for family in known} == known
        assert round(sum(found.values()) / 24, 4) == average


@pytest.mark.parametrize(("name", "which"), [("table3", 3), ("table4", 4)])
def test_a_table_holds_the_values_of_the_runs(
    finished: Finished, finished_runs: dict[str, FinishedRun], name: str, which: int
) -> None:
    found = lines_of(finished, name)
    measured = [metric for table, metric in PRINTED if table == which]
    beside = [paper_tables.BESIDE[metric] for metric in measured if metric in paper_tables.BESIDE]
    assert len(found) == 4 * len(measured + beside)
    for line in found:
        forget = [int(label) for label in line["forget_set"].split("-")]
        about: dict[str, Any] = {"forget_set": forget, "metric": line["metric"]}
        method = line["method"]
        strict, theirs = finished_runs[method].rows, paper_protocol.rows(finished_runs[method].run)
        expected = {
            "strict": value_of(strict, **about, method=method, selection="selected", statistic="mean"),
            "paper": value_of(theirs, **about, method=method, selection="selected", statistic="mean"),
            "unselected": value_of(strict, **about, method=method, selection="all", statistic="median"),
            "reference_mean": value_of(strict, **about, method="retrain", statistic="mean"),
            "reference_low": value_of(strict, **about, method="retrain", statistic="q05"),
            "reference_high": value_of(strict, **about, method="retrain", statistic="q95"),
        }
        assert {each: float(line[each]) for each in expected} == expected
        if line["metric"] in beside:
            assert line["printed"] == ""
            continue
        column = [("dihyfo1", [2]), ("dihyfo1", [2, 3]), ("dihyfo2", [2]), ("dihyfo2", [2, 3])].index((method, forget))
        assert float(line["printed"]) == PRINTED[which, line["metric"]][column]


def test_table_5_holds_every_family_of_the_paper_and_of_ours(finished: Finished) -> None:
    found = lines_of(finished, "table5")
    assert [line["family"] for line in found] == [str(family) for family in range(24)]
    assert float(found[19]["printed_alignment_r2"]) == -10.7378
    with np.load(finished.folder / "mnist4_dihyfo2" / "alignment" / "2.npz") as arrays:
        targets, observed = arrays["targets"], arrays["observed"]
    spread = np.square(targets - targets.mean()).sum()
    r2 = 1.0 - np.square(observed - targets[None]).sum(1) / spread
    pearson = [np.corrcoef(targets, family)[0, 1] for family in observed]
    assert len(r2) == 3
    np.testing.assert_allclose([float(line["ours_alignment_r2"]) for line in found[:3]], r2, rtol=1e-6)
    np.testing.assert_allclose([float(line["ours_alignment_pearson"]) for line in found[:3]], pearson, rtol=1e-6)
    assert {line["ours_alignment_r2"] for line in found[3:]} == {""}
    page = (finished.folder / "paper" / "table5.md").read_text(encoding="utf-8")
    assert f"| average | -0.4911 | 0.7968 | {r2.mean():.4f} | {np.mean(pearson):.4f} |" in page
