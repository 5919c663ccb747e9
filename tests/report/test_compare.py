"""The comparison's table: ranks leave exact methods out, distances are means over families, and what is nearer is named."""

import numpy as np
import pytest

from hyperforget_jax.attacks.result import AttackResult
from hyperforget_jax.attacks.suite import line
from hyperforget_jax.report import compare

REFERENCE = np.array([-1.0, 0.0, 1.0])  # mean 0, standard deviation 1


def summary(name: str, exact: bool, retain: float, forget: float) -> dict[str, object]:
    sets = [
        {"forget_set": [2], "retain": retain, "forget": 0.0, "settings": {"alpha": 0.5}},
        {"forget_set": [3], "retain": retain - 0.2, "forget": forget, "settings": {}},
    ]
    worst = {"forget_set": [3], "retain": retain - 0.2, "forget": forget}
    return {"name": name, "summary": {"exact": exact, "seconds": 0.002, "flops": 3e6, "sets": sets, "worst": worst}}


def lines(name: str, entropy: float, cmia: float) -> list[dict[str, object]]:
    values = {"entropy": entropy, "cmia": cmia}
    return [line(name, (2,), AttackResult(each, np.array([value]), REFERENCE)) for each, value in values.items()]


COMPARED = [
    summary("control", True, 0.9, 0.0),
    summary("ours", False, 0.9, 0.0),
    summary("rival", False, 0.8, 0.3),
    summary("far", False, 0.7, 0.0),
]
LINES = [*lines("control", 0.0, 0.1), *lines("ours", 1.0, 0.2), *lines("rival", 0.5, 2.0), *lines("far", 30.0, 4.0)]


def test_distances_ranks_and_accuracies() -> None:
    table = compare.frame(COMPARED, LINES).set_index("method")
    assert compare.families_of(table) == ["membership", "neighbour classes"]
    assert table["distance"].to_dict() == pytest.approx({"control": 0.05, "ours": 0.6, "rival": 1.25, "far": 7.0})
    assert np.isnan(table.loc["control", "rank"])
    assert table["rank"].drop("control").to_dict() == {"ours": 1.5, "rival": 1.5, "far": 3.0}
    assert table.loc["rival", "retain"] == pytest.approx(0.7)
    assert table.loc["rival", "forget"] == 0.3


def test_what_is_nearer_than_ours_is_named_and_exact_methods_are_not() -> None:
    found = compare.nearer(compare.frame(COMPARED, LINES), "ours")
    assert found["Method"].tolist() == ["rival", "far"]
    assert found["Families nearer than ours"].tolist() == ["1", "0"]
    assert found["Which"].tolist() == ["membership", "–"]


def test_the_page_has_the_nearest_first_and_the_figures_tell_methods_apart() -> None:
    table = compare.frame(COMPARED, LINES)
    assert compare.texts(table)["Method"].tolist() == ["control (exact)", "ours", "rival", "far"]
    assert compare.texts(table)["Worst set"][2] == "{3}: 0.6000, 0.3000"
    page = compare.page(COMPARED, table, "ours", {"rival": "it has no images"})
    assert "- `rival`, 0.3000: it has no images.\n" in page
    assert "`far`," not in page
    assert "| rival    | {2}      |" in page
    assert "alpha 0.5" in page
    panel, names = compare.pareto(table, ["ours"]).axes
    assert [text.get_text() for text in names.texts] == ["1  control", "2  ours", "3  rival", "4  far"]
    hollow = [mark for mark in panel.lines if len(mark.get_xdata()) and mark.get_markerfacecolor() == "none"]  # type: ignore[arg-type]
    assert len(hollow) == 1
    assert {text.get_text() for text in compare.heatmap(table).axes[0].texts} >= {"0.00", "10.00", "4.00"}
