"""The benchmark: its counts by hand, its contenders train the same models, its last line is JSON with the promised keys."""

import importlib.util
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments import benchmarks
from experiments.benchmarks import flops, timing, zoo
from experiments.benchmarks.timing import Contender, Timing
from experiments.benchmarks.zoo import ZooBenchmark
from experiments.benchmarks.zoo_block import Block, block_of, scoring, train_apart, train_together
from hyperforget_jax import classifier
from hyperforget_jax.config import ClassifierConfig, Config, DataConfig, ZooConfig
from hyperforget_jax.pipeline.run import Run, start, validate_run_config
from hyperforget_jax.runtime import machine
from hyperforget_jax.weights.layout import flatten, unflatten
from hyperforget_jax.zoo import train

pytestmark = pytest.mark.usefixtures("programs")  # nothing here is timed

TINY = ZooBenchmark(
    rounds=2,
    seconds=0.0,
    snapshots=2,
    cpu_naive_runs=2,
    torch_snapshots=2,
    cpu_products=(16, 32),
    accelerator_products=(64,),
    scaling_rounds=1,
    scaling_snapshots=1,
    scaling_runs=(2, 3, 4),
)
"""As little as can be: compiling takes the time, so most tests train two snapshots of three runs or of one."""
FIGURES = {"per_second", "us_each", "gflops_per_second", "share_of_peak", "spread"}


def setting(folder: Path) -> Config:
    """Three runs on digits, 64-2-4, whose first deletes a class part-way."""
    return Config(
        workdir=str(folder),
        data=DataConfig(validation_size=360),
        classifier=ClassifierConfig(hidden=(2,)),
        zoo=ZooConfig(
            runs=3,
            runs_per_block=3,
            epochs=10.0,
            batch_size=32,
            snapshots=10,
            learning_rate=(1e-2, 2e-2),
            undersample_probability=1.0,
            never_seen_probability=0.0,
            keep_rate=(0.2, 0.6),
            deletion_probability=1.0,
            deletion_time=(0.4, 0.6),
        ),
    )


@pytest.fixture
def job(tmp_path: Path) -> Run:
    return start(setting(tmp_path), Console(file=io.StringIO(), width=200), "python -m experiments.benchmarks.zoo")


