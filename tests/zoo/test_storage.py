"""Shards on disk: read back as they were written, by plain numpy too, lazily, and never when something is wrong with them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.zoo import storage
from hyperforget_jax.zoo.memmap import Rows
from hyperforget_jax.zoo.storage import Block, Zoo
from tests.small_zoo import contents

Numbers = np.ndarray[Any, Any]
MADE_FROM = {"seed": 3, "zoo.runs": 4, "zoo.keep_rate": [0.1, 0.3]}
COLUMNS = [item.name for item in fields(Zoo)]


def block(runs: list[int], dtype: str = "float32") -> Block:
    """Checkpoints of given runs."""
    noise, count = np.random.default_rng([len(runs), *runs]), len(runs)
    return Block(
        weights=noise.normal(size=(count, 5)).astype(np.float32).astype(dtype),
        losses=noise.exponential(size=(count, 4)).astype(np.float32),
        accuracies=noise.random((count, 4)).astype(np.float32),
        run=np.array(runs, np.int32),
        progress=np.linspace(0, 1, count, dtype=np.float32),
        exposures=noise.random((count, 4)).astype(np.float32),
        learning_rate=noise.random(count).astype(np.float32),
        tally=noise.integers(0, 9, (3, 4)),
    )


def write(folder: Path, *blocks: Block, made_from: dict[str, Any] = MADE_FROM) -> None:
    """A complete zoo."""
    for number, each in enumerate(blocks):
        storage.write_block(folder, number, each, made_from)
    with storage.new_summary(folder) as summary:
        summary.update(made_from=made_from, blocks=len(blocks))


def assert_same(ours: Zoo | Block, theirs: Zoo | Block) -> None:
    for name in COLUMNS:
        mine, expected = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        np.testing.assert_array_equal(mine, expected, err_msg=name)
        assert mine.dtype == expected.dtype


# What is written can be read.


def test_blocks_are_read_in_their_order(tmp_path: Path) -> None:
    first, second = block([0, 0, 1]), block([2, 3])
    storage.write_block(tmp_path, 1, second, MADE_FROM)
    assert not storage.is_stored(tmp_path, 0, MADE_FROM)
    storage.write_block(tmp_path, 0, first, MADE_FROM)
    assert storage.is_stored(tmp_path, 0, MADE_FROM)
    with storage.new_summary(tmp_path) as summary:
        summary.update(made_from=MADE_FROM, blocks=2)
    zoo = storage.read(tmp_path, MADE_FROM)
    assert len(zoo) == 5
    assert zoo.weights.shape == (5, 5)
    assert_same(zoo.take(np.arange(3)), first)
    assert_same(zoo.take(zoo.run >= 2), second)
    np.testing.assert_array_equal(storage.read_tally(tmp_path, 1), second.tally)


def test_a_block_without_checkpoints_can_be_stored(tmp_path: Path) -> None:
    write(tmp_path, block([]), block([0, 1]), block([]))
    assert_same(storage.read(tmp_path, MADE_FROM), block([0, 1]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_type_of_weights_comes_back_and_plain_numpy_reads_it(tmp_path: Path, dtype: str) -> None:
    written = block([0, 1, 1], dtype)
    write(tmp_path, written)
    opened = storage.read_block(tmp_path, 0, MADE_FROM)
    assert opened.weights.dtype == dtype
    expected = written.weights.astype(np.float32)
    np.testing.assert_array_equal(opened.weights.astype(np.float32), expected)
    zoo = storage.read(tmp_path, MADE_FROM)
    assert np.asarray(zoo.weights).dtype == np.float32
    np.testing.assert_array_equal(zoo.weights, expected)

    plain = np.load(tmp_path / "block-00000" / "weights.npy", mmap_mode="r", allow_pickle=False)
    assert plain.dtype == {"bfloat16": np.uint16}.get(dtype, np.dtype(dtype))
    if dtype == "bfloat16":
        plain = (plain.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(plain.astype(np.float32), expected)


def test_every_other_array_is_plain_numpy_of_the_documented_type(tmp_path: Path) -> None:
    write(tmp_path, block([0, 1]))
    types = {path.stem: np.load(path, allow_pickle=False).dtype for path in tmp_path.rglob("*.npy")}
    assert types == {
        **dict.fromkeys(["weights", "losses", "accuracies", "progress", "exposures", "learning_rate"], np.float32),
        **{"run": np.int32, "tally": np.int64},
    }


def test_the_manifest_tells_what_a_block_was_made_from(tmp_path: Path) -> None:
    storage.write_block(tmp_path, 2, block([0]), MADE_FROM)
    manifest = json.loads((storage.block_folder(tmp_path, 2) / "manifest.json").read_text())
    assert manifest["made_from"] == {**MADE_FROM, "block": 2, "format": storage.FORMAT}
    assert set(manifest["files"]) == {f"{name}.npy" for name in (*COLUMNS, "tally")}


# Rows.


@given(
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=5), seed=st.integers(0, 2**32 - 1), depth=st.integers(0, 3)
)
def test_rows_over_shards_are_those_of_one_array_however_they_are_chosen(
    sizes: list[int], seed: int, depth: int
) -> None:
    noise = np.random.default_rng(seed)
    shards = [noise.normal(size=(size, 3)).astype(np.float32) for size in sizes]
    rows, expected = Rows(shards), np.concatenate(shards)
    for _ in range(depth):
        chosen = noise.integers(0, max(1, len(expected)), len(expected))  # in any order, and twice
        mask = noise.random(len(expected)) < 0.7
        rows, expected = rows[chosen][mask], expected[chosen][mask]
    places = noise.permutation(len(expected))[: len(expected) // 2 + 1]
    assert len(rows) == len(expected)
    assert rows.shape == expected.shape
    assert rows.nbytes == expected.nbytes
    np.testing.assert_array_equal(rows.read(places), expected[places])
    np.testing.assert_array_equal(rows.read(slice(1, 4)), expected[1:4])
    np.testing.assert_array_equal(np.asarray(rows), expected)


class Watched:
    """A shard that notes which of its rows are read."""

    def __init__(self, values: Numbers) -> None:
        self.values, self.shape, self.seen = values, values.shape, set[int]()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, numbers: Numbers) -> Numbers:
        self.seen |= set(numbers.tolist())
        return self.values[numbers]


def test_only_the_rows_asked_for_are_read() -> None:
    shards: list[Any] = [Watched(np.full((4, 2), value, np.float32)) for value in range(3)]
    rows = Rows(shards)[np.arange(12)[::-1]][2:]  # from row 9 down
    assert [shard.seen for shard in shards] == [set(), set(), set()]
    np.testing.assert_array_equal(rows.read(np.array([0, 9, 1]))[:, 0], [2, 0, 2])
    assert [shard.seen for shard in shards] == [{0}, set(), {0, 1}]


def test_weights_stay_on_disk_until_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, block([0, 1]), block([2, 3]))
    zoo = storage.read(tmp_path, MADE_FROM).take(np.array([3, 0]))
    path = tmp_path / "block-00001" / "weights.npy"
    file = np.load(path, mmap_mode="r+", allow_pickle=False)
    file[1] = 7.0
    file.flush()
    np.testing.assert_array_equal(zoo.weights.read(np.array([0])), np.full((1, 5), 7.0))


# Some of them.


@pytest.mark.parametrize(
    ("count", "rows"), [(0, []), (1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (5, [0, 1, 2, 4, 5]), (99, range(7))]
)
def test_evenly_spaced_checkpoints_by_hand(tmp_path: Path, count: int, rows: Sequence[int]) -> None:
    write(tmp_path, block([0, 0, 1, 1]), block([2, 2, 3]))
    zoo = storage.read(tmp_path, MADE_FROM)
    assert_same(zoo.spaced(count), zoo.take(np.array(rows, np.int64)))
    assert len(zoo.take(zoo.run > 3).spaced(count)) == 0  # none of none


@given(number=st.integers(1, 60), count=st.integers(1, 70))
def test_steps_between_spaced_checkpoints_differ_by_one_at_most(number: int, count: int) -> None:
    whole = block([*range(number)])
    zoo = Zoo(Rows([whole.weights]), *(getattr(whole, name) for name in COLUMNS[1:]))
    rows = zoo.spaced(count).run
    assert len(rows) == min(count, number)
    assert rows[0] == 0
    assert np.ptp(np.diff([*rows, number])) <= 1  # the step to the end too


# Split.


@pytest.mark.parametrize(("share", "held_out"), [(0.1, {9}), (0.25, {8, 9}), (0.5, {5, 6, 7, 8, 9})])
def test_the_split_is_by_whole_runs_and_loses_none(tmp_path: Path, share: float, held_out: set[int]) -> None:
    runs = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 3)).tolist()
    write(tmp_path, block(runs))
    zoo = storage.read(tmp_path, MADE_FROM)
    known, unknown = zoo.split(10, share)
    assert set(unknown.run.tolist()) == held_out
    assert set(known.run.tolist()) == set(range(10)) - held_out
    both = np.concatenate([known.weights, unknown.weights])
    np.testing.assert_array_equal(np.sort(both[:, 0]), np.sort(np.asarray(zoo.weights)[:, 0]))


def test_runs_added_for_coverage_are_all_for_training(tmp_path: Path) -> None:
    write(tmp_path, block([0, 1, 2, 3]), block([4, 5]))
    known, unknown = storage.read(tmp_path, MADE_FROM).split(4, 0.25)
    assert known.run.tolist() == [0, 1, 2, 4, 5]
    assert unknown.run.tolist() == [3]


# What is wrong is named.


@pytest.mark.parametrize("name", ["weights", "losses"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path, name: str, value: float) -> None:
    broken = block([5, 8])
    getattr(broken, name)[1, 2] = value
    with pytest.raises(HyperForgetError, match=rf"block-00003 has {name} of run 8 .* not finite.*zoo\.learning_rate"):
        storage.write_block(tmp_path, 3, broken, MADE_FROM)
    assert list(tmp_path.iterdir()) == []


def read_all(folder: Path, made_from: dict[str, Any]) -> None:
    storage.read(folder, made_from)


def ask_whether_stored(folder: Path, made_from: dict[str, Any]) -> None:
    storage.is_stored(folder, 0, made_from)


def read_one(folder: Path, made_from: dict[str, Any]) -> None:
    storage.read_block(folder, 0, made_from)


LOOKS = pytest.mark.parametrize("look", [read_all, ask_whether_stored, read_one])
Look = Callable[[Path, dict[str, Any]], None]


@LOOKS
def test_another_configs_zoo_is_refused_with_the_fields_that_differ(tmp_path: Path, look: Look) -> None:
    write(tmp_path, block([0]))
    with pytest.raises(HyperForgetError) as refusal:
        look(tmp_path, {**MADE_FROM, "zoo.runs": 5, "zoo.keep_rate": [0.2, 0.3]})
    told = str(refusal.value)
    assert "zoo.runs: 4 there, 5 here" in told
    assert "zoo.keep_rate: [0.1, 0.3] there, [0.2, 0.3] here" in told
    assert "seed" not in told
    assert "zoo.folder" in told
    assert "\n" not in told


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a JSON file."""
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(records.sealed(told)))


