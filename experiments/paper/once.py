"""Tidy rows that are measured when a table first asks for them, and read afterwards."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hyperforget_jax import records


def rows(folder: Path, measured: Callable[[], Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of `results.jsonl` in a folder, which is made if it is missing; the file is whole or not there."""
    path = folder / "results.jsonl"
    if not path.exists():
        with records.writing_errors(folder):
            folder.mkdir(exist_ok=True)
        records.write_rows(path, measured())
    return records.read_rows(path)
