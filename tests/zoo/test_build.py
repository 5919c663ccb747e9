"""A zoo is the same, byte for byte, whoever builds its blocks, in whatever order, and however often a build is stopped."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.config import ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import num_weights, unflatten
from hyperforget_jax.zoo import build, coverage, storage
from hyperforget_jax.zoo.recipe import NO_AIM, Recipe
from hyperforget_jax.zoo.storage import Zoo
from tests.small_zoo import (
    CONFIG,
    FORGETTABLE,
    MADE_FROM,
    PIVOTS,
    RUNS_OF_BLOCKS,
    SIZES,
    VALIDATION,
    content,
    contents,
    recipe,
)

pytestmark = pytest.mark.usefixtures("programs")
ALL = (0, 1)
PLAIN = {"undersample_probability": 0.0, "deletion_probability": 0.0, "selection_probability": (1.0, 1.0)}
"""Runs that learn everything: classes are high only at their beginning."""


def make(folder: Path, recipe: Recipe, shard: tuple[int, int] = ALL) -> tuple[bool, list[int], list[str]]:
    """Builds; returns whether the zoo is complete, the runs of each block it told of, and the lines it said."""
    told: list[int] = []
    said: list[str] = []
    return build.build(folder, recipe, shard, told.append, said.append), told, said


def read(folder: Path) -> tuple[Zoo, dict[str, Any]]:
    """A complete zoo and its summary."""
    summary = storage.read_summary(folder)
    assert summary is not None
    return storage.read(folder, MADE_FROM), summary


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small zoo; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("zoo")
    assert make(folder, recipe()) == (True, RUNS_OF_BLOCKS, [])
    return folder


# What is stored.


@pytest.mark.parametrize(("runs", "blocks"), [(1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, RUNS_OF_BLOCKS)])
def test_the_last_block_may_be_smaller_and_every_run_is_in_one(runs: int, blocks: list[int]) -> None:
    made = recipe(runs=runs)
    drawn = [made.drawn_runs(number) for number in range(made.num_blocks)]
    assert [len(each) for each in drawn] == blocks
    added = [made.added_runs(number) for number in range(made.num_blocks, made.num_blocks + 2)]
    assert np.concatenate([*drawn, *added]).tolist() == list(range(runs + 6))


def test_stored_checkpoints_are_labelled_with_their_own_scores(built: Path) -> None:
    zoo, _ = read(built)
    assert zoo.weights.shape == (len(zoo), num_weights(SIZES))
    assert len(zoo) > 7
    models = jax.vmap(lambda vector: unflatten(vector, SIZES))(np.asarray(zoo.weights))
    losses, accuracies = classifier.class_scores_of_many(models, *VALIDATION)
    np.testing.assert_allclose(zoo.losses, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(zoo.accuracies, accuracies, atol=1e-6)


def test_every_stored_checkpoint_is_good_on_the_pivots_and_knows_its_run(built: Path) -> None:
    zoo, _ = read(built)
    assert np.all(zoo.accuracies[:, PIVOTS] > CONFIG.pivot_accuracy)
    assert set(zoo.run.tolist()) <= set(range(7))
    assert {0, 1, 2} & set(zoo.run.tolist())
    assert 6 in zoo.run
    assert set(zoo.progress.tolist()) <= {0.25, 0.5, 0.75, 1.0}
    pairs = np.stack([zoo.run, zoo.progress], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(zoo)


def test_runs_differ(built: Path) -> None:
    zoo, _ = read(built)
    assert len(np.unique(np.asarray(zoo.weights), axis=0)) == len(zoo)


def test_the_summary_counts_what_is_stored(built: Path) -> None:
    zoo, summary = read(built)
    codes = coverage.combination(zoo.accuracies, FORGETTABLE)
    assert summary["kept"] == coverage.counts(codes, 2).tolist()
    assert summary["checkpoints"] == len(zoo) == sum(summary["kept"])
    assert sum(summary["trained"]) == 7 * CONFIG.snapshots
    assert np.all(np.array(summary["kept"]) <= summary["good"])
    assert np.all(np.array(summary["good"]) <= summary["trained"])
    assert (summary["blocks"], summary["added_blocks"], summary["short"]) == (3, 0, [])
    assert summary["made_from"] == MADE_FROM
    assert summary["forgettable"] == list(FORGETTABLE)


def test_rounded_weights_are_stored_with_the_labels_of_the_rounded_models(tmp_path: Path) -> None:
    make(tmp_path, recipe(runs=3, dtype="bfloat16"))
    assert storage.read_block(tmp_path, 0, MADE_FROM).weights.dtype == "bfloat16"
    zoo, _ = read(tmp_path)
    models = jax.vmap(lambda vector: unflatten(vector, SIZES))(np.asarray(zoo.weights))
    losses, _ = classifier.class_scores_of_many(models, *VALIDATION)
    np.testing.assert_allclose(zoo.losses, losses, rtol=1e-4, atol=1e-5)


# The same bytes.


def test_a_zoo_built_again_is_the_same_byte_for_byte(built: Path, tmp_path: Path) -> None:
    make(tmp_path, recipe())
    assert content(tmp_path) == content(built)
    assert len(content(built)) == 3 * 8 + 1


def test_a_deleted_block_comes_back_byte_for_byte_and_no_other_is_touched(built: Path, tmp_path: Path) -> None:
    before = content(built)
    kept, deleted = storage.block_folder(built, 1), storage.block_folder(built, 0)
    stamp = (kept / "weights.npy").stat().st_mtime_ns
    for file in deleted.iterdir():
        file.unlink()
    assert make(built, recipe()) == (True, RUNS_OF_BLOCKS, [])
    assert content(built) == before
    assert (kept / "weights.npy").stat().st_mtime_ns == stamp


def test_a_block_made_alone_equals_the_block_made_in_sequence(built: Path) -> None:
    alone = build.make_block(recipe(), 1, np.arange(3, 6), NO_AIM)
    stored = storage.read_block(built, 1, MADE_FROM)
    for name, values in vars(stored).items():
        np.testing.assert_array_equal(getattr(alone, name), values, err_msg=name)
        assert getattr(alone, name).dtype == values.dtype


def test_a_complete_zoo_is_not_trained_again(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(build, "train_block", refuse)
    assert make(built, recipe()) == (True, RUNS_OF_BLOCKS, [])


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_shards_make_the_zoo_of_one_job_in_any_order(built: Path, tmp_path: Path, order: list[int]) -> None:
    runs = [[3, 1], [3]]
    first, last = order
    assert make(tmp_path, recipe(), (first, 2)) == (False, runs[first], [])
    assert not (tmp_path / "zoo.json").exists()
    with pytest.raises(HyperForgetError, match="holds no complete zoo"):
        storage.read(tmp_path, MADE_FROM)
    assert make(tmp_path, recipe(), (last, 2)) == (True, runs[last], [])
    assert content(tmp_path) == content(built)
    assert list(tmp_path.glob("*.partial")) == []


def test_more_shards_than_blocks_do_no_harm(built: Path, tmp_path: Path) -> None:
    done = [make(tmp_path, recipe(), (shard, 5))[0] for shard in range(5)]
    assert done == [False, False, True, True, True]
    assert content(tmp_path) == content(built)


def test_a_block_of_another_config_stops_the_build(tmp_path: Path) -> None:
    make(tmp_path, recipe({"seed": 8, "zoo.runs": 5}, runs=3))
    before = contents(tmp_path)
    with pytest.raises(HyperForgetError, match=r"block-00000 was made by another config \(zoo\.runs: 5 there, 7"):
        make(tmp_path, recipe())
    assert contents(tmp_path) == before


def refusing(name: str, error: Exception) -> Callable[..., None]:
    """A `numpy.save` that fails for one file."""
    save = np.save

    def function(path: Path, *args: Any, **kwargs: Any) -> None:
        if str(path).endswith(name):
            raise error
        save(path, *args, **kwargs)

    return function


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), OSError("512 requested and 0 written")]
)
@pytest.mark.parametrize("name", ["block-00000.partial/losses.npy", "block-00002.partial/weights.npy"])
def test_a_full_disk_is_told_and_after_it_the_zoo_is_the_same(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", refusing(name, error))
        with pytest.raises(HyperForgetError, match=rf"cannot write .*{name[:11]}.*: the disk is full"):
            make(tmp_path, recipe())
    assert not (tmp_path / "zoo.json").exists()
    assert make(tmp_path, recipe()) == (True, RUNS_OF_BLOCKS, [])
    assert contents(tmp_path).keys() == contents(built).keys()
    assert content(tmp_path) == content(built)


# Coverage.


def test_blocks_are_added_until_every_combination_is_reached(tmp_path: Path) -> None:
    wanted = 5
    made = recipe(**PLAIN, min_per_combination=wanted)
    complete, told, said = make(tmp_path, made)
    zoo, summary = read(tmp_path)
    assert complete
    assert told == RUNS_OF_BLOCKS
    assert summary["added_blocks"] == len(said) >= 1
    assert summary["blocks"] == 3 + len(said)
    assert summary["short"] == []
    codes = coverage.combination(zoo.accuracies, FORGETTABLE)
    assert coverage.counts(codes, 2).tolist() == summary["kept"]
    assert min(summary["kept"]) >= wanted
    # one block less, and a combination would fall short
    last_runs = made.added_runs(summary["blocks"] - 1)
    assert coverage.counts(codes[~np.isin(zoo.run, last_runs)], 2).min() < wanted
    assert np.all(zoo.accuracies[:, PIVOTS] > CONFIG.pivot_accuracy)


def test_added_blocks_are_the_same_when_shards_or_a_stopped_build_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(**PLAIN, min_per_combination=5)
    straight, sharded, stopped = (tmp_path / name for name in ("straight", "sharded", "stopped"))
    make(straight, made)
    make(sharded, made, (1, 2))
    make(sharded, made, (0, 2))
    assert content(sharded) == content(straight)
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", refusing("block-00003.partial/run.npy", OSError(errno.ENOSPC, "no space")))
        with pytest.raises(HyperForgetError, match=r"block-00003.*the disk is full"):
            make(stopped, made)
    make(stopped, made)
    assert content(stopped) == content(straight)
    storage.block_folder(stopped, 3).joinpath("manifest.json").unlink()
    make(stopped, made)
    assert content(stopped) == content(straight)


def test_two_jobs_that_end_together_add_the_blocks_of_one(tmp_path: Path) -> None:
    made = recipe(**PLAIN, min_per_combination=5)
    make(tmp_path / "one", made)
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(make, tmp_path / "two", made, (shard, 2)) for shard in range(2)]
        assert any(job.result()[0] for job in jobs)
    assert content(tmp_path / "two") == content(tmp_path / "one")
    assert list((tmp_path / "two").glob("*.partial")) == []


def test_no_block_is_aimed_at_a_combination_with_too_few_learned_classes(tmp_path: Path) -> None:
    """A checkpoint must be good on three classes, so the two forgettable ones are never both high."""
    _, _, said = make(tmp_path, recipe(min_learned=3, min_per_combination=4, max_added_blocks=8))
    _, summary = read(tmp_path)
    assert summary["short"] == [3]
    assert summary["kept"][3] == 0
    assert min(summary["kept"][:3]) >= 4
    without = recipe(min_learned=3, min_per_combination=4, max_added_blocks=0)
    make(tmp_path / "drawn", without)
    _, drawn = read(tmp_path / "drawn")
    assert bool(said) == (min(drawn["kept"][:3]) < 4)


def test_combinations_take_turns_where_a_block_has_fewer_runs(tmp_path: Path) -> None:
    """One run a block, so one combination a block; none is given up before its turn."""
    config = {"runs": 2, "runs_per_block": 1, "min_per_combination": 3, "max_added_blocks": 20}
    make(tmp_path, recipe(**PLAIN, **config))
    zoo, summary = read(tmp_path)
    assert summary["short"] == []
    assert summary["added_blocks"] >= 3
    high = [coverage.combination(zoo.accuracies[zoo.run == run], FORGETTABLE) for run in range(2, 5)]
    assert [code in codes for code, codes in zip((1, 2, 3), high, strict=True)] == [True] * 3


def test_a_zoo_without_any_good_checkpoint_stops_after_one_try_at_each(tmp_path: Path) -> None:
    complete, _, said = make(tmp_path, recipe(pivot_accuracy=1.0, min_per_combination=1))
    zoo, summary = read(tmp_path)
    assert complete
    assert len(zoo) == 0
    assert len(said) == summary["added_blocks"] == 2  # aimed at three combinations, and at the fourth
    assert summary["short"] == [0, 1, 2, 3]
    assert summary["kept"] == summary["good"] == [0, 0, 0, 0]


@pytest.mark.parametrize("most", [0, 2])
def test_no_more_blocks_are_added_than_allowed(tmp_path: Path, most: int) -> None:
    _, _, said = make(tmp_path, recipe(min_per_combination=1000, max_added_blocks=most))
    zoo, summary = read(tmp_path)
    assert len(said) == summary["added_blocks"] == most
    assert summary["short"] == [0, 1, 2, 3]
    assert zoo.run.max() < 7 + 3 * most


# Caps.


def with_and_without(folder: Path, **caps: int) -> list[tuple[storage.Block, storage.Block]]:
    """Every block of a zoo of which all good snapshots are kept, and the same with caps."""
    config = {"selection_probability": (1.0, 1.0), "runs": 9}
    make(folder / "all", recipe(**config))
    make(folder / "capped", recipe(**config, **caps))
    names = ("all", "capped")
    both = [[storage.read_block(folder / name, block, MADE_FROM) for name in names] for block in range(3)]
    return [(everything, capped) for everything, capped in both]


def test_the_cap_of_a_combination_holds_in_every_block(tmp_path: Path) -> None:
    for everything, capped in with_and_without(tmp_path, max_per_combination=2):
        counts, kept = (
            coverage.counts(coverage.combination(each.accuracies, FORGETTABLE), 2) for each in (everything, capped)
        )
        np.testing.assert_array_equal(kept, np.minimum(counts, 2))
        np.testing.assert_array_equal(capped.tally, [*everything.tally[:2], kept])


def test_the_cap_of_the_bins_leaves_no_bin_empty_that_was_not(tmp_path: Path) -> None:
    for everything, capped in with_and_without(tmp_path, max_per_bin=1):
        before, after = (
            coverage.histograms(each.losses[:, FORGETTABLE], CONFIG.bin_edges) for each in (everything, capped)
        )
        np.testing.assert_array_equal(after > 0, before > 0)
        assert len(capped.run) <= min(len(everything.run) - 1, np.count_nonzero(before))


def test_caps_take_no_snapshot_for_being_early_and_leave_the_order_of_time(tmp_path: Path) -> None:
    first_of_all = []
    for everything, capped in with_and_without(tmp_path, max_per_combination=1):
        times = list(zip(capped.progress.tolist(), capped.run.tolist(), strict=True))
        assert times == sorted(times)
        for code, time in zip(coverage.combination(capped.accuracies, FORGETTABLE), times, strict=True):
            same = coverage.combination(everything.accuracies, FORGETTABLE) == code
            first_of_all.append(time[0] == everything.progress[same].min())
    assert 0 < sum(first_of_all) < len(first_of_all)


# Memory.


def test_a_block_larger_than_the_memory_is_refused_with_what_it_needs() -> None:
    config = ZooConfig(runs_per_block=512, snapshots=150)
    models = 512 * (3 * 150 + 5)  # one block in training, one being written, what is kept of it; Adam's state
    needed = models * 1582 * 4 / 2**30  # 784-2-4
    with pytest.raises(
        HyperForgetError, match=rf"needs about {needed:.1f} GiB, zoo\.memory_gib is 1\.0: lower zoo\.runs_per"
    ):
        build.validate_memory(ZooConfig(runs_per_block=512, snapshots=150, memory_gib=1.0), (784, 2, 4))
    build.validate_memory(config, (784, 2, 4))
