"""The zoo: its protocol by hand, its training against smaller equivalent runs, its files byte for byte."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax  # type: ignore[import-untyped]
from scipy.stats import kstest  # type: ignore[import-untyped]
from sklearn.metrics import log_loss

from hyperforget_jax import classifier
from hyperforget_jax.config import ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.layout import num_weights, unflatten
from hyperforget_jax.zoo import build, protocol, store, train
from hyperforget_jax.zoo.protocol import Hyperparameters
from hyperforget_jax.zoo.store import Zoo

SIZES = (6, 8, 4)
PIVOTS, FORGETTABLE = (0, 1), (2, 3)
CONFIG = ZooConfig(
    runs=6,
    runs_per_block=3,
    epochs=12.0,
    batch_size=20,
    snapshots=4,
    learning_rate=(5e-2, 8e-2),
    pivot_accuracy=0.5,
)
STEPS_PER_SNAPSHOT = 9  # 60 images, so 3 minibatches an epoch; 36 steps in 4 parts


def blobs(seed: int, count: int) -> train.Images:
    """Four Gaussian classes far apart, as many images of each."""
    noise = np.random.default_rng(seed)
    labels = noise.permutation(np.arange(count, dtype=np.int32) % 4)
    images = np.eye(6)[labels] + 0.1 * noise.normal(size=(count, 6))
    return train.Images(jnp.asarray(images, jnp.float32), jnp.asarray(labels))


TRAIN, VALIDATION = blobs(0, 60), blobs(1, 40)


def plan(
    keep: tuple[float, ...] = (1.0,) * 4, after: tuple[float, ...] | None = None, when: float = 2.0
) -> Hyperparameters:
    """A run with given keep rates, and others from a moment on."""
    late = keep if after is None else after
    return Hyperparameters(jnp.float32(0.05), jnp.array(keep), jnp.array(late), jnp.float32(when))


def stacked(plans: list[Hyperparameters]) -> Hyperparameters:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *plans)


def train_some(run_keys: jax.Array, plans: list[Hyperparameters]) -> train.Snapshots:
    """Snapshots of runs that differ in their keys and plans only."""
    return train.train_block(
        run_keys,
        jax.random.key(7),
        stacked(plans),
        TRAIN,
        VALIDATION,
        sizes=SIZES,
        batch_size=CONFIG.batch_size,
        snapshots=CONFIG.snapshots,
        steps_per_snapshot=STEPS_PER_SNAPSHOT,
    )


# Protocol.


@cache
def many_plans() -> dict[str, np.ndarray[Any, Any]]:
    """4,000 random runs with the default protocol."""
    draw = jax.jit(jax.vmap(lambda key: protocol.draw(key, ZooConfig(), FORGETTABLE, 4)))
    plans = draw(jax.random.split(jax.random.key(0), 4000))
    return {name: np.asarray(values) for name, values in plans._asdict().items()}


def test_pivots_always_keep_all_their_images() -> None:
    for name in ("keep_before", "keep_after"):
        np.testing.assert_array_equal(many_plans()[name][:, PIVOTS], 1.0)


def test_keep_rates_are_nothing_everything_or_in_range() -> None:
    low, high = ZooConfig().keep_rate
    rates = many_plans()["keep_before"]
    between = rates[(rates != 0.0) & (rates != 1.0)]
    assert between.min() >= low * (1 - 1e-5)
    assert between.max() <= high * (1 + 1e-5)
    for value in (0.0, 1.0):
        assert np.any(rates[:, 2:] == value)


def test_learning_rates_and_deletion_times_are_in_range() -> None:
    config, plans = ZooConfig(), many_plans()
    rates, times = plans["learning_rate"], plans["deletion_time"]
    assert config.learning_rate[0] * (1 - 1e-5) <= rates.min()
    assert rates.max() <= config.learning_rate[1] * (1 + 1e-5)
    happens = times[times != 2.0]
    assert config.deletion_time[0] <= happens.min()
    assert happens.max() <= config.deletion_time[1]


def test_shares_of_runs_are_those_of_the_config() -> None:
    config, plans = ZooConfig(), many_plans()
    before = plans["keep_before"]
    undersampled = (before < 1.0).any(1)
    spread = 4 * 0.5 / np.sqrt(4000)  # four standard errors, at most
    assert np.mean(undersampled) == pytest.approx(config.undersample_probability, abs=spread)
    assert np.mean(plans["deletion_time"] != 2.0) == pytest.approx(config.deletion_probability, abs=spread)
    assert np.mean(before[before < 1.0] == 0.0) == pytest.approx(config.never_seen_probability, abs=spread)


def test_a_deletion_takes_all_images_of_at_least_one_class_and_changes_no_other() -> None:
    before, after = many_plans()["keep_before"], many_plans()["keep_after"]
    assert np.all((after == 0.0) | (after == before))
    assert np.all((after == 0.0).any(1))


def test_every_non_empty_subset_of_the_forgettable_classes_is_undersampled() -> None:
    members = many_plans()["keep_before"][:, 2:] < 1.0
    codes, counts = np.unique(members @ np.array([1, 2]), return_counts=True)
    assert codes.tolist() == [0, 1, 2, 3]
    assert counts.min() > 400


def test_keep_rates_switch_at_the_deletion_and_not_before() -> None:
    run = plan((1.0, 1.0, 0.25, 1.0), (1.0, 1.0, 0.25, 0.0), when=0.5)
    for progress, last in ((0.0, 1.0), (0.499, 1.0), (0.5, 0.0), (1.0, 0.0)):
        rates = protocol.keep_rates(run, jnp.float32(progress))
        np.testing.assert_array_equal(rates, [1.0, 1.0, 0.25, last])


def test_never_see_by_hand() -> None:
    run = protocol.never_see((1, 3), 4e-3, 4)
    assert run.learning_rate == jnp.float32(4e-3)
    for progress in (0.0, 1.0):
        np.testing.assert_array_equal(protocol.keep_rates(run, jnp.float32(progress)), [1.0, 0.0, 1.0, 0.0])


def test_pivot_accuracies_by_hand() -> None:
    accuracies = jnp.array([[0.9, 0.9, 0.0], [0.9, 0.7, 1.0], [0.7, 0.9, 1.0], [0.75, 0.76, 1.0]])
    np.testing.assert_array_equal(
        protocol.passes_pivots(accuracies, (0, 1), 0.75), [True, False, False, False]
    )
    np.testing.assert_array_equal(
        protocol.passes_pivots(accuracies[None], (2,), 0.5), [[False, True, True, True]]
    )


def test_without_pivots_every_checkpoint_passes() -> None:
    np.testing.assert_array_equal(protocol.passes_pivots(jnp.zeros((3, 4)), (), 0.5), [True] * 3)


def test_the_chance_of_a_snapshot_falls_linearly() -> None:
    chances = protocol.selection_probability(jnp.array([0.0, 0.25, 1.0]), (1.0, 0.5))
    np.testing.assert_allclose(chances, [1.0, 0.875, 0.5], rtol=1e-6)


def test_log_uniform_draws_have_a_uniform_logarithm() -> None:
    draws = np.asarray(protocol.log_uniform(jax.random.key(1), (1e-3, 0.3), (2000,)), np.float64)
    share = np.log(draws / 1e-3) / np.log(0.3 / 1e-3)
    assert share.min() > -1e-5
    assert share.max() < 1 + 1e-5
    assert kstest(share, "uniform").pvalue > 0.01


# Training.


def test_an_epoch_shows_every_image_once_in_a_new_order() -> None:
    rows = np.asarray(train.minibatches(jax.random.key(0), 12, 4, 9))
    assert rows.shape == (9, 4)
    epochs = rows.reshape(3, 12)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(12), (3, 1)))
    assert len(np.unique(epochs, axis=0)) == 3


def test_the_remainder_of_an_epoch_is_dropped_and_a_last_epoch_cut() -> None:
    rows = np.asarray(train.minibatches(jax.random.key(0), 11, 4, 5))
    assert rows.shape == (5, 4)
    for epoch in (rows[0:2], rows[2:4]):
        assert len(np.unique(epoch)) == 8
    assert rows.max() < 11


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [((60, 20, 12.0, 4), 9), ((65, 20, 12.0, 4), 9), ((60, 20, 0.1, 4), 1), ((60, 20, 1.5, 1), 4)],
)
def test_steps_per_snapshot_by_hand(arguments: tuple[int, int, float, int], steps: int) -> None:
    assert train.plan_steps(*arguments) == steps


def test_a_batch_larger_than_the_training_split_is_refused() -> None:
    train.check_batch("zoo.batch_size", 60, 60)
    with pytest.raises(HyperForgetError, match=r"zoo\.batch_size is 61, .* 60 images"):
        train.check_batch("zoo.batch_size", 61, 60)


def assert_trees_close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), ours, theirs)


def test_the_loss_is_the_mean_over_the_images_in_use() -> None:
    params = classifier.init(jax.random.key(2), SIZES)
    used = np.arange(60) % 3 == 0
    scores, labels = np.asarray(jax.jit(classifier.logits)(params, TRAIN.images)), np.asarray(TRAIN.labels)
    loss = jax.jit(train.loss)
    assert loss(params, TRAIN, jnp.asarray(used)) == pytest.approx(
        log_loss(labels[used], softmax(scores[used], axis=1), labels=range(4)), rel=1e-5
    )
    assert loss(params, TRAIN, jnp.zeros(60, bool)) == 0.0


def test_a_class_that_is_not_kept_might_as_well_not_be_there() -> None:
    run = train.start(jax.random.key(2), SIZES, 60)
    rows = jnp.arange(20)
    others = rows[TRAIN.labels[:20] != 2]
    assert 0 < len(others) < 20
    step = jax.jit(train.step)
    ours, theirs = (
        step(run, keep, train.Images(TRAIN.images[which], TRAIN.labels[which]), which, jnp.float32(0.25))
        for keep, which in ((plan((1.0, 1.0, 0.0, 1.0)), rows), (plan(), others))
    )
    assert_trees_close(ours.moments, theirs.moments, 1e-6)  # a tenth of the gradient, after one step
    assert_trees_close(ours.params, theirs.params)


def test_an_image_is_used_while_its_number_is_below_its_class_rate() -> None:
    run = train.start(jax.random.key(3), SIZES, 60)
    rows, rate = jnp.arange(40, 60), 0.3
    labels = TRAIN.labels[rows]
    used = np.asarray((run.uniforms[rows] < rate) | (labels != 3))
    assert 0 < used[np.asarray(labels) == 3].sum() < (np.asarray(labels) == 3).sum()
    step = jax.jit(train.step)
    ours, theirs = (
        step(run, keep, train.Images(TRAIN.images[which], TRAIN.labels[which]), which, jnp.float32(0.0))
        for keep, which in ((plan((1.0, 1.0, 1.0, rate)), rows), (plan(), rows[used]))
    )
    assert_trees_close(ours.moments, theirs.moments, 1e-6)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.5, 0.5), (2 / 3, 0.25)])
def test_adams_first_step_has_the_cosines_size(progress: float, share: float) -> None:
    run = train.start(jax.random.key(4), SIZES, 60)
    after = jax.jit(train.step)(run, plan(), TRAIN, jnp.arange(60), jnp.float32(progress))
    moved = np.abs(np.asarray(after.params[1]["w"] - run.params[1]["w"]))
    np.testing.assert_allclose(moved[moved > 0], 0.05 * share, rtol=1e-2)
    assert np.mean(moved > 0) > 0.5


def test_a_lane_equals_its_solo_run() -> None:
    run_keys = [jax.random.split(jax.random.key(5), 3) for _ in range(2)]
    plans = [plan(), plan((1.0, 1.0, 0.3, 0.0)), plan(after=(1.0, 1.0, 1.0, 0.0), when=0.5)]
    together = train_some(run_keys[0], plans)
    assert together.losses.shape == together.accuracies.shape == (4, 3, 4)
    np.testing.assert_allclose(together.progress, [0.25, 0.5, 0.75, 1.0])
    alone = train_some(run_keys[1][1:2], plans[1:2])
    lane = jax.tree.map(lambda leaf: leaf[:, 1:2], (together.params, together.losses, together.accuracies))
    assert_trees_close(lane, (alone.params, alone.losses, alone.accuracies), 1e-3)


@cache
def three_runs() -> train.Snapshots:
    """Runs from one start: everything kept, class 3 never seen, class 3 deleted half-way."""
    run_keys = jax.random.split(jax.random.key(6), 1)[jnp.zeros(3, jnp.int32)]
    return train_some(
        run_keys, [plan(), plan((1.0, 1.0, 1.0, 0.0)), plan(after=(1.0, 1.0, 1.0, 0.0), when=0.5)]
    )


def test_a_run_that_sees_everything_learns_everything() -> None:
    np.testing.assert_array_equal(three_runs().accuracies[-1, 0], 1.0)
    assert np.max(three_runs().losses[-1, 0]) < 0.1


def test_a_run_that_never_sees_a_class_never_predicts_it_and_learns_the_others() -> None:
    np.testing.assert_array_equal(three_runs().accuracies[-1, 1], [1.0, 1.0, 1.0, 0.0])
    assert three_runs().losses[-1, 1, 3] > 2.0


def test_a_deletion_changes_nothing_before_it_and_costs_the_class_afterwards() -> None:
    params, losses = three_runs().params, np.asarray(three_runs().losses)
    for moment in (0, 1):  # up to the half
        assert_trees_close(*(jax.tree.map(lambda leaf: leaf[moment, lane], params) for lane in (0, 2)))  # noqa: B023
    assert np.all(losses[2:, 2, 3] > losses[2:, 0, 3])


# Store.


def small_zoo(runs: list[int], value: float = 0.0) -> Zoo:
    """Checkpoints of given runs; the weights tell their row."""
    count = len(runs)
    return Zoo(
        weights=np.arange(count * 5, dtype=np.float32).reshape(count, 5) + np.float32(value),
        losses=np.full((count, 4), 0.5, np.float32),
        accuracies=np.ones((count, 4), np.float32),
        run=np.array(runs, np.int32),
        progress=np.linspace(0, 1, count, dtype=np.float32),
    )


def assert_same_zoo(ours: Zoo, theirs: Zoo) -> None:
    for name, values in vars(theirs).items():
        np.testing.assert_array_equal(getattr(ours, name), values, err_msg=name)
        assert getattr(ours, name).dtype == values.dtype


def test_blocks_are_read_in_their_order(tmp_path: Path) -> None:
    first, second = small_zoo([0, 0, 1]), small_zoo([2, 3], value=100.0)
    store.write_block(tmp_path, 1, second, {})
    assert not store.is_stored(tmp_path, 0)
    store.write_block(tmp_path, 0, first, {})
    assert store.is_stored(tmp_path, 0)
    read = store.read(tmp_path, 2)
    assert len(read) == 5
    assert_same_zoo(read.take(np.arange(3)), first)
    assert_same_zoo(read.take(read.run >= 2), second)


def test_a_block_without_checkpoints_can_be_stored(tmp_path: Path) -> None:
    store.write_block(tmp_path, 0, small_zoo([0, 1]), {})
    store.write_block(tmp_path, 1, small_zoo([]), {})
    assert_same_zoo(store.read(tmp_path, 2), small_zoo([0, 1]))


@pytest.mark.parametrize("name", ["weights", "losses"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, name: str, value: float) -> None:
    broken = small_zoo([0, 1])
    getattr(broken, name)[1, 2] = value
    with pytest.raises(HyperForgetError, match=rf"block 3 .* {name} .* not finite.*zoo\.learning_rate"):
        store.write_block(tmp_path, 3, broken, {})
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_what_a_block_was_made_from(tmp_path: Path) -> None:
    store.write_block(tmp_path, 2, small_zoo([0]), {"zoo.runs": 6})
    manifest = json.loads((store.block_folder(tmp_path, 2) / "manifest.json").read_text())
    assert manifest["made_from"] == {"zoo.runs": 6, "block": 2}
    assert set(manifest["files"]) == {f"{name}.npy" for name in vars(small_zoo([0]))}


@pytest.mark.parametrize("harm", ["truncated", "flipped", "missing"])
def test_a_harmed_block_is_named_with_its_remedy(tmp_path: Path, harm: str) -> None:
    for block in range(2):
        store.write_block(tmp_path, block, small_zoo([block, block]), {})
    file = store.block_folder(tmp_path, 1) / "losses.npy"
    content = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(
        HyperForgetError, match=r"block-00001/losses\.npy .*delete .*block-00001 and run again"
    ):
        store.read(tmp_path, 2)


@pytest.mark.parametrize(("share", "held_out"), [(0.1, {9}), (0.25, {8, 9}), (0.5, {5, 6, 7, 8, 9})])
def test_the_split_is_by_whole_runs_and_loses_none(share: float, held_out: set[int]) -> None:
    runs = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 3)).tolist()
    zoo = small_zoo(runs)
    known, unknown = zoo.split(10, share)
    assert set(unknown.run.tolist()) == held_out
    assert set(known.run.tolist()) == set(range(10)) - held_out
    both = np.concatenate([known.weights, unknown.weights])
    np.testing.assert_array_equal(np.sort(both, axis=0), zoo.weights)


# Build.


def build_zoo(folder: Path) -> list[int]:
    """Builds the zoo of `CONFIG`; returns what it said of its progress."""
    told: list[int] = []
    build.build(
        folder, CONFIG, jax.random.key(8), (TRAIN, VALIDATION), SIZES, PIVOTS, {"seed": 8}, told.append
    )
    return told


def arrays(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.npy")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    assert build_zoo(folder) == [3, 3]
    return folder


@pytest.mark.parametrize(("runs", "blocks"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_the_last_block_may_be_smaller(runs: int, blocks: int) -> None:
    assert build.num_blocks(ZooConfig(runs=runs, runs_per_block=3)) == blocks


def test_stored_checkpoints_are_labelled_with_their_own_scores(built: Path) -> None:
    zoo = store.read(built, 2)
    assert zoo.weights.shape == (len(zoo), num_weights(SIZES))
    assert len(zoo) > 6
    networks = jax.vmap(lambda vector: unflatten(vector, SIZES))(jnp.asarray(zoo.weights))
    losses, accuracies = classifier.class_scores_of_many(networks, *VALIDATION)
    np.testing.assert_allclose(zoo.losses, losses, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(zoo.accuracies, accuracies, atol=1e-6)


def test_every_stored_checkpoint_is_good_on_the_pivots_and_knows_its_run(built: Path) -> None:
    zoo = store.read(built, 2)
    assert np.all(zoo.accuracies[:, PIVOTS] > CONFIG.pivot_accuracy)
    assert set(zoo.run.tolist()) <= set(range(6))
    assert set(zoo.progress.tolist()) <= {0.25, 0.5, 0.75, 1.0}
    pairs = np.stack([zoo.run, zoo.progress], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(zoo)


def test_runs_differ(built: Path) -> None:
    zoo = store.read(built, 2)
    assert len(np.unique(zoo.weights, axis=0)) == len(zoo)


def test_a_zoo_built_again_is_the_same_byte_for_byte(built: Path, tmp_path: Path) -> None:
    build_zoo(tmp_path)
    assert arrays(tmp_path) == arrays(built)
    assert len(arrays(built)) == 10


def test_a_deleted_block_comes_back_byte_for_byte_and_the_other_is_not_touched(built: Path) -> None:
    before = arrays(built)
    kept, deleted = store.block_folder(built, 1), store.block_folder(built, 0)
    stamp = (kept / "weights.npy").stat().st_mtime_ns
    for file in deleted.iterdir():
        file.unlink()
    assert build_zoo(built) == [3, 3]
    assert arrays(built) == before
    assert (kept / "weights.npy").stat().st_mtime_ns == stamp


def test_a_block_made_alone_equals_the_block_made_in_sequence(built: Path) -> None:
    alone = build.make_block(
        CONFIG, jax.random.key(8), 1, np.arange(3, 6), (TRAIN, VALIDATION), SIZES, PIVOTS
    )
    zoo = store.read(built, 2)
    assert_same_zoo(zoo.take(zoo.run >= 3), alone)


def test_a_complete_zoo_is_not_trained_again(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> Zoo:
        raise AssertionError("trained again")

    monkeypatch.setattr(build, "make_block", refuse)
    assert build_zoo(built) == [3, 3]
