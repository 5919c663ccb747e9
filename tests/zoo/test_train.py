"""Training of a block against smaller equivalent runs: class by class, lane by lane, device by device, rounded and not."""

import re
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec
from scipy.special import softmax  # type: ignore[import-untyped]
from scipy.stats import kstest  # type: ignore[import-untyped]
from sklearn.metrics import log_loss

from hyperforget_jax import classifier
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import sharding
from hyperforget_jax.weights.layout import num_weights, unflatten
from hyperforget_jax.zoo import train
from hyperforget_jax.zoo.hyperparameters import Hyperparameters
from hyperforget_jax.zoo.undersampling import uniforms
from tests.small_zoo import CONFIG, SIZES, STEPS_PER_SNAPSHOT, TRAIN, VALIDATION, plan

pytestmark = pytest.mark.usefixtures("programs")
Numbers = np.ndarray[Any, Any]


def devices(count: int) -> Mesh:
    return jax.make_mesh((count,), (sharding.DATA,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count])


PLANS = [
    *(plan(), plan((1.0, 1.0, 1.0, 0.0)), plan(after=(1.0, 1.0, 1.0, 0.0), when=0.5)),
    *(plan((1.0, 1.0, 0.2 * lane, 1.0)) for lane in range(5)),
]
"""Everything kept, class 3 never seen, class 3 deleted half-way; and five more runs."""


def starts() -> jax.Array:
    """Keys of the eight runs: the first three start from one model and use the same images."""
    return jax.random.split(jax.random.key(5), 6)[jnp.array([0, 0, 0, 1, 2, 3, 4, 5])]


@cache
def trained(first: int = 0, last: int = 7, count: int = 1, dtype: str = "float32") -> tuple[train.Snapshots, str]:
    """Snapshots of some of the eight runs on some devices, and the text of the compiled program."""
    arguments = (
        starts()[first : last + 1],
        jax.random.key(7),
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *PLANS[first : last + 1]),
        TRAIN,
        VALIDATION,
    )
    program = train.train_block.lower(
        *arguments,
        devices=devices(count),
        sizes=SIZES,
        pixels=tuple(range(SIZES[0])),
        batch_size=CONFIG.batch_size,
        snapshots=CONFIG.snapshots,
        steps_per_snapshot=STEPS_PER_SNAPSHOT,
        dtype=dtype,
    ).compile()
    return jax.tree.map(np.asarray, program(*arguments)), program.as_text()


def models(weights: Numbers) -> classifier.Params:
    """Models of vectors [n, P]."""
    return jax.vmap(partial(unflatten, sizes=SIZES))(jnp.asarray(weights, jnp.float32))


# Minibatches.


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
    train.validate_batch_size("zoo.batch_size", 60, 60)
    with pytest.raises(HyperForgetError, match=r"zoo\.batch_size is 61, .* 60 images"):
        train.validate_batch_size("zoo.batch_size", 61, 60)


# Which images a run uses.

RUNS, IMAGES = 64, 10_000


@cache
def table() -> Numbers:
    """The numbers [RUNS, IMAGES] of random words."""
    run_words, image_words = (
        jax.random.bits(jax.random.key(seed), (count,)) for seed, count in ((0, RUNS), (1, IMAGES))
    )
    numbers = jax.jit(jax.vmap(uniforms, in_axes=(0, None)))(run_words, image_words)
    return np.asarray(numbers, np.float64)


def test_the_numbers_of_a_run_are_uniform_and_so_are_those_of_an_image() -> None:
    assert table().min() >= 0.0
    assert table().max() < 1.0
    runs = [kstest(numbers, "uniform").pvalue for numbers in table()]
    images = [kstest(numbers, "uniform").pvalue for numbers in table()[:, :640].T]
    for chances in (runs, images):  # p-values of uniform numbers are uniform themselves
        assert kstest(chances, "uniform").pvalue > 1e-3


def test_the_numbers_differ_between_runs_and_between_images() -> None:
    assert len(np.unique(table()[:, 0])) == RUNS
    assert len(np.unique(table()[0])) > IMAGES - 20  # 24 bits: three pairs are expected to meet
    assert np.all((table()[1:] == table()[:-1]).mean(1) < 1e-3)


@pytest.mark.parametrize("rate", [0.001, 0.03, 0.5, 1.0])
def test_at_rate_r_a_share_r_of_the_images_is_used(rate: float) -> None:
    shares = (table() < rate).mean(1)
    spread = np.sqrt(rate * (1 - rate) / IMAGES)
    assert np.abs(shares - rate).max() <= 5 * spread
    assert shares.std() == pytest.approx(spread, rel=0.4)


