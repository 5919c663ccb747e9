"""Rows that are measured once."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import cache
from hyperforget_jax.pipeline.run_folder import FinishedRun
from hyperforget_jax.runtime import artifacts


def test_rows_are_measured_anew_when_a_constant_or_the_hypernetwork_has_changed(
    finished_runs: dict[str, FinishedRun], tmp_path: Path
) -> None:
    theirs = finished_runs["dihyfo2"].run
    run, calls = replace(theirs, folder=tmp_path), list[int]()
    shutil.copytree(theirs.folder / "hypernetwork", tmp_path / "hypernetwork")

    def measured() -> list[dict[str, Any]]:
        calls.append(len(calls))
        return [{"value": len(calls)}]

    def told(share: float) -> float:
        (row,) = cache.rows(run, "part", measured, share=share)
        return float(row["value"])

    assert [told(0.5), told(0.5), told(0.25), told(0.25)] == [1, 1, 2, 2]
    manifest = tmp_path / "hypernetwork" / artifacts.MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert [told(0.25), told(0.25)] == [3, 3]
    (tmp_path / "part" / "results" / "results.jsonl").write_text('{"value": 9}\n', encoding="utf-8")
    with pytest.raises(HyperForgetError, match=r"results\.jsonl .*manifest"):
        told(0.25)
