"""Training: what it asks for, what decays, and that a stop, more devices or a NaN change nothing that they should not."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hyperforget_jax.config import DiffusionConfig, HypernetworkConfig, TrainingConfig
from hyperforget_jax.diffusion import dit, train_step, trainer
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.dit import Transformer
from hyperforget_jax.diffusion.train_step import Batch, Prepare, Task
from hyperforget_jax.diffusion.trainer import Watch
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, sharding
from hyperforget_jax.runtime.checkpoints import Checkpoints
from hyperforget_jax.weights.layout import TokenLayout

pytestmark = pytest.mark.usefixtures("programs")
LAYOUT = TokenLayout(mask=np.array([[True, True], [True, False]]), kinds=(0, 1), positions=(0, 1))
CONFIG = TrainingConfig(steps=8, batch_size=16, learning_rate=1e-2, warmup_steps=2, log_every=2, checkpoint_every=4)
DIFFUSION = DiffusionConfig(timesteps=50, class_dropout=0.0, kind_dropout=0.0)
SMALL = HypernetworkConfig(hidden_size=8, depth=1, num_heads=2, mlp_ratio=1, frequencies=2)


def linear(columns: int = 4) -> Transformer:
    """The smallest transformer: tokens from the condition, by one matrix [1, T * W] and columns that do nothing."""

    def apply(params: Any, noisy: jax.Array, _: jax.Array, condition: Condition) -> jax.Array:
        return jnp.where(LAYOUT.mask[None], (condition.target @ params["w"][:, :4]).reshape(noisy.shape), 0.0)

    return Transformer(lambda key: {"w": jax.random.normal(key, (1, columns))}, apply)


def toy(count: int, seed: int) -> Batch:
    """Checkpoints whose tokens, half their weights, are twice, once and minus once their condition, half their loss."""
    losses = np.random.default_rng(seed).normal(size=(count, 1)).astype(np.float32)
    return losses * np.array([[2.0, 1.0, -1.0, 0.0]], np.float32), losses


def toys(step: int) -> Iterator[Batch]:
    """Batches of the steps from one on."""
    return (toy(CONFIG.batch_size, seed) for seed in itertools.count(step))


def spoiled(step: int) -> Iterator[Batch]:
    """The same with weights that are not finite."""
    return ((weights * np.float32(np.nan), losses) for weights, losses in toys(step))


SHAPES = {"wide": (64, 256), "tall": (256, 64), "odd": (64, 8191), "few": (8, 8), "none": (191, 191)}
HELD_OUT = toy(64, seed=10**6)


def encode(key: jax.Array, batch: Batch) -> tuple[jax.Array, Condition]:
    del key
    weights, losses = batch
    return weights.reshape(-1, 2, 2) / 2.0, Condition(losses / 2.0, jnp.ones_like(losses))


def train(
    folder: Path,
    transformer: Transformer,
    config: TrainingConfig = CONFIG,
    batches: Callable[[int], Iterator[Batch]] = toys,
    prepare: Prepare = encode,
    diffusion: DiffusionConfig = DIFFUSION,
    on_steps: Callable[[int], None] = lambda count: None,
    watch: Watch | None = None,
) -> Any:
    folder.mkdir(exist_ok=True)
    return trainer.train(
        folder,
        jax.random.key(5),
        Task(transformer, LAYOUT, prepare, diffusion, (1,)),
        batches,
        HELD_OUT,
        config,
        on_steps,
        watch,
    )


def stop_after(steps: int) -> Callable[[int], None]:
    """A callback that presses Ctrl-C once so many steps are done."""
    done = 0

    def on_steps(count: int) -> None:
        nonlocal done
        done += count
        if done >= steps:
            raise KeyboardInterrupt

    return on_steps


def assert_same(ours: Any, theirs: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_loss_falls_until_the_rule_is_learned(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=300, learning_rate=0.1, weight_decay=0.0, log_every=50, ema_decay=0.9)
    params = train(tmp_path, linear(), config)
    np.testing.assert_allclose(params["w"][0, :3], [2.0, 1.0, -1.0], atol=0.02)
    curve = artifacts.read_rows(tmp_path / "learning_curve.jsonl")
    assert [row["step"] for row in curve] == [50, 100, 150, 200, 250, 300]
    for name in ("train_loss", "validation_loss"):
        assert curve[-1][name] < 0.01 * curve[0][name]


@pytest.mark.parametrize(
    ("sharded", "grad_accum_steps"),
    [pytest.param(False, 1, marks=pytest.mark.slow), pytest.param(True, 1, marks=pytest.mark.slow), (True, 2)],
)
def test_one_device_equals_eight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharded: bool, grad_accum_steps: int
) -> None:
    """Parameters copied to all devices or divided among them, in parts of a batch or at once."""
    monkeypatch.setattr(sharding, "SMALLEST_SHARDED", 1)
    transformer = dit.make(SMALL, DIFFUSION, LAYOUT, 1, 1)
    assert sharding.make(CONFIG.batch_size).size == sharding.make(CONFIG.batch_size // 2).size == 8
    config = replace(CONFIG, grad_accum_steps=grad_accum_steps)
    eight = train(tmp_path / "eight", transformer, replace(config, shard_parameters=sharded))
    monkeypatch.setattr(sharding, "make", lambda batch_size: first_devices(1))
    one = train(tmp_path / "one", transformer, config)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), one, eight)


def first_devices(count: int) -> jax.sharding.Mesh:
    kind = jax.sharding.AxisType.Auto
    return jax.make_mesh((count,), (sharding.DATA,), axis_types=(kind,), devices=jax.devices()[:count])


@pytest.mark.parametrize("count", [1, 4])
def test_a_state_divided_among_eight_devices_goes_on_on_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(sharding, "SMALLEST_SHARDED", 1)
    transformer, config = linear(8), replace(CONFIG, shard_parameters=True)
    divided = sharding.parameters(sharding.make(16), jax.eval_shape(transformer.init, jax.random.key(0)), True)
    assert divided["w"].shard_shape((1, 8)) == (1, 1)
    straight = train(tmp_path / "straight", transformer, config)
    moved = tmp_path / "moved"
    with pytest.raises(KeyboardInterrupt):
        train(moved, transformer, config, on_steps=stop_after(6))
    monkeypatch.setattr(sharding, "make", lambda batch_size: first_devices(count))
    told: list[int] = []
    found = train(moved, transformer, config, on_steps=told.append)
    assert told == [4, 2, 2]  # the state of step 4 was taken over
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), found, straight)
    curves = [artifacts.read_rows(folder / "learning_curve.jsonl") for folder in (moved, tmp_path / "straight")]
    losses = [[row["validation_loss"] for row in curve] for curve in curves]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_parameters_are_divided_along_the_longest_axis_that_devices_divide() -> None:
    devices, shapes = sharding.make(8), {name: np.zeros(shape) for name, shape in SHAPES.items()}
    divided = sharding.parameters(devices, shapes, sharded=True)
    found = {name: place.shard_shape(SHAPES[name]) for name, place in divided.items()}
    assert found == {"wide": (64, 32), "tall": (32, 64), "odd": (8, 8191), "few": (8, 8), "none": (191, 191)}
    copied = sharding.parameters(devices, shapes, sharded=False)
    assert {name: place.shard_shape(SHAPES[name]) for name, place in copied.items()} == SHAPES


def test_a_divided_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "SMALLEST_SHARDED", 1)
    transformer, config = linear(8), replace(CONFIG, shard_parameters=True)
    straight = train(tmp_path / "straight", transformer, config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", transformer, config, on_steps=stop_after(6))
    assert_same(train(tmp_path / "stopped", transformer, config), straight)


@pytest.mark.parametrize("grad_accum_steps", [2, 16])
def test_a_batch_in_parts_gives_the_step_of_the_whole(tmp_path: Path, grad_accum_steps: int) -> None:
    """The linear transformer sees no noise, so the parts' mean loss and mean gradient are those of the batch."""
    whole = train(tmp_path / "whole", linear())
    parts = train(tmp_path / "parts", linear(), replace(CONFIG, grad_accum_steps=grad_accum_steps))
    np.testing.assert_allclose(parts["w"], whole["w"], rtol=1e-4, atol=1e-5)
    curves = [artifacts.read_rows(tmp_path / name / "learning_curve.jsonl") for name in ("whole", "parts")]
    losses = [[row["train_loss"] for row in curve] for curve in curves]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_parts_of_a_batch_draw_apart() -> None:
    """The tokens of a part are one random number, so its loss tells which key it had."""

    def draw(key: jax.Array, batch: Batch) -> tuple[jax.Array, Condition]:
        (losses,) = batch
        tokens = jnp.broadcast_to(jax.random.normal(key, ()), (len(losses), *LAYOUT.mask.shape))
        return jnp.where(LAYOUT.mask[None], tokens, 0.0), Condition(losses, losses)

    config = replace(CONFIG, grad_accum_steps=2)
    task = Task(linear(), LAYOUT, draw, DIFFUSION, (1,))
    state = train_step.init(jax.random.key(0), task, config)
    batch = (np.zeros((16, 1), np.float32),)
    step = jax.jit(partial(train_step.step, task=task, config=config))
    _, found = step(state, batch, jax.random.key(1))
    loss = jax.jit(task.loss)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(1), 0), 2)
    each = [float(loss(state.params, key, batch)) for key in keys]
    assert each[0] != pytest.approx(each[1], rel=1e-2)
    assert float(found) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_a_stopped_training_ends_like_one_that_never_stopped(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", linear())
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(stopped, linear(), on_steps=stop_after(6))
    curve = artifacts.read_rows(stopped / "learning_curve.jsonl")
    assert [row["step"] for row in curve] == [2, 4, 6]  # the last of them came after the state of step 4
    told: list[int] = []
    asked: list[int] = []

    def batches(step: int) -> Iterator[Batch]:
        asked.append(step)
        return toys(step)

    assert_same(train(stopped, linear(), batches=batches, on_steps=told.append), straight)
    assert told == [4, 2, 2]  # what was done before, then what was done now
    assert asked == [4]
    curves = [(folder / "learning_curve.jsonl").read_text() for folder in (stopped, tmp_path / "straight")]
    assert curves[0] == curves[1]


def test_every_step_has_its_batch_and_no_other_is_taken(tmp_path: Path) -> None:
    taken: list[int] = []

    def batches(step: int) -> Iterator[Batch]:
        for seed in itertools.count(step):
            taken.append(seed)
            yield toy(CONFIG.batch_size, seed)

    straight = train(tmp_path / "ours", linear(), batches=batches)
    assert taken == list(range(CONFIG.steps))
    other = train(tmp_path / "other", linear(), batches=lambda step: toys(step + 1))
    assert not np.array_equal(straight["w"], other["w"])


def test_preparation_has_another_key_in_every_step(tmp_path: Path) -> None:
    """Signs drawn at random hide the rule: the best prediction is then zero."""

    def flip(key: jax.Array, batch: Batch) -> tuple[jax.Array, Condition]:
        encode_key, sign_key = jax.random.split(key)
        tokens, condition = encode(encode_key, batch)
        return tokens * jax.random.rademacher(sign_key, (len(tokens), 1, 1), jnp.float32), condition

    config = replace(CONFIG, steps=300, learning_rate=0.05, weight_decay=0.0, log_every=100, ema_decay=0.98)
    params = train(tmp_path, linear(), config, prepare=flip)
    np.testing.assert_allclose(params["w"][0, :3], 0.0, atol=0.4)


def test_the_held_out_loss_has_the_same_noise_each_time(tmp_path: Path) -> None:
    noise_matters = DiffusionConfig(timesteps=50, prediction="v")
    train(tmp_path, linear(), replace(CONFIG, learning_rate=0.0), diffusion=noise_matters)
    losses = [row["validation_loss"] for row in artifacts.read_rows(tmp_path / "learning_curve.jsonl")]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = train(tmp_path, linear())
    told: list[int] = []
    assert_same(train(tmp_path, linear(), on_steps=told.append), first)
    assert told == [CONFIG.steps]


def test_a_nan_names_the_step_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", linear())
    hurt = tmp_path / "hurt"
    with pytest.raises(KeyboardInterrupt):
        train(hurt, linear(), on_steps=stop_after(6))
    with pytest.raises(HyperForgetError, match=r"loss is nan by step 6: lower training\.learning_rate$"):
        train(hurt, linear(), batches=spoiled)
    with Checkpoints(hurt / "states") as states:
        assert states.latest() == 4
    assert_same(train(hurt, linear()), straight)


def test_a_nan_is_found_before_it_is_saved(tmp_path: Path) -> None:
    """Also where states are saved more often than losses are recorded."""
    with pytest.raises(HyperForgetError, match="loss is nan"):
        train(tmp_path, linear(), replace(CONFIG, log_every=8, checkpoint_every=2), batches=spoiled)
    with Checkpoints(tmp_path / "states") as states:
        assert states.latest() is None


def test_a_step_that_spoils_the_parameters_is_not_saved(tmp_path: Path) -> None:
    """Its loss is still finite: it was taken before."""
    config = replace(CONFIG, learning_rate=float("inf"), log_every=1, checkpoint_every=1)
    with pytest.raises(HyperForgetError, match=r"parameter norm is nan by step 1: lower training\.learning_"):
        train(tmp_path, linear(), config)
    with Checkpoints(tmp_path / "states") as states:
        assert states.latest() is None


def watching(every: int, seen: list[Any]) -> Watch:
    """Measures the first parameter, and keeps a copy of what it was given, on one device."""

    def measure(params: Any) -> dict[str, float]:
        assert params["w"].devices() == {jax.devices()[0]}
        seen.append(jax.tree.map(np.array, params))
        return {"first": float(params["w"][0, 0])}

    return Watch("watched", every, measure)


def test_what_is_watched_is_measured_at_its_steps_and_at_the_end(tmp_path: Path) -> None:
    """Of the averaged parameters, whole on one device; training does not notice."""
    seen: list[Any] = []
    watched = train(tmp_path / "watched", linear(), watch=watching(3, seen))
    assert_same(watched, train(tmp_path / "straight", linear()))
    rows = artifacts.read_rows(tmp_path / "watched" / "watched.jsonl")
    assert [row["step"] for row in rows] == [3, 6, 8]
    assert_same(seen[-1], watched)
    assert [row["first"] for row in rows] == [float(params["w"][0, 0]) for params in seen]
    assert not (tmp_path / "straight" / "watched.jsonl").exists()


def test_a_training_that_goes_on_measures_again_what_came_after_its_state(tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train(straight, linear(), watch=watching(1, []))
    with pytest.raises(KeyboardInterrupt):
        train(stopped, linear(), on_steps=stop_after(6), watch=watching(1, []))
    assert len(artifacts.read_rows(stopped / "watched.jsonl")) == 5  # the sixth comes after the log, where it stopped
    train(stopped, linear(), watch=watching(1, []))
    assert (stopped / "watched.jsonl").read_text() == (straight / "watched.jsonl").read_text()


DECAYING = {"kernel", "project_in", "project_out"}


@pytest.mark.parametrize(
    ("kind", "conditioning", "decaying", "others"),
    [
        ("dihyfo2", "adaln", DECAYING, {"position_in"}),
        (
            "dihyfo1",
            "tokens",
            {*DECAYING, "project_start"},
            {"position_in", "position_start", "position_losses", "constants"},
        ),
    ],
)
def test_only_matrices_decay(kind: Any, conditioning: Any, decaying: set[str], others: set[str]) -> None:
    model = dit.make(replace(SMALL, kind=kind, conditioning=conditioning), DIFFUSION, LAYOUT, 1, 1)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda shape: jnp.ones(shape.shape), shapes)
    rule = train_step.rule(replace(CONFIG, weight_decay=0.5, learning_rate=0.1, warmup_steps=1))

    @jax.jit
    def two_steps(params: Any) -> Any:
        state, nothing = rule.init(params), jax.tree.map(jnp.zeros_like, params)
        for _ in range(2):  # the first step of the warm-up has the size 0
            updates, state = rule.update(nothing, state, params)
            params = optax.apply_updates(params, updates)
        return params

    with jax.numpy_dtype_promotion("standard"):
        params = two_steps(params)
    found = jax.tree_util.tree_leaves_with_path(params)
    assert {path[-1].key for path, leaf in found if (leaf != 1).any()} == decaying
    kept = {path[-1].key for path, leaf in found if (leaf == 1).all()}
    assert {name for name in kept if not name.startswith("bias")} == others
    np.testing.assert_allclose(params["project_in"], 1.0 - 0.1 * 0.5, rtol=1e-6)


def test_the_average_of_parameters_that_do_not_move_is_those_parameters(tmp_path: Path) -> None:
    params = train(tmp_path, linear(), replace(CONFIG, learning_rate=0.0))
    init_key = jax.random.split(jax.random.key(5), 3)[0]
    np.testing.assert_allclose(params["w"], linear().init(init_key)["w"], rtol=1e-6)


def test_the_average_follows_its_recursion(tmp_path: Path) -> None:
    """decay = min(0.25, (1 + step) / (10 + step)): 0.1, 2/11, 0.25, 0.25."""
    config = replace(CONFIG, steps=4, ema_decay=0.25, log_every=1, checkpoint_every=1)
    seen = []

    def look(count: int) -> None:
        with Checkpoints(tmp_path / "states") as states:
            if (step := states.latest()) is not None:
                rule = train_step.rule(config)
                params = linear().init(jax.random.key(0))
                like = train_step.State(params, params, rule.init(params), jnp.int32(0))
                seen.append(states.restore(step, like))

    average = train(tmp_path, linear(), config, on_steps=look)
    with Checkpoints(tmp_path / "states") as states:
        assert states.latest() == 4
    assert [int(state.step) for state in seen] == [1, 2, 3]
    decays = [2 / 11, 0.25]
    for before, after, decay in zip(seen, seen[1:], decays, strict=False):
        expected = decay * before.ema["w"] + (1 - decay) * after.params["w"]
        np.testing.assert_allclose(after.ema["w"], expected, rtol=1e-5)
    assert not np.array_equal(average["w"], seen[-1].ema["w"])
