"""The ledger of a run: deletion requests that were answered with a model for others, and purges that closed them.

A request stays open until its classes are purged; answers compose: a model that is exported later forgets the classes of all open
requests too. One JSON line an entry, each with its own checksum and that of the line before.
"""

import datetime
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, locks, records

LEDGER = "ledger.jsonl"
REMEDY = "restore it from a copy: it says which requests are open"


def entries(folder: Path) -> list[dict[str, Any]]:
    """All entries of a run's ledger, oldest first.

    Raises:
      HyperForgetError: a line is damaged, or one is missing between others; names it.
    """
    path = folder / LEDGER
    if not path.exists():
        return []
    found, before = list[dict[str, Any]](), ""
    for number, line in enumerate(_lines(path), 1):
        try:
            entry: Any = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not records.is_sealed(entry) or line != json.dumps(entry):
            raise HyperForgetError(f"line {number} of {path} is damaged: {REMEDY}")
        if entry.get("previous") != before or entry.get("number") != number:
            raise HyperForgetError(f"line {number} of {path} does not follow the line before: {REMEDY}")
        found, before = [*found, entry], _digest(line)
    return found


def open_labels(ledger: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Labels of the classes of requests that no purge has closed, in rising order."""
    still = set[int]()
    for entry in ledger:
        still = still - {*entry["purged"]} if entry["kind"] == "purge" else still | {*entry["forget"]}
    return tuple(sorted(still))


def composed(folder: Path, forget: Sequence[int], classes: Sequence[int]) -> tuple[int, ...]:
    """Labels of a request in rising order, with those of the run's open requests that are classes of its data."""
    return tuple(sorted({*forget, *(set(open_labels(entries(folder))) & {*classes})}))


def enter(folder: Path, kind: str, values: Mapping[str, Any]) -> None:
    """Adds an entry with its number and date; a line that a killed process left unfinished is removed first.

    Args:
      folder: of the run.
      kind: "answer" with `forget`, or "purge" with `purged`.
      values: what else it tells, JSON-ready.

    Raises:
      HyperForgetError: the ledger is damaged, or cannot be written.
    """
    path = folder / LEDGER
    with (
        artifacts.writing_errors(path),
        path.open("a+b") as file,
        locks.exclusive(file.fileno(), path.with_name(f"{LEDGER}.holder"), wait=True),
    ):
        before, number = _lines(path), len(entries(folder)) + 1
        file.truncate(sum(len(line.encode()) + 1 for line in before))
        file.write(_line(number, before[-1] if before else None, kind, _now(), values).encode())
        file.flush()
        os.fsync(file.fileno())


def purged(source: Path, target: Path, labels: Sequence[int]) -> None:
    """Writes the ledger of a purged system: dates and classes of the entries so far, nothing of models, and the purge.

    Args:
      source: folder of the run before.
      target: of the purged system.
      labels: of the classes that are purged now.
    """
    told: list[tuple[str, str, dict[str, Any]]] = [
        (each["kind"], each["date"], {name: each[name] for name in ("forget", "purged") if name in each})
        for each in entries(source)
    ]
    lines = list[str]()
    for number, (kind, date, values) in enumerate([*told, ("purge", _now(), {"purged": sorted(labels)})], 1):
        lines.append(_line(number, lines[-1][:-1] if lines else None, kind, date, values))
    artifacts.write_text(target / LEDGER, "".join(lines))


def _line(number: int, before: str | None, kind: str, date: str, values: Mapping[str, Any]) -> str:
    previous = "" if before is None else _digest(before)
    entry = {"number": number, "kind": kind, "date": date, **values, "previous": previous}
    return json.dumps(records.sealed(entry), allow_nan=False) + "\n"


def _lines(path: Path) -> list[str]:
    """The whole lines of a ledger."""
    return path.read_bytes().decode(errors="replace").split("\n")[:-1]


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
