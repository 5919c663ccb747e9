"""What a training reads of a zoo: the same batches however they are reached, every group as often, pairs in the order of time."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from hyperforget_jax.config import Config, LoaderConfig, validation
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.zoo import coverage, loader
from hyperforget_jax.zoo.loader import CheckpointBatch, CheckpointSource, Pairs
from hyperforget_jax.zoo.memmap import Rows
from hyperforget_jax.zoo.storage import Zoo

FORGETTABLE = (2, 3)
SIZE = 32
DRAWN = LoaderConfig()
UNIFORM = LoaderConfig(resample="none")
MAPPED = LoaderConfig(memory_gib=0.0)
MAKERS: list[Callable[..., CheckpointSource[Any]]] = [loader.batches, loader.pairs]
kinds = pytest.mark.parametrize("make", MAKERS, ids=["batches", "pairs"])


class Watched(Rows):
    """Rows that tell how many were read at a time."""

    def __init__(self, shards: list[np.ndarray[Any, Any]]) -> None:
        super().__init__(shards)
        self.reads: list[int] = []

    def read(self, places: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, np.dtype[np.float32]]:
        values = super().read(places)
        self.reads.append(len(values))
        return values


def make_zoo(runs: int = 12, moments: int = 7, seed: int = 0) -> Zoo:
    """A zoo whose row r has the weights r, r + 1/4 and the losses r + 1/2, ...; its runs are mixed, its shards of unequal length."""
    random = np.random.default_rng(seed)
    count = runs * moments
    order = random.permutation(count)
    rows = np.arange(count, dtype=np.float32)[:, None]
    weights = rows + np.array([0.0, 0.25], np.float32)
    accuracies = np.ones((count, 4), np.float32)
    # most checkpoints have learned both classes, a few neither: combinations of very unequal size
    accuracies[:, 2:] = random.random((count, 2)) < np.array([0.85, 0.7])
    return Zoo(
        weights=Rows([weights[:5], weights[5:50], weights[50:]]),
        losses=rows + np.array([0.5, 0.5, 1.5, 2.5], np.float32),
        accuracies=accuracies,
        run=np.repeat(np.arange(runs, dtype=np.int32), moments)[order],
        progress=np.tile(np.linspace(0, 1, moments, dtype=np.float32), runs)[order],
        exposures=rows + np.array([0.0, 0.125, 0.25, 0.375], np.float32),
        learning_rate=np.ones(count, np.float32),
    )


ZOO = make_zoo()


def source(
    make: Callable[..., CheckpointSource[Any]] = loader.batches,
    zoo: Zoo = ZOO,
    seed: int = 3,
    config: LoaderConfig = DRAWN,
    size: int = SIZE,
) -> CheckpointSource[Any]:
    return make(zoo, FORGETTABLE, size, seed, config)


def places(batch: CheckpointBatch) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows [B] of a batch from `make_zoo`."""
    return batch.weights[:, 0].astype(np.int64)


def leaves(batch: CheckpointBatch | Pairs) -> list[np.ndarray[Any, Any]]:
    return jax.tree.leaves(batch)


def assert_same(ours: CheckpointBatch | Pairs, theirs: CheckpointBatch | Pairs) -> None:
    for mine, other in zip(leaves(ours), leaves(theirs), strict=True):
        np.testing.assert_array_equal(mine, other, strict=True)


def differ(ours: CheckpointBatch | Pairs, theirs: CheckpointBatch | Pairs) -> bool:
    return not np.array_equal(leaves(ours)[0], leaves(theirs)[0])


def assert_fits(counts: np.ndarray[Any, Any], chances: np.ndarray[Any, Any]) -> None:
    """Chi-square test of how often each of several things was drawn."""
    assert (counts[chances == 0] == 0).all()
    drawn = chances > 0
    expected = chances[drawn] / chances.sum() * counts.sum()
    assert expected.min() > 5
    assert stats.chisquare(counts[drawn], expected).pvalue > 1e-3