def test_runs_choose_their_images_independently_of_each_other() -> None:
    for numbers in (table(), table() < 0.1):
        correlations = np.corrcoef(numbers) - np.eye(RUNS)
        assert np.abs(correlations).max() < 5 / np.sqrt(IMAGES)


# One step.


def assert_trees_close(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), ours, theirs)


WORDS = jax.random.bits(jax.random.key(9), (60,))


def batch_of(rows: Numbers) -> train.Minibatch:
    """A minibatch of some training images, with the random words that they have in every minibatch."""
    labels = TRAIN.labels[rows]
    return train.Minibatch(TRAIN.images[rows].T, jnp.eye(4, dtype=jnp.float32)[:, labels], WORDS[rows])


def stepped(run: train.RunState, keep: Hyperparameters, rows: Numbers, progress: float = 0.25) -> train.RunState:
    return jax.jit(train.step)(run, keep, batch_of(rows), jnp.float32(progress))


def test_the_loss_is_the_mean_over_the_images_in_use() -> None:
    params = classifier.init(jax.random.key(2), SIZES)
    used = np.arange(60) % 3 == 0
    scores, labels = np.asarray(jax.jit(classifier.logits)(params, TRAIN.images)), np.asarray(TRAIN.labels)
    loss, everything = jax.jit(train.loss), batch_of(np.arange(60))
    assert loss(params, everything, jnp.asarray(used)) == pytest.approx(
        log_loss(labels[used], softmax(scores[used], axis=1), labels=range(4)), rel=1e-5
    )
    assert loss(params, everything, jnp.zeros(60, bool)) == 0.0


def test_a_class_that_is_not_kept_might_as_well_not_be_there() -> None:
    run = train.start(jax.random.key(2), SIZES)
    rows = np.arange(20)
    others = rows[np.asarray(TRAIN.labels)[:20] != 2]
    assert 0 < len(others) < 20
    ours, theirs = stepped(run, plan((1.0, 1.0, 0.0, 1.0)), rows), stepped(run, plan(), others)
    assert_trees_close(ours.opt_state, theirs.opt_state, 1e-6)  # a tenth of the gradient, after one step
    assert_trees_close(ours.params, theirs.params)


def test_an_image_is_used_while_its_number_is_below_its_class_rate() -> None:
    run = train.start(jax.random.key(3), SIZES)
    rows, rate = np.arange(60), 0.3
    of_class = np.asarray(TRAIN.labels) == 3
    used = np.asarray(uniforms(run.word, WORDS) < rate) | ~of_class
    assert 0 < used[of_class].sum() < of_class.sum()
    ours, theirs = stepped(run, plan((1.0, 1.0, 1.0, rate)), rows), stepped(run, plan(), rows[used])
    assert_trees_close(ours.opt_state, theirs.opt_state, 1e-6)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 1.0), (0.5, 0.5), (2 / 3, 0.25)])
def test_adams_first_step_has_the_cosines_size(progress: float, share: float) -> None:
    run = train.start(jax.random.key(4), SIZES)
    after = stepped(run, plan(), np.arange(60), progress)
    moved = np.abs(np.asarray(after.params[1]["w"] - run.params[1]["w"]))
    np.testing.assert_allclose(moved[moved > 0], 0.05 * share, rtol=1e-2)
    assert np.mean(moved > 0) > 0.5


def test_runs_start_from_different_models_and_words() -> None:
    first, second = (train.start(jax.random.key(seed), SIZES) for seed in (5, 6))
    assert first.word != second.word
    assert not np.any(np.asarray(first.params[0]["w"] == second.params[0]["w"]))


# Blocks.


@pytest.fixture
def block() -> train.Snapshots:
    """The eight runs on one device."""
    return trained()[0]


def test_a_lane_equals_its_solo_run(block: train.Snapshots) -> None:
    assert block.weights.shape == (4, 8, num_weights(SIZES))
    assert block.losses.shape == block.accuracies.shape == (4, 8, 4)
    np.testing.assert_allclose(block.progress, [0.25, 0.5, 0.75, 1.0])
    alone, _ = trained(4, 4)
    for name in ("weights", "losses", "accuracies"):
        lane = getattr(block, name)[:, 4:5]
        np.testing.assert_allclose(lane, getattr(alone, name), rtol=1e-3, atol=1e-3, err_msg=name)