@pytest.fixture
def block(job: Run) -> Block:
    return block_of(job)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten-class setting at a size for tests, and one thread for PyTorch: more are slow where many processes share the cores."""
    full = zoo.ten_classes

    def small(config: Config) -> Config:
        return replace(full(config), classifier=ClassifierConfig(hidden=(3,)), zoo=config.zoo)

    monkeypatch.setattr(zoo, "ten_classes", small)
    monkeypatch.setattr(machine, "cores", lambda: 1)


# Counts.


def test_flops_of_a_step_by_hand() -> None:
    # 784-2-4: 1,568 weights forward and for their gradient, 8 weights for the gradient of their input too
    assert flops.step((784, 2, 4), 256) == 256 * (2 * 2 * 1568 + 3 * 2 * 8)
    assert flops.step((784, 7, 10), 1) == 4 * 5488 + 6 * 70
    assert flops.step((5, 3, 2, 4), 10) == 10 * (4 * 15 + 6 * (6 + 8))
    assert flops.step((5, 3), 1) == 60


def test_flops_of_scoring_and_of_a_product_by_hand() -> None:
    assert flops.scoring((784, 2, 4), 100) == 2 * 100 * (1568 + 8)
    products = timing.products(TINY, "float32")
    assert products["product_16"].flops == 2 * 16**3


def test_figures_by_hand() -> None:
    told = timing.rates(Contender(object, 50, 4_000_000_000), Timing(0.5, 0.25), 16e9)
    assert told == {
        "per_second": 100.0,
        "us_each": 10_000.0,
        "gflops_per_second": 8.0,
        "share_of_peak": 0.5,
        "spread": 0.25,
    }


def test_contenders_count_their_own_work(block: Block) -> None:
    steps, images = block.steps_per_snapshot, len(block.validation.labels)
    assert steps == 12  # 396 images are 12 minibatches, 10 epochs in 10 parts
    train_one = steps * flops.step((len(block.pixels), 2, 4), 32)
    score_one = flops.scoring((64, 2, 4), images)
    field = zoo.contenders(block, TINY, {"torch_threads_1": object})
    counted = {name: (each.made, each.flops) for name, each in field.items()}
    assert counted == {
        "ours": (6, 6 * (train_one + score_one)),
        "torch_threads_1": (2, 2 * (steps * flops.step((64, 2, 4), 32) + score_one)),
        "naive_vmap": (2, 2 * (train_one + score_one)),
        "training_steps": (6, 6 * train_one),
        "scoring": (3, 3 * score_one),
        "product_16": (1, 2 * 16**3),
        "product_32": (1, 2 * 32**3),
    }


# Turns.


def test_contenders_take_turns_and_the_best_turn_counts() -> None:
    now, calls, rounds = [0.0], [], []
    first = 9.0  # of a turn, which does not count
    costs = {
        "a": iter([first, 1.0, first, 4.0, first, 3.0, first, 6.0]),
        "b": iter([first, 9.0, first, 2.0, first, 2.0, first, 2.0]),
    }

    def work(name: str) -> None:
        calls.append(name)
        now[0] += next(costs[name])

    works = {"a": lambda: work("a"), "b": lambda: work("b")}
    timings = timing.alternate(works, 3, 0.0, rounds.append, clock=lambda: now[0])
    assert "".join(calls) == "aabb" * 4
    assert timings == {"a": Timing(3.0, 1.0), "b": Timing(2.0, 0.0)}
    assert rounds == [1, 1, 1]


def test_short_work_is_repeated_until_its_turn_is_long_enough() -> None:
    now, calls = [0.0], [0]

    def work() -> None:
        calls[0] += 1
        now[0] += 0.125

    timings = timing.alternate({"short": work}, 2, 1.0, lambda count: None, clock=lambda: now[0])
    assert calls == [2 + 2 * (1 + 8)]
    assert timings["short"] == Timing(0.125, 0.0)


# Contenders.


@pytest.mark.slow
def test_the_naive_vmap_trains_every_run_as_a_block_of_its_own(block: Block) -> None:
    run_keys, order_key = block.keys()
    orders = jax.random.split(order_key, block.runs)
    apart = train_apart(block, 2)
    for run in range(block.runs):
        one = replace(
            block,
            run_keys=jax.random.clone(run_keys)[run : run + 1],
            order_key=orders[run],
            plans=jax.tree.map(lambda leaf, run=run: leaf[run : run + 1], block.plans),
        )
        alone = train_together(one, 2)
        np.testing.assert_allclose(apart.weights[run], alone.weights, atol=1e-5)
        np.testing.assert_allclose(apart.losses[run], alone.losses, atol=1e-4)


def test_without_scoring_the_same_models_are_trained(block: Block) -> None:
    few = block.unscored()
    np.testing.assert_array_equal(few.validation.labels, np.arange(4))
    scored, unscored = train_together(block, 2), train_together(few, 2)
    np.testing.assert_array_equal(scored.weights, unscored.weights)
    assert not np.array_equal(scored.losses, unscored.losses)


def test_scoring_alone_is_that_of_untrained_models(block: Block) -> None:
    losses, _ = scoring(block)()
    run_keys, _ = block.keys()
    first = train.start(run_keys[0], block.sizes).params
    expected, _ = classifier.class_scores(first, *block.validation)
    assert losses.shape == (3, 4)
    np.testing.assert_allclose(losses[0], expected, rtol=1e-5)


def test_pytorch_ends_where_we_do(block: Block) -> None:
    """The same start, minibatches and images in use: undersampling and a deletion part-way included."""
    pytest.importorskip("torch")
    from experiments.benchmarks import torch_zoo

    theirs = torch_zoo.like_ours(block, 2)
    found = train_together(block.first(1), 2)
    run_keys, _ = block.keys()
    at_start = flatten(train.start(run_keys[0], block.sizes).params)
    assert len(theirs) == 2
    for ours_weights, ours_losses, ours_accuracies, checkpoint in zip(
        found.weights[:, 0], found.losses[:, 0], found.accuracies[:, 0], theirs, strict=True
    ):
        np.testing.assert_allclose(checkpoint.weights.numpy(), ours_weights, atol=1e-3)
        np.testing.assert_allclose(checkpoint.losses.numpy(), ours_losses, atol=1e-2)
        np.testing.assert_allclose(checkpoint.accuracies.numpy(), ours_accuracies, atol=0.02)
        assert jnp.abs(ours_weights - at_start).max() > 0.05
    assert torch_zoo.weight_difference(block) < 1e-4


def test_a_checkpoint_of_pytorch_is_flattened_as_ours(block: Block) -> None:
    pytest.importorskip("torch")
    from experiments.benchmarks import torch_zoo

    (checkpoint,) = torch_zoo.like_ours(block, 1)
    params = unflatten(jnp.asarray(checkpoint.weights.numpy()), block.sizes)
    losses, accuracies = classifier.class_scores(params, *block.validation)
    np.testing.assert_allclose(checkpoint.losses.numpy(), losses, rtol=1e-4)
    np.testing.assert_allclose(checkpoint.accuracies.numpy(), accuracies, rtol=1e-5)


# The whole.


def told(job: Run) -> list[str]:
    """Runs the benchmark on tiny pieces and returns the lines that it prints."""
    zoo.run(job, TINY)
    assert isinstance(job.console.file, io.StringIO)
    return job.console.file.getvalue().splitlines()


@pytest.mark.slow
def test_the_last_line_is_json_with_the_promised_figures(job: Run) -> None:
    lines = told(job)
    result = json.loads(lines[-1])
    assert json.loads((job.folder / "bench_zoo.json").read_text()) == result
    assert {"date", "device", "cpu", "cores", "load_at_start", "jax", "torch", "git"} <= result.keys()
    assert result["jax"] == jax.__version__
    assert set(result["settings"]) == {"digits4", "digits"}
    has_torch = importlib.util.find_spec("torch") is not None
    for name, found in result["settings"].items():
        rows = found["contenders"]
        assert all(set(row) == FIGURES for row in rows.values())
        assert all(row["gflops_per_second"] > 0 and row["spread"] >= 0 for row in rows.values())
        rates = {each: row["per_second"] for each, row in rows.items()}
        loops = [rates[each] for each in rates if each.startswith("torch_threads_")]
        assert bool(loops) == has_torch
        if has_torch:
            assert found["ours_over_torch"] == pytest.approx(rates["ours"] / max(loops))
            assert found["torch_weight_difference"] < 1e-3
        assert found["ours_over_naive_vmap"] == pytest.approx(rates["ours"] / rates["naive_vmap"])
        products = [rows[f"product_{side}"]["gflops_per_second"] for side in TINY.cpu_products]
        assert found["peak_gflops_per_second"] == pytest.approx(max(products))
        assert result[f"share_of_peak_{name}"] == rows["training_steps"]["share_of_peak"]
    assert result["ours_over_torch"] == result["settings"]["digits4"]["ours_over_torch"]
    assert result["ours_over_naive_vmap"] == result["settings"]["digits4"]["ours_over_naive_vmap"]
    assert [row["runs_per_block"] for row in result["scaling"]] == [2, 3]
    assert all(row["us_per_checkpoint"] > 0 for row in result["scaling"])
    assert (job.folder / "bench_zoo.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (job.folder / "bench_zoo.svg").read_text()[:1000]


@pytest.mark.slow
def test_without_pytorch_the_rest_is_measured_and_a_line_says_so(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "experiments.benchmarks.torch_zoo", raising=False)
    monkeypatch.delattr(benchmarks, "torch_zoo", raising=False)
    lines = told(job)
    assert "PyTorch is not installed, its loop is left out: pip install -e '.[bench]'" in lines
    result = json.loads(lines[-1])
    assert result["torch"] is result["ours_over_torch"] is None
    assert result["ours_over_naive_vmap"] > 0
    assert not any(name.startswith("torch") for name in result["settings"]["digits4"]["contenders"])


def test_the_settings_are_those_of_the_zoos() -> None:
    config = replace(zoo.get_config(), data=DataConfig(name="mnist", dir="there", validation_size=5000))
    validate_run_config(zoo.get_config())
    assert (config.zoo.runs_per_block, config.zoo.snapshots, config.classifier.hidden) == (512, 150, (2,))


def test_the_ten_class_setting_uses_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    config = replace(zoo.get_config(), seed=7)
    other = zoo.ten_classes(replace(config, data=replace(config.data, dir="there")))
    assert (other.seed, other.data.dir, other.data.classes) == (7, "there", tuple(range(10)))
    assert (other.classifier.hidden, other.zoo.runs_per_block) == ((7,), 128)