@kinds
def test_a_batch_depends_on_seed_and_step_alone(make: Callable[..., CheckpointSource[Any]]) -> None:
    ours, again = source(make), source(make)
    late = ours[7]  # asked for first
    for step in (0, 1, 7):
        assert_same(ours[step], again[step])
    assert_same(late, ours[7])
    assert differ(ours[0], ours[1])
    assert differ(ours[0], source(make, seed=4)[0])


@kinds
@pytest.mark.parametrize(("threads", "prefetch"), [(1, 1), (3, 8)])
def test_a_stream_has_the_batches_of_its_steps_in_order(
    make: Callable[..., CheckpointSource[Any]], threads: int, prefetch: int
) -> None:
    ours, config = source(make), replace(DRAWN, threads=threads, prefetch=prefetch)
    straight = list(itertools.islice(loader.stream(ours, 0, config), 20))
    for step, batch in enumerate(straight):
        assert_same(batch, ours[step])
    for first in (1, 13):
        rest = itertools.islice(loader.stream(ours, first, config), 20 - first)
        for batch, expected in zip(rest, straight[first:], strict=True):
            assert_same(batch, expected)


def test_the_last_step_has_a_batch_and_ends_the_stream() -> None:
    (batch,) = loader.stream(source(), 2**31 - 2, DRAWN)
    assert_same(batch, source()[2**31 - 2])


@kinds
def test_batches_from_disk_equal_those_from_memory(make: Callable[..., CheckpointSource[Any]], tmp_path: Path) -> None:
    weights = np.asarray(ZOO.weights)
    shards = []
    for number, shard in enumerate([weights[:20], weights[20:]]):
        np.save(tmp_path / f"{number}.npy", shard, allow_pickle=False)
        shards.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r", allow_pickle=False))
    on_disk = source(make, replace(ZOO, weights=Rows(shards)), config=MAPPED)
    ours = itertools.islice(loader.stream(on_disk, 0, MAPPED), 6)
    theirs = itertools.islice(loader.stream(source(make), 0, DRAWN), 6)
    for mine, other in zip(ours, theirs, strict=True):
        assert_same(mine, other)


def test_weights_are_read_once_if_they_fit_and_batch_by_batch_otherwise() -> None:
    def reads(memory_gib: float) -> list[int]:
        weights = Watched([np.asarray(ZOO.weights)])
        config = replace(DRAWN, memory_gib=memory_gib)
        stream = loader.stream(source(zoo=replace(ZOO, weights=weights)), 0, config)
        assert weights.reads == []
        assert len(list(itertools.islice(stream, 3))) == 3
        return weights.reads

    needed = len(ZOO) * 2 * 4 / 2**30
    assert reads(needed) == [len(ZOO)]
    assert set(reads(0.99 * needed)) == {SIZE}


def test_a_closed_stream_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    stream = loader.stream(source(), 0, replace(DRAWN, threads=3))
    next(stream)
    started = set(threading.enumerate()) - before
    assert started
    del stream
    for thread in started:
        thread.join()


def test_rows_stay_together_and_have_their_shapes() -> None:
    batch = source()[0]
    assert [leaf.shape for leaf in batch] == [(SIZE, 2), (SIZE, 4), (SIZE, 4), (SIZE,)]
    assert {leaf.dtype for leaf in batch} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(batch.weights, np.asarray(ZOO.weights)[places(batch)])
    for name in ("losses", "exposures", "progress"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(ZOO, name)[places(batch)])


def test_every_combination_is_drawn_equally_often_and_within_it_every_checkpoint() -> None:
    codes = coverage.combination(ZOO.accuracies, FORGETTABLE)
    sizes = np.bincount(codes, minlength=4)
    assert sizes.min() > 0
    assert sizes.max() > 5 * sizes.min()
    drawn = places(source(size=100_000)[0])
    assert_fits(np.bincount(codes[drawn]), np.ones(4))
    assert_fits(np.bincount(drawn, minlength=len(ZOO)), 1.0 / sizes[codes])


def test_a_combination_that_is_absent_is_no_group() -> None:
    accuracies = np.ones_like(ZOO.accuracies)
    accuracies[:3, 3] = 0.0  # only "both learned" and "3 not learned"
    drawn = places(source(zoo=replace(ZOO, accuracies=accuracies), size=20_000)[0])
    assert_fits(np.bincount((drawn < 3).astype(np.int64)), np.ones(2))


