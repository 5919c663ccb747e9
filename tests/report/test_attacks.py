"""Lines of attacks: distances are means of clipped z-scores, and what lies outside the reference's range says so."""

import numpy as np
import pytest

from hyperforget_jax.attacks.result import AttackResult
from hyperforget_jax.attacks.suite import line
from hyperforget_jax.report import attacks

REFERENCE = np.array([0.0, 1.0, 2.0, 3.0, 4.0])  # mean 2, standard deviation sqrt(2.5)


def result(attack: str, value: float) -> AttackResult:
    return AttackResult(attack, np.full(3, value), REFERENCE)


def test_the_distance_of_a_family_is_the_mean_of_clipped_z_scores() -> None:
    spread = np.sqrt(2.5)
    lines = [
        line("near", (2,), result("entropy", 2.0)),
        line("near", (2,), result("margin_auc", 2.0 + spread)),
        line("near", (3,), result("margin_auc", 2.0 - 3 * spread)),
        line("far", (2,), result("entropy", 1e6)),
        line("far", (2,), AttackResult("cmia", np.ones(2), np.zeros(4))),
    ]
    table = attacks.distances(lines)
    assert list(table.index) == ["near", "far"]
    assert list(table.columns) == ["membership", "neighbour classes"]
    assert table.loc["near", "membership"] == pytest.approx((0 + 1 + 3) / 3)
    assert np.isnan(table.loc["near", "neighbour classes"])
    assert table.loc["far"].tolist() == [attacks.FARTHEST, attacks.FARTHEST]


def test_a_line_is_ready_for_json_and_says_where_it_lies() -> None:
    far = line("far", (2, 3), AttackResult("cmia", np.ones(2), np.zeros(4)))
    assert far["z"] is None
    assert (far["position"], far["family"], far["forget_set"]) == ("above", "neighbour classes", [2, 3])
    printed = attacks.texts([far, line("near", (2,), result("entropy", 2.0))])
    assert printed["z"].tolist() == ["–", "0.0"]
    assert printed["Position"].tolist() == ["above", "inside"]
    assert printed["Forget"].tolist() == ["{2, 3}", "{2}"]


def test_the_heatmap_frames_what_lies_outside() -> None:
    lines = [line("near", (2,), result("entropy", 2.0)), line("far", (2,), result("entropy", 99.0))]
    panel = attacks.heatmap(lines).axes[0]
    assert [patch.get_x() for patch in panel.patches] == [pytest.approx(1.03)]
    assert {text.get_text() for text in panel.texts} == {"2.000", "99.000"}
