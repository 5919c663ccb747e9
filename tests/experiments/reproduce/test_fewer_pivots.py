"""Fewer pivots beside the usual ones."""

import re
from typing import Any

import pytest

from hyperforget_jax.runtime import artifacts
from tests.small_paper import PIVOTS, Finished, lines_of, value_of


def test_what_a_pivot_forbids_is_a_dash_beside_fewer_pivots(finished: Finished) -> None:
    found = {line["about"]: line for line in lines_of(finished, PIVOTS)}
    assert list(found) == ["{0}", "{2}", "{0, 2}"]
    for forget, line in found.items():
        assert (line["selected, pivots {0, 1}"] == "") == (forget != "{2}")
    for name, pivots in (("mnist4", "pivots {0, 1}"), ("mnist4_nopivots", "no pivots")):
        rows = artifacts.read_rows(finished.folder / f"{name}_dihyfo2" / "results.jsonl")
        about: dict[str, Any] = {"forget_set": [2], "metric": "retain_accuracy"}
        selected = value_of(rows, **about, selection="selected", statistic="mean")
        reference = value_of(rows, **about, method="retrain", statistic="median")
        assert float(found["{2}"][f"selected, {pivots}"]) == selected
        assert float(found["{2}"][f"gap, {pivots}"]) == pytest.approx(reference - selected)
    worst = max(found, key=lambda forget: float(found[forget]["gap, no pivots"]))
    page = (finished.folder / "paper" / f"{PIVOTS}.md").read_text(encoding="utf-8")
    assert f"The worst with fewer pivots, of the 3 that were asked, is {worst}: " in page
    assert re.search(r"pivots \{0, 1\}: [\d,]+ checkpoints of \d combinations of losses, [\d,]+ training steps", page)
    assert re.search(r"no pivots: [\d,]+ checkpoints of \d+ combinations of losses, [\d,]+ training steps", page)
    told = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| class ")]
    assert [cells[0].strip() for cells in told] == ["class 0", "class 1", "class 2", "class 3"]
    dashes = [[cell.strip() == "–" for cell in cells[1:4]] for cells in told]  # R² of either, and on the usual grid
    assert dashes == 2 * [[True, False, True]] + 2 * [[False, False, False]]
