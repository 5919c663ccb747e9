"""A seeded sample of `nox -s fuzz`; inputs that were faults once; and readers that are faulty, which the harness catches."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from tests import fuzzing
from tests.fuzzed_formats import formats
from tests.fuzzing import Format, attempt, fuzz, same


def no_fault(*fault: object) -> None:
    pytest.fail(repr(fault))


def count_of(inputs: int, folder: Path) -> dict[str, Counter[str]]:
    return {each.name: fuzz(each, inputs, 0, no_fault) for each in formats(folder)}


def test_a_sample_of_every_format_has_no_fault(tmp_path: Path) -> None:
    for name, counts in count_of(60, tmp_path).items():
        assert counts.total() == 60
        assert counts["refused"] > 10, name


@pytest.mark.slow
def test_ten_thousand_inputs_of_every_format_have_no_fault(tmp_path: Path) -> None:
    for counts in count_of(10_000, tmp_path).values():
        assert counts.total() == 10_000


def test_inputs_that_were_faults_are_none(tmp_path: Path) -> None:
    found = 0
    for each in formats(tmp_path):
        before = each.read(each.folder)
        for path in fuzzing.regression_inputs(each.name):
            (name,) = (name for name in each.files if path.name.endswith(f"-{Path(name).name}"))
            whole = (each.folder / name).read_bytes()
            (each.folder / name).write_bytes(path.read_bytes())
            outcome = attempt(each, each.folder, path.stat().st_size, before)
            (each.folder / name).write_bytes(whole)
            assert not outcome.startswith("fault"), (path.name, outcome)
            found += 1
    assert found == len(list(fuzzing.KEPT.iterdir())) > 0


def refuses(folder: Path) -> Any:
    raise HyperForgetError("x is damaged: restore it")


def tells_two_lines(folder: Path) -> Any:
    raise HyperForgetError("x is\ndamaged")


def fails(folder: Path) -> Any:
    raise KeyError("x")


def hangs(folder: Path) -> Any:
    time.sleep(60)


def is_slow(folder: Path) -> Any:
    time.sleep(0.4)
    return 1


def takes_memory(folder: Path) -> Any:
    np.ones(60_000_000)
    return 1


@pytest.mark.parametrize(
    ("read", "checked", "outcome"),
    [
        (refuses, True, "refused"),
        (lambda folder: 1, True, "unchanged"),
        (lambda folder: 2, False, "accepted"),
        (lambda folder: 2, True, "fault: accepted in silence"),
        (tells_two_lines, True, "fault: no line"),
        (fails, True, "fault: KeyError"),
        (hangs, True, "fault: it hangs"),
        (is_slow, True, "fault: 0.4 s"),
        (takes_memory, True, "fault: "),
    ],
)
def test_a_faulty_reader_is_caught(
    read: Callable[[Path], Any], checked: bool, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzzing, "LONGEST", 0.2)
    fuzzing.signal.signal(fuzzing.signal.SIGALRM, fuzzing._stop)
    each = Format("x", tmp_path, ("x",), read, checked)
    if read is is_slow:  # without the alarm, which ends it sooner
        monkeypatch.setattr(fuzzing.signal, "setitimer", lambda *_: None)
    if read is takes_memory:
        monkeypatch.setattr(fuzzing, "LONGEST", 20.0)
    found = attempt(each, tmp_path, 10, 1)
    assert found.startswith(outcome)
    assert ("MB" in found) == (read is takes_memory)


def test_equal_results_are_equal() -> None:
    value = {"a": np.array([1.0, np.nan]), "b": ["x", None]}
    assert same(value, {"a": np.array([1.0, np.nan]), "b": ["x", None]})
    assert not same(value, {"a": np.array([1.0, 2.0]), "b": ["x", None]})
    assert not same(value, {"a": np.array([1.0, np.nan]), "b": ["x"]})