@LOOKS
def test_another_version_of_the_format_is_refused(tmp_path: Path, look: Look) -> None:
    write(tmp_path, block([0]))
    edit(tmp_path / "zoo.json", lambda told: told.update(format=99))
    edit(tmp_path / "block-00000" / "manifest.json", lambda told: told["made_from"].update(format=99))
    with pytest.raises(HyperForgetError, match=rf"has format 99, this version reads {storage.FORMAT}: "):
        look(tmp_path, MADE_FROM)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["weights", "losses", "run", "tally"])
def test_a_harmed_file_is_named_with_its_remedy(tmp_path: Path, harm: Callable[[Path], None], name: str) -> None:
    write(tmp_path, block([0, 0]), block([1, 1]))
    harm(tmp_path / "block-00001" / f"{name}.npy")
    with pytest.raises(HyperForgetError, match=rf"block-00001/{name}\.npy .*delete .*block-00001 and run"):
        storage.read(tmp_path, MADE_FROM)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["weights", "losses"])
def test_numbers_that_are_not_finite_are_found_even_if_the_manifest_agrees(
    tmp_path: Path, name: str, dtype: str
) -> None:
    place = tmp_path / "block-00000"
    write(tmp_path, block([6, 9, 9], dtype))
    path = place / f"{name}.npy"
    values = np.load(path, allow_pickle=False)
    values[1, 3] = np.array([np.nan], jnp.bfloat16).view(np.uint16)[0] if values.dtype == np.uint16 else np.nan
    np.save(path, values, allow_pickle=False)
    edit(place / "manifest.json", lambda told: told["files"][path.name].update(sha256=artifacts.checksum(path)))
    artifacts.verify(place)
    with pytest.raises(HyperForgetError, match=rf"block-00000 has {name} of run 9 .* not finite: delete"):
        storage.read(tmp_path, MADE_FROM)


