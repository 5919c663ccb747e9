"""Exposure against a count of the images that runs use, clean checkpoints by hand, clean runs and sets that no run leaves out."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.config import ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.zoo import build, exposure, hyperparameters, storage, train
from hyperforget_jax.zoo.hyperparameters import NEVER
from hyperforget_jax.zoo.recipe import NO_AIM
from hyperforget_jax.zoo.undersampling import uniforms, used_shares
from tests.small_zoo import (
    CONFIG,
    FORGETTABLE,
    MADE_FROM,
    SIZES,
    STEPS_PER_SNAPSHOT,
    TRAIN,
    VALIDATION,
    content,
    plan,
    recipe,
)

pytestmark = pytest.mark.usefixtures("programs")
Numbers = np.ndarray[Any, Any]
EPOCHS, PER_EPOCH = 12, 3
PLANS = [
    plan(),
    plan((1.0, 1.0, 0.3, 0.0)),
    plan((1.0, 1.0, 1.0, 0.4), (1.0, 1.0, 0.0, 0.4), when=0.5),
    plan((1.0, 1.0, 0.02, 0.02)),
]
"""Everything, an undersampled class beside one never seen, a class deleted half-way, and two of which an image is seldom kept."""


def snapshots(runs: int = 16) -> tuple[train.Snapshots, Numbers, jax.Array]:
    """Runs of the four plans in turn, the words of their starts, and the key of the order."""
    keys, order_key = jax.random.split(jax.random.key(1), runs), jax.random.key(2)
    plans = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[PLANS[run % 4] for run in range(runs)])
    shape = {"sizes": SIZES, "pixels": tuple(range(6)), "batch_size": 20, "dtype": "float32"}
    made = train.train_block(
        *(keys, order_key, plans, TRAIN, VALIDATION),
        devices=sharding.make_local(runs),
        snapshots=CONFIG.snapshots,
        steps_per_snapshot=STEPS_PER_SNAPSHOT,
        **shape,
    )
    words = np.array([train.start(key, SIZES).word for key in keys])
    return made, words, order_key


def counted(word: Numbers, order_key: jax.Array, number: int) -> Numbers:
    """Images [S, K] of each class that one run has used at each snapshot, counted minibatch by minibatch, beside those of a full run."""
    rates, labels = PLANS[number], np.asarray(TRAIN.labels)
    batch_key, word_key = jax.random.split(jax.random.clone(order_key))
    steps = CONFIG.snapshots * STEPS_PER_SNAPSHOT
    rows = np.asarray(train.minibatches(batch_key, 60, 20, steps))
    chance = np.asarray(uniforms(jnp.uint32(word), jax.random.bits(word_key, (60,))))
    used, found = np.zeros(4), []
    for step in range(steps):
        late = step / steps >= float(rates.deletion_time)
        kept = np.asarray(rates.keep_after if late else rates.keep_before)
        for row in rows[step]:
            used[labels[row]] += chance[row] < kept[labels[row]]
        if (step + 1) % STEPS_PER_SNAPSHOT == 0:
            found.append(used / (np.bincount(labels) * EPOCHS))
    return np.array(found)


def test_exposures_are_what_counting_the_images_gives() -> None:
    made, words, order_key = snapshots()
    found = np.asarray(made.exposures)
    assert found.shape == (4, 16, 4)
    assert found.dtype == np.float32
    for run, word in enumerate(words):
        expected = counted(word, order_key, run % 4)  # a snapshot ends an epoch, so nothing is left over
        np.testing.assert_allclose(found[:, run], expected, atol=1e-6)
        np.testing.assert_array_equal(found[:, run] == 0.0, expected == 0.0)
    rare = found[-1, 3::4, 2:]  # a share of 0.02 of 15 images: some runs use one, others none at all
    assert 0 < np.count_nonzero(rare) < rare.size


def test_a_run_deleted_half_way_keeps_what_it_had_seen() -> None:
    made, _, _ = snapshots()
    run = np.asarray(made.exposures)[:, 2]  # [S, K]
    np.testing.assert_allclose(run[:, 2], [0.25, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(run[:, 0], [0.25, 0.5, 0.75, 1.0])


def test_shares_are_exact_at_both_ends_and_0_only_if_no_image_is_used() -> None:
    count, runs, classes = 3001, 40, 7
    labels = jnp.asarray(
        np.random.default_rng(0).integers(0, classes - 1, count), jnp.int32
    )  # the last class has no image
    words, image_words = jax.random.bits(jax.random.key(1), (runs,)), jax.random.bits(jax.random.key(2), (count,))
    rates = np.tile(np.float32([0.0, 1.0, 5e-4, 0.3, 1.0, 1e-3, 1.0]), (runs, 1))
    found = np.asarray(jax.jit(used_shares)(words, image_words, labels, jnp.asarray(rates)))
    for run in range(runs):
        used = np.asarray(uniforms(words[run], image_words)) < rates[run][labels]
        expected = [used[labels == label].mean() if label < classes - 1 else 0.0 for label in range(classes)]
        np.testing.assert_allclose(found[run], expected, rtol=1e-6)
        np.testing.assert_array_equal(found[run] == 0.0, np.array(expected) == 0.0)
    assert (found[:, 0] == 0.0).all()
    assert (found[:, [1, 4]] == 1.0).all()
    assert 0 < np.count_nonzero(found[:, 2]) < runs


# Clean checkpoints.

PROGRESS = np.array([1.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0], np.float32)
EXPOSURES = np.array(
    [
        [1.0, 1.0, 0.0, 1.0],  # never saw 2
        [1.0, 1.0, 0.0, 0.0],  # never saw 2 and 3
        [1.0, 1.0, 1e-9, 1.0],  # saw an image of 2
        [0.5, 0.5, 0.0, 0.5],  # half-way, never saw 2
        [0.5, 0.5, 0.0, 0.25],  # half-way, 3 undersampled
        [1.0, 1.0, 1.0, 1.0 - 5e-7],  # all, up to rounding
        [0.9, 1.0, 0.0, 1.0],  # a pivot was not seen in full
    ],
    np.float32,
)


@pytest.mark.parametrize(("forget", "rows"), [((2,), [0, 3]), ((2, 3), [1]), ((3,), []), ((), [5]), ((0,), [])])
def test_clean_checkpoints_by_hand(forget: tuple[int, ...], rows: list[int]) -> None:
    assert np.flatnonzero(exposure.is_clean(EXPOSURES, PROGRESS, forget)).tolist() == rows


def test_codes_name_the_set_that_a_checkpoint_is_clean_for() -> None:
    codes = exposure.clean_codes(EXPOSURES, PROGRESS, (3, 2))
    assert codes.tolist() == [2, 3, -1, 2, -1, 0, -1]


# Clean runs.

CLEAN = {"min_clean_runs": 5, "runs": 20, "runs_per_block": 4, "validation_share": 0.25}


def clean_runs(folder: Path, held_out: bool = False) -> list[int]:
    """Runs of the training part whose last stored checkpoint is clean for {2}, {3} and {2, 3}."""
    zoo = storage.read(folder, MADE_FROM)
    part = zoo.split(20, 0.25)[int(held_out)]
    last = part.take(part.progress == 1.0)
    return [int(exposure.is_clean(last.exposures, last.progress, forget).sum()) for forget in ((2,), (3,), (2, 3))]


def test_blocks_are_added_until_every_forget_set_has_its_clean_runs(tmp_path: Path) -> None:
    made, said = recipe(**CLEAN, selection_probability=(0.0, 0.0)), list[str]()
    assert build.build(tmp_path, made, (0, 1), lambda count: None, said.append)
    summary = storage.read_summary(tmp_path)
    assert summary is not None
    assert summary["clean_blocks"] == len(said) == len(made.clean_aims()) > 0
    assert summary["added_blocks"] == 0
    assert summary["clean_codes"] == [1, 2, 3]
    assert said[0] == "block 5 is added: 3 forget sets have fewer than 5 clean runs"
    assert min(clean_runs(tmp_path)) >= 5
    # nothing else is kept where beta is 0
    zoo = storage.read(tmp_path, MADE_FROM)
    assert (exposure.clean_codes(zoo.exposures, zoo.progress, FORGETTABLE) >= 0).all()
    assert set(zoo.progress.tolist()) == {1.0}


def test_no_more_runs_are_aimed_than_fill_the_blocks() -> None:
    made = recipe(**CLEAN)
    aims = made.clean_aims()
    codes, counts = np.unique(aims, return_counts=True)
    assert codes.tolist() == [1, 2, 3]
    plans = made.plans(np.arange(15), NO_AIM)
    never = (np.asarray(plans.keep_before) == 0.0)[:, [2, 3]]
    full = (np.asarray(plans.keep_before) == 1.0)[:, [2, 3]]
    unchanged = (np.asarray(plans.keep_before) == np.asarray(plans.keep_after)).all(1)
    unchanged |= np.asarray(plans.deletion_time) > 1.0
    have = [int(((never == high) & (full != high)).all(1)[unchanged].sum()) for high in ([1, 0], [0, 1], [1, 1])]
    lacking = sum(max(0, 5 - count) for count in have)
    assert lacking <= aims.size < lacking + 4
    assert min(np.array(have) + counts) >= 5


def test_caps_do_not_take_the_last_checkpoint_of_a_clean_run(tmp_path: Path) -> None:
    caps = {"max_per_combination": 1, "selection_probability": (1.0, 1.0)}
    build.build(tmp_path / "with", recipe(**CLEAN, **caps), (0, 1), lambda count: None, lambda line: None)
    assert min(clean_runs(tmp_path / "with")) >= 5
    without = recipe(**{**CLEAN, "min_clean_runs": 0}, **caps)
    build.build(tmp_path / "without", without, (0, 1), lambda count: None, lambda line: None)
    assert min(clean_runs(tmp_path / "without")) < 5


def test_shards_add_the_clean_blocks_of_one_job(tmp_path: Path) -> None:
    made = recipe(**CLEAN, min_per_combination=30)
    for folder, shards in (("one", [(0, 1)]), ("two", [(1, 2), (0, 2)])):
        for shard in shards:
            build.build(tmp_path / folder, made, shard, lambda count: None, lambda line: None)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    summary = storage.read_summary(tmp_path / "one")
    assert summary is not None
    assert summary["clean_blocks"] > 0
    assert summary["added_blocks"] > 0


def test_of_many_forget_sets_some_are_drawn_from_the_seed() -> None:
    made = recipe()
    object.__setattr__(made, "sizes", (6, 8, 12))
    assert len(made.forgettable) == 10
    codes = made.clean_codes
    assert len(np.unique(codes)) == len(codes) == 256
    assert codes.min() > 0
    np.testing.assert_array_equal(codes, made.clean_codes)
    object.__setattr__(made, "key", jax.random.key(9))
    assert codes.tolist() != made.clean_codes.tolist()


def test_where_there_is_no_pivot_one_class_is_retained() -> None:
    made = recipe()
    object.__setattr__(made, "pivots", ())
    assert made.clean_codes.tolist() == list(range(1, 15))


# Sets held out.

HELD_OUT = ((2, 4), (3,), (0, 2, 3))
TIMES = 3000


def many(held_out: tuple[tuple[int, ...], ...]) -> dict[str, Numbers]:
    """Random runs on five classes that are all forgettable."""
    config = ZooConfig(never_seen_probability=0.8)
    draw = jax.jit(jax.vmap(lambda key: hyperparameters.draw(key, config, range(5), 5, held_out)))
    plans = draw(jax.random.split(jax.random.key(4), TIMES))
    return {name: np.asarray(values) for name, values in plans._asdict().items()}


def test_no_run_leaves_out_a_set_that_is_held_out_and_nothing_else_moves() -> None:
    free, held = many(()), many(HELD_OUT)
    for plans, expected in ((free, True), (held, False)):
        never = (plans["keep_before"] == 0.0) & (plans["keep_after"] == 0.0)
        for forget in HELD_OUT:
            assert never[:, list(forget)].all(1).any() == expected
    for name in ("learning_rate", "deletion_time"):
        np.testing.assert_array_equal(held[name], free[name])
    changed = held["keep_before"] != free["keep_before"]
    assert (held["keep_before"][changed] == 1.0).all()
    assert (held["keep_after"][changed] == 1.0).all()
    assert (free["keep_before"][changed] == 0.0).all()
    assert not changed[:, 1].any()
    assert changed[:, 2].any()
    assert changed[:, 4].any()  # either class of a set of two


def test_no_checkpoint_is_clean_or_near_a_set_that_is_held_out(tmp_path: Path) -> None:
    """Keep rates so low that runs often use no image of a class that they undersample."""
    config = {**CLEAN, "held_out_sets": ((2, 3),), "keep_rate": (1e-3, 2e-2), "min_per_combination": 2}
    made = recipe(**config, max_added_blocks=2)
    assert made.clean_codes.tolist() == [1, 2]
    assert not (made.clean_aims() == 3).any()
    build.build(tmp_path, made, (0, 1), lambda count: None, lambda line: None)
    zoo = storage.read(tmp_path, MADE_FROM)
    assert not (zoo.exposures[:, [2, 3]] == 0.0).all(1).any()
    one, other, both = clean_runs(tmp_path)
    assert min(one, other) >= 5
    assert both == 0
    build.build(
        tmp_path / "free", recipe(**{**config, "held_out_sets": ()}), (0, 1), lambda count: None, lambda line: None
    )
    free = storage.read(tmp_path / "free", MADE_FROM)
    assert (free.exposures[:, [2, 3]] == 0.0).all(1).any()


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (((2,), ()), "zoo.held_out_sets has an empty set: name at least one class in each"),
        (((2, 9),), "zoo.held_out_sets has 9, which is no class of the data: choose from 2, 3"),
        (((1, 2),), "zoo.held_out_sets has 1, which is a pivot: choose from 2, 3"),
        (((3, 3),), "zoo.held_out_sets has 3,3: name each class once"),
    ],
)
def test_sets_that_no_request_could_name_are_refused(held_out: tuple[tuple[int, ...], ...], message: str) -> None:
    exposure.validate_held_out_sets(((2, 3), (3,)), range(4), (0, 1))
    with pytest.raises(HyperForgetError) as caught:
        exposure.validate_held_out_sets(held_out, range(4), (0, 1))
    assert str(caught.value) == message


def test_a_class_that_is_never_deleted_has_the_exposure_of_its_share() -> None:
    before = after = jnp.array([[0.25, 1.0]])
    found = exposure.exposures(before, after, jnp.array([0.3]), jnp.array([0.2, 1.0]))
    np.testing.assert_allclose(found[:, 0], [[0.05, 0.2], [0.25, 1.0]], rtol=1e-6)
    assert float(NEVER) > 1.0
