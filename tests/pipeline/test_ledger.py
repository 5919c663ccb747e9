"""The ledger: requests compose until a purge closes them, every changed byte is found, and two processes lose no entry."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import ledger
from hyperforget_jax.pipeline.ledger import LEDGER


def ask(folder: Path, *forget: int) -> None:
    ledger.enter(folder, "answer", {"forget": [*forget], "certificate": "c" * 64})


def test_requests_compose_until_they_are_purged(tmp_path: Path) -> None:
    assert ledger.composed(tmp_path, (3,), range(5)) == (3,)
    ask(tmp_path, 2)
    ask(tmp_path, 4)
    assert ledger.composed(tmp_path, (3,), range(5)) == (2, 3, 4)
    assert ledger.composed(tmp_path, (3,), (1, 2, 3)) == (2, 3)  # a class that the data lack cannot be forgotten
    purged = tmp_path / "purged"
    purged.mkdir()
    ledger.purged(tmp_path, purged, (2,))
    assert ledger.composed(purged, (3,), range(5)) == (3, 4)
    ask(purged, 2)
    assert ledger.open_labels(ledger.entries(purged)) == (2, 4)
    assert [entry["kind"] for entry in ledger.entries(purged)] == ["answer", "answer", "purge", "answer"]


def test_a_purged_ledger_keeps_nothing_of_models(tmp_path: Path) -> None:
    ask(tmp_path, 2)
    (tmp_path / "purged").mkdir()
    ledger.purged(tmp_path, tmp_path / "purged", (2,))
    text = (tmp_path / "purged" / LEDGER).read_text()
    assert "c" * 64 not in text
    assert [set(json.loads(line)) for line in text.splitlines()] == [
        {"number", "kind", "date", name, "previous", "sha256"} for name in ("forget", "purged")
    ]


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    ask(tmp_path, 2)
    ask(tmp_path, 3)
    whole = (tmp_path / LEDGER).read_bytes()
    for place in range(len(whole) - 1):  # the last byte ends the last line: without it that line was never finished
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / LEDGER).write_bytes(changed)
        with pytest.raises(HyperForgetError, match=r"ledger\.jsonl (is damaged|does not follow)"):
            ledger.entries(tmp_path)


def test_a_line_that_is_taken_out_or_exchanged_is_found(tmp_path: Path) -> None:
    for forget in (2, 3, 4):
        ask(tmp_path, forget)
    one, two, three = (tmp_path / LEDGER).read_text().splitlines(keepends=True)
    for lines in ((one, three), (two, three), (two, one, three)):
        (tmp_path / LEDGER).write_text("".join(lines))
        with pytest.raises(HyperForgetError, match="does not follow the line before"):
            ledger.entries(tmp_path)


def test_a_line_that_a_killed_process_left_is_no_entry_and_goes(tmp_path: Path) -> None:
    ask(tmp_path, 2)
    with (tmp_path / LEDGER).open("a") as file:
        file.write('{"number": 2, "ki')
    assert len(ledger.entries(tmp_path)) == 1
    ask(tmp_path, 3)
    assert [entry["forget"] for entry in ledger.entries(tmp_path)] == [[2], [3]]


def test_entries_of_several_writers_are_all_there(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ask(tmp_path, number), range(40)))
    found = ledger.entries(tmp_path)
    assert [entry["number"] for entry in found] == list(range(1, 41))
    assert sorted(entry["forget"][0] for entry in found) == list(range(40))