def test_a_zoo_without_summary_is_incomplete(tmp_path: Path) -> None:
    assert storage.read_summary(tmp_path) is None
    storage.write_block(tmp_path, 0, block([0]), MADE_FROM)
    assert storage.read_summary(tmp_path) is None
    with pytest.raises(HyperForgetError, match="holds no complete zoo"):
        storage.read(tmp_path, MADE_FROM)


def test_a_summary_that_is_no_json_is_named(tmp_path: Path) -> None:
    write(tmp_path, block([0]))
    truncate(tmp_path / "zoo.json")
    truncate(tmp_path / "zoo.json")
    with pytest.raises(HyperForgetError, match=r"zoo\.json is damaged: delete it and run again"):
        storage.read(tmp_path, MADE_FROM)


def test_a_zoo_whose_block_was_deleted_is_incomplete(tmp_path: Path) -> None:
    """So that the remedy of a harmed block can be followed: delete it and run again."""
    write(tmp_path, block([0]), block([1]))
    before = contents(tmp_path)
    for file in (tmp_path / "block-00000").iterdir():
        file.unlink()
    assert storage.read_summary(tmp_path) is None
    storage.write_block(tmp_path, 0, block([0]), MADE_FROM)
    assert storage.read_summary(tmp_path) is not None
    assert contents(tmp_path) == before


def test_a_shard_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path, block([0, 1]))
    storage.write_block(tmp_path, 0, block([3]), MADE_FROM)
    assert_same(storage.read(tmp_path, MADE_FROM), block([3]))
