"""Which runs a purge keeps, and what is left of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import num_weights
from hyperforget_jax.zoo import purge, storage
from hyperforget_jax.zoo.storage import Block
from tests.small_zoo import MADE_FROM, SIZES, contents

OURS = {"seed": 8, "task.purged": [2]}


def block(run: list[int], exposures: list[Any]) -> Block:
    """Checkpoints of some runs with these exposures."""
    count = len(run)
    values = np.linspace(0.0, 0.9, count * 4, dtype=np.float32).reshape(count, 4)
    return Block(
        weights=np.arange(count * num_weights(SIZES), dtype=np.float32).reshape(count, -1),
        losses=values,
        accuracies=values.copy(),
        run=np.array(run, np.int32),
        progress=np.linspace(0.5, 1.0, count, dtype=np.float32),
        exposures=np.array(exposures, np.float32).reshape(count, 4),
        learning_rate=np.full(count, 0.1, np.float32),
        tally=np.zeros((3, 4), np.int64),
    )


def test_a_run_stays_if_none_of_its_checkpoints_has_used_an_image() -> None:
    rows = [[1, 1, 0, 1], [1, 1, 0, 0.5], [1, 1, 1e-6, 0], [1, 1, 0, 0], [1, 1, float("nan"), 0]]
    some = block([4, 5, 5, 7, 8], rows)
    assert purge.never_saw(some, [2]).tolist() == [True, False, False, True, False]
    assert purge.never_saw(some, [3]).tolist() == [False, False, False, True, True]
    assert purge.never_saw(some, [2, 3]).tolist() == [False, False, False, True, False]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A zoo of three blocks, the last of which was added for coverage; run 1 has seen class 2 at its end."""
    folder = tmp_path / "zoo"
    storage.write_block(
        folder, 0, block([0, 0, 1, 1], [[1, 1, 0, 1], [1, 1, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1]]), MADE_FROM
    )
    storage.write_block(folder, 1, block([3], [[1, 1, 1, 1]]), MADE_FROM)
    storage.write_block(folder, 2, block([6, 7], [[1, 1, 0, 0], [1, 1, 1, 1]]), MADE_FROM)
    with storage.new_summary(folder) as summary:
        tallies = {name: [7, 0, 0, 0] for name in ("trained", "good", "kept")}
        summary.update(made_from=dict(MADE_FROM), blocks=3, added_blocks=1, clean_blocks=1, checkpoints=7, short=[])
        summary.update(clean_codes=[1, 2, 3], forgettable=[2, 3], **tallies)
    return folder


def test_what_stays_of_a_zoo_by_hand(source: Path, tmp_path: Path) -> None:
    kept = purge.kept_runs(source, MADE_FROM, [2])
    assert kept.runs == [{"block": 0, "run": 0, "checkpoints": 2}]
    assert kept.numbers.tolist() == [0]
    assert kept.removed == 4
    before = contents(source)
    purge.purge_zoo(source, MADE_FROM, tmp_path / "purged", OURS, [2])
    assert contents(source) == before
    zoo, old = storage.read(tmp_path / "purged", OURS), storage.read(source, MADE_FROM).take(np.arange(2))
    assert zoo.run.tolist() == [0, 0]
    for name in ("weights", "progress", "exposures", "learning_rate"):
        np.testing.assert_array_equal(np.asarray(getattr(zoo, name)), np.asarray(getattr(old, name)))
    for name in ("losses", "accuracies"):
        expected = getattr(old, name).copy()
        expected[:, 2] = np.nan
        np.testing.assert_array_equal(getattr(zoo, name), expected)
    summary = storage.read_summary(tmp_path / "purged")
    assert summary is not None
    assert (summary["blocks"], summary["added_blocks"], summary["checkpoints"]) == (2, 0, 2)
    assert summary["clean_codes"] == [1, 3]
    # class 2 counts as high, class 3 is so at an accuracy of at most 0.5: both of these checkpoints
    assert summary["kept"] == summary["trained"] == [0, 0, 0, 2]


def test_a_stopped_purge_goes_on_and_another_zoos_blocks_are_refused(source: Path, tmp_path: Path) -> None:
    purge.purge_zoo(source, MADE_FROM, tmp_path / "purged", OURS, [2])
    whole = contents(tmp_path / "purged")
    (tmp_path / "purged" / "zoo.json").unlink()
    purge.purge_zoo(source, MADE_FROM, tmp_path / "purged", OURS, [2])
    assert contents(tmp_path / "purged") == whole
    with pytest.raises(HyperForgetError, match="was made by another config"):
        purge.purge_zoo(source, MADE_FROM, tmp_path / "purged", OURS | {"task.purged": [3]}, [3])
    (source / "zoo.json").unlink()
    with pytest.raises(HyperForgetError, match="holds no complete zoo, and a purge keeps runs of it: restore it"):
        purge.kept_runs(source, MADE_FROM, [2])