def test_every_level_of_the_mean_loss_is_drawn_equally_often() -> None:
    losses = np.repeat(np.array([0.1, 0.11, 0.2, 3.0], np.float32), [60, 15, 8, 1])[:, None].repeat(4, 1)
    config = LoaderConfig(resample="losses", loss_levels=3)  # up to 0.31, up to 0.97 (empty), up to 3
    drawn = places(source(zoo=replace(ZOO, losses=losses), config=config, size=20_000)[0])
    assert_fits(np.bincount(drawn, minlength=84), np.repeat([1 / 83, 1.0], [83, 1]))


def test_without_groups_every_checkpoint_is_drawn_equally_often() -> None:
    drawn = places(source(config=UNIFORM, size=50_000)[0])
    assert_fits(np.bincount(drawn, minlength=len(ZOO)), np.ones(len(ZOO)))


@pytest.mark.slow
def test_every_one_of_a_million_checkpoints_is_reached() -> None:
    """Also where one group has nearly all of them: a cumulated float32 chance has too few digits for that."""
    count = 1_000_000
    rows = np.arange(count, dtype=np.float32)[:, None]
    alone = np.array([0, count // 2, count - 1])
    accuracies = np.ones((count, 4), np.float32)
    accuracies[alone, 2] = 0.0
    zoo = Zoo(
        weights=Rows([np.broadcast_to(rows[:7], (7, 1)), np.broadcast_to(rows[7:], (count - 7, 1))]),
        losses=np.broadcast_to(rows, (count, 4)),
        accuracies=accuracies,
        run=np.zeros(count, np.int32),
        progress=np.linspace(0, 1, count, dtype=np.float32),
        exposures=np.broadcast_to(rows, (count, 4)),
        learning_rate=np.ones(count, np.float32),
    )
    counts = np.zeros(count, np.int64)
    big = source(zoo=zoo, size=count)
    for step in range(40):
        counts += np.bincount(places(big[step]), minlength=count)
    assert counts.min() > 0
    assert_fits(counts[alone], np.ones(3))
    assert_fits(np.delete(counts, alone)[:-7].reshape(10, -1).sum(1), np.ones(10))


def test_a_share_of_a_batch_is_last_checkpoints_of_clean_runs_every_set_equally_often() -> None:
    zoo = make_zoo(runs=40)
    exposures = np.repeat(zoo.progress[:, None], 4, axis=1)
    exposures[zoo.run < 10, 2] = 0.0  # clean for {2}
    exposures[(zoo.run >= 10) & (zoo.run < 13), 3] = 0.0  # clean for {3}
    exposures[(zoo.run >= 13) & (zoo.run < 30), 3] *= 0.5  # undersampled: clean for none
    drawn = source(zoo=replace(zoo, exposures=exposures), config=replace(DRAWN, clean_share=0.25))
    rows = np.concatenate([places(drawn[step])[-SIZE // 4 :] for step in range(500)])
    assert (zoo.progress[rows] == 1.0).all()
    sets = np.digitize(zoo.run[rows], [10, 13, 30])  # 0: {2}, 1: {3}, 2: undersampled, 3: all seen
    assert_fits(np.bincount(sets, minlength=4)[[0, 1, 3]], np.full(3, 1 / 3))
    assert not (sets == 2).any()


def test_clean_runs_are_asked_for_and_there_is_none() -> None:
    zoo = make_zoo()
    deleted = replace(zoo, exposures=np.full((len(zoo), 4), 0.5, np.float32))
    with pytest.raises(HyperForgetError, match="zoo\\.min_clean_runs"):
        source(zoo=deleted, config=replace(DRAWN, clean_share=0.5))


def test_pairs_are_of_one_run_and_in_the_order_of_time() -> None:
    for step in range(20):
        pair = source(loader.pairs)[step]
        current, target = places(pair.current), places(pair.target)
        np.testing.assert_array_equal(ZOO.run[current], ZOO.run[target])
        assert (ZOO.progress[current] < ZOO.progress[target]).all()
        for half in pair:
            for name in ("losses", "exposures", "progress"):
                np.testing.assert_array_equal(getattr(half, name), getattr(ZOO, name)[places(half)])


def test_the_later_checkpoint_is_uniform_among_the_later_ones_of_its_run() -> None:
    """Runs of 1, 2 and 4 checkpoints: the first has no pair, the others 1 + 6."""
    zoo = make_zoo(runs=1, moments=7)
    times = np.array([0.5, 0.1, 0.9, 0.3, 0.2, 0.4, 0.8], np.float32)
    zoo = replace(zoo, run=np.array([8, 5, 5, 6, 6, 6, 6], np.int32), progress=times)
    pair = source(loader.pairs, zoo, config=UNIFORM, size=20_000)[0]
    drawn = np.bincount(7 * places(pair.current) + places(pair.target), minlength=49).reshape(7, 7)
    chances = np.zeros((7, 7))
    chances[1, 2] = 1
    chances[4, [3, 5, 6]] = 1 / 3  # in order of time: 4, 3, 5, 6
    chances[3, [5, 6]] = 1 / 2
    chances[5, 6] = 1
    assert_fits(drawn.ravel(), chances.ravel())


def test_the_earlier_checkpoint_is_drawn_evenly_over_the_combinations() -> None:
    codes = coverage.combination(ZOO.accuracies, FORGETTABLE)
    drawn = places(source(loader.pairs, size=50_000)[0].current)
    assert_fits(np.bincount(codes[drawn]), np.ones(4))
    last = ZOO.progress == 1.0
    sizes = np.bincount(codes[~last])
    assert_fits(np.bincount(drawn, minlength=len(ZOO)), np.where(last, 0.0, 1.0 / sizes[codes]))


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_share_of_the_pairs_is_reversed(probability: float) -> None:
    config = replace(DRAWN, reverse_probability=probability)
    pair = source(loader.pairs, config=config, size=5000)[0]
    current, target = places(pair.current), places(pair.target)
    np.testing.assert_array_equal(ZOO.run[current], ZOO.run[target])
    reversed_ = (ZOO.progress[current] > ZOO.progress[target]).sum()
    assert (current != target).all()
    assert stats.binomtest(int(reversed_), 5000, probability).pvalue > 1e-3


@kinds
def test_an_empty_part_is_refused(make: Callable[..., CheckpointSource[Any]]) -> None:
    with pytest.raises(HyperForgetError, match=r"^[^\n]+: raise zoo\.runs or [^\n]+$"):
        source(make, ZOO.take(np.array([], np.int64)))


def test_runs_of_one_checkpoint_have_no_pairs() -> None:
    lonely = replace(ZOO, run=np.arange(len(ZOO), dtype=np.int32))
    with pytest.raises(HyperForgetError, match=r"^no run of the zoo has two checkpoints to pair: [^\n]+$"):
        source(loader.pairs, lonely)


@pytest.mark.parametrize(
    ("message", "config"),
    [
        ("loader.reverse_probability is 1.5", LoaderConfig(reverse_probability=1.5)),
        ("loader.loss_levels is 1", LoaderConfig(loss_levels=1)),
        ("loader.memory_gib is -1.0", LoaderConfig(memory_gib=-1.0)),
        ("loader.threads is 0", LoaderConfig(threads=0)),
        ("loader.prefetch is 0", LoaderConfig(prefetch=0)),
    ],
)
def test_a_setting_without_meaning_is_refused(message: str, config: LoaderConfig) -> None:
    with pytest.raises(HyperForgetError, match=f"^{message}: choose [^\n]+$"):
        validation.validate_config(Config(loader=config))


def test_how_batches_are_read_is_no_part_of_a_runs_identity() -> None:
    elsewhere = Config(loader=LoaderConfig(memory_gib=1.0, threads=7, prefetch=3))
    assert workdir.identity(elsewhere) == workdir.identity(Config())
    for other in (UNIFORM, LoaderConfig(loss_levels=7), LoaderConfig(reverse_probability=0.5)):
        assert workdir.identity(Config(loader=other)) != workdir.identity(Config())
        assert workdir.zoo_identity(Config(loader=other)) == workdir.zoo_identity(Config())
