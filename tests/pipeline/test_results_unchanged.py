"""The numbers of the whole path are those of before the package was laid out anew; only names of metrics and selections changed.

`results_before/` holds `results.jsonl` of three configs as they were, and the machine that made them. XLA chooses instructions by the
processor and Eigen its summation order by the number of cores, so numbers are equal to the last digit on the same kind of machine with
the same JAX, and to a relative 1e-5 elsewhere.
"""

import gzip
import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from hyperforget_jax.metrics.results import COLUMNS
from hyperforget_jax.runtime import artifacts

BEFORE = Path(__file__).parent / "results_before"
ROOT = Path(__file__).parents[2]
RENAMED: dict[str, dict[Any, Any]] = {
    "selection": {"pass1": "all", "best": "selected"},
    "ideal": {"cloud": "reference"},
}
"""Column to its old values and what they are called now; every other value stays."""
COMMANDS = {
    "smoke_dihyfo1": ("run", "--config", "smoke_dihyfo1"),
    "smoke_dihyfo2": ("run", "--config", "smoke_dihyfo2"),
    "quickstart": (
        *("quickstart", "--request.prompts", "best", "--request.trial-samples", "64", "--sampling.temperature", "0.7"),
        *("--hypernetwork.exposure", "False", "--diffusion.class-dropout", "0", "--diffusion.kind-dropout", "0"),
        *("--codec.kind", "functional", "--loader.clean-share", "0"),
    ),
}
"""Those numbers are of one best prompt, which 64 models each had judged in one round, asked by losses alone."""


SAME_ZOO = ("--zoo.min-clean-runs", "0")
"""No runs are added for clean coverage, which those numbers are older than."""


def machine() -> dict[str, Any]:
    """What decides the last digits: the processor, its instructions, the cores in use, and JAX."""
    info = dict(
        (part.strip() for part in line.split(":", 1))
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    flags = hashlib.sha256(" ".join(sorted(info.get("flags", "").split())).encode()).hexdigest()[:16]
    cores = len(os.sched_getaffinity(0))
    return {"processor": info.get("model name"), "flags": flags, "cores": cores, "jax": version("jax")}


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    """An old row under the names of today."""
    return {
        name: RENAMED.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in row.items()
    }


def before(name: str) -> list[dict[str, Any]]:
    """The old rows of a config under the names of today."""
    lines = gzip.decompress((BEFORE / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
    return [renamed(json.loads(line)) for line in lines]


def nearly(row: dict[str, Any]) -> dict[str, Any]:
    """An old row that equals rows with the same words and counts, and numbers within a relative 1e-5."""
    numbers = {name: row[name] for name in ("value", "low", "high") if row[name] is not None}
    return row | {name: pytest.approx(number, rel=1e-5, abs=1e-7) for name, number in numbers.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_is_that_of_before(name: str, tmp_path: Path) -> None:
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XLA_"))}
    command = [sys.executable, "-m", "hyperforget_jax", *COMMANDS[name], "--workdir", str(tmp_path / "run"), *SAME_ZOO]
    subprocess.run(command, cwd=ROOT, env=settings, check=True, stdout=subprocess.DEVNULL)
    expected = before(name)
    metrics, methods = ({row[column] for row in expected} for column in ("metric", "method"))
    rows = [
        row
        for row in artifacts.read_rows(tmp_path / "run" / "results.jsonl")
        if row["metric"] in metrics and row["method"] in methods  # others are younger
    ]
    assert [tuple(row) for row in rows] == [COLUMNS] * len(expected)
    same_machine = machine() == json.loads((BEFORE / "machine.json").read_text(encoding="utf-8"))
    assert rows == (expected if same_machine else [nearly(row) for row in expected])


def test_another_machine_may_differ_in_the_last_digits_only() -> None:
    rows = before("quickstart")
    almost = [row | {"value": row["value"] * (1 + 1e-7)} for row in rows]
    assert almost != rows
    assert almost == [nearly(row) for row in rows]
    for change in ({"value": 0.123}, {"n": 7}, {"selection": "best"}, {"low": 2.0}):
        assert (rows[0] | change) != nearly(rows[0])


def test_the_map_names_every_old_selection_and_ideal() -> None:
    rows = [row for name in COMMANDS for row in before(name)]
    assert {row["selection"] for row in rows} == {"all", "selected", None}
    assert {row["ideal"] for row in rows} == {"reference", 0.0, 1.0}