def test_a_run_that_sees_everything_learns_everything(block: train.Snapshots) -> None:
    np.testing.assert_array_equal(block.accuracies[-1, 0], 1.0)
    assert block.losses[-1, 0].max() < 0.1


def test_a_run_that_never_sees_a_class_never_predicts_it_and_learns_the_others(block: train.Snapshots) -> None:
    np.testing.assert_array_equal(block.accuracies[-1, 1], [1.0, 1.0, 1.0, 0.0])
    assert block.losses[-1, 1, 3] > 2.0


def test_a_deletion_changes_nothing_before_it_and_costs_the_class_afterwards(block: train.Snapshots) -> None:
    np.testing.assert_allclose(block.weights[:2, 0], block.weights[:2, 2], rtol=1e-5, atol=1e-5)
    assert np.all(block.losses[2:, 2, 3] > block.losses[2:, 0, 3])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rounded_weights_are_those_of_the_same_run_and_have_their_own_labels(dtype: str) -> None:
    (exact, _), (rounded, _) = trained(4, 4), trained(4, 4, dtype=dtype)
    assert rounded.weights.dtype == dtype
    stored, expected = (each.weights[:, 0].astype(dtype).astype(np.float32) for each in (rounded, exact))
    assert np.any(stored != exact.weights[:, 0])
    one_digit = float(jnp.finfo(dtype).eps)  # another program: a last bit may fall on the other side
    np.testing.assert_allclose(stored, expected, rtol=one_digit)
    assert np.mean(stored == expected) > 0.99
    losses, accuracies = classifier.class_scores_of_many(models(stored), *VALIDATION)
    np.testing.assert_allclose(rounded.losses[:, 0], losses, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rounded.accuracies[:, 0], accuracies, atol=1e-6)
    assert np.any(rounded.losses != exact.losses)


# Devices.


def test_eight_devices_give_the_result_of_one(block: train.Snapshots) -> None:
    assert jax.device_count() == 8
    eight, _ = trained(count=8)
    for name, values in block._asdict().items():
        np.testing.assert_allclose(getattr(eight, name), values, rtol=1e-4, atol=1e-5, err_msg=name)


COLLECTIVES = re.compile(r"all-reduce|all-gather|all-to-all|collective-|reduce-scatter")


def test_devices_never_wait_for_each_other() -> None:
    _, program = trained(count=8)
    assert "num_partitions=8" in program
    assert COLLECTIVES.findall(program) == []


def test_a_program_that_waits_is_recognised() -> None:
    rows = PartitionSpec(sharding.DATA)
    total = jax.shard_map(
        lambda x: jax.lax.psum(x, sharding.DATA), mesh=devices(8), in_specs=rows, out_specs=PartitionSpec()
    )
    program = jax.jit(total).lower(jnp.zeros(8)).compile().as_text()
    assert "num_partitions=8" in program
    assert COLLECTIVES.search(program)


def test_narrow_and_widen_are_inverse() -> None:
    params = classifier.init(jax.random.key(2), SIZES)
    other = classifier.init(jax.random.key(3), SIZES)
    pixels = (0, 2, 5)
    both = train.widen(train.narrow(params, pixels), other, pixels)
    expected = np.array(other[0]["w"])
    expected[:, list(pixels)] = params[0]["w"][:, np.array(pixels)]
    np.testing.assert_array_equal(both[0]["w"], expected)
    np.testing.assert_array_equal(both[0]["b"], params[0]["b"])
    np.testing.assert_array_equal(both[1]["w"], params[1]["w"])
    assert_trees_close(train.widen(train.narrow(params, pixels), params, pixels), params, 0.0)


def test_pixels_that_never_vary_change_nothing_when_they_are_left_out() -> None:
    images = TRAIN.images.at[:, np.array([1, 4])].set(0.0)
    still = train.Images(images, TRAIN.labels)
    narrow, pixels = train.varying(still)
    assert pixels == (0, 2, 3, 5)
    assert narrow.images.shape == (60, 4)
    shape = {"sizes": SIZES, "batch_size": 20, "snapshots": 2, "steps_per_snapshot": 5, "dtype": "float32"}
    devices, every = sharding.make_local(1), tuple(range(SIZES[0]))
    ours, theirs = (
        train.train_block(
            jax.random.split(jax.random.key(1), 3),
            jax.random.key(2),
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *PLANS[:3]),
            images,
            VALIDATION,
            devices=devices,
            pixels=places,
            **shape,
        )
        for images, places in ((narrow, pixels), (still, every))
    )
    assert_trees_close(ours, theirs, 1e-4)
