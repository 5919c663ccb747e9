"""The benchmark of hypernetworks: its counts against the program itself, PyTorch is the same function, training and sampler as ours."""

import importlib.util
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments import benchmarks
from experiments.benchmarks import hypernetwork, hypernetwork_work, timing
from experiments.benchmarks.hypernetwork import HypernetworkBenchmark
from experiments.benchmarks.hypernetwork_work import Setting
from experiments.benchmarks.timing import Contender, Timing
from hyperforget_jax.config import (
    ClassifierConfig,
    CodecConfig,
    Config,
    HypernetworkConfig,
    SamplingConfig,
    TrainingConfig,
)
from hyperforget_jax.config.overrides import parse_overrides
from hyperforget_jax.diffusion import samplers, schedule
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run, start, validate_run_config
from hyperforget_jax.runtime import machine

pytestmark = pytest.mark.usefixtures("programs")  # nothing here is timed
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: pip install -e '.[bench]'"
)
TINY = HypernetworkBenchmark(
    rounds=1,
    seconds=0.0,
    cpu_products=(16, 32),
    accelerator_products=(64,),
    cpu_steps=2,
    accelerator_steps=2,
    models=16,
)
FIGURES = {"per_second", "us_each", "gflops_per_second", "share_of_peak", "spread"}


def config_of(folder: Path) -> Config:
    """Two blocks of width 8 for the tokens of 64-3-4 classifiers."""
    return Config(
        workdir=str(folder),
        classifier=ClassifierConfig(hidden=(3,)),
        codec=CodecConfig(kind="functional", basis_size=5),
        hypernetwork=HypernetworkConfig(exposure=False, hidden_size=8, depth=2, num_heads=2, frequencies=3),
        training=TrainingConfig(
            steps=20, warmup_steps=1, batch_size=6, clip_norm=0.1, learning_rate=1e-2, weight_decay=5.0
        ),
        sampling=SamplingConfig(steps=4, batch_size=5),
    )


@pytest.fixture
def job(tmp_path: Path) -> Run:
    console = Console(file=io.StringIO(), width=300)
    return start(config_of(tmp_path), console, "python -m experiments.benchmarks.hypernetwork")


@pytest.fixture
def setting(job: Run) -> Setting:
    return hypernetwork_work.setting_of(job, TINY.models)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """For PyTorch: more are slow where many processes share the cores."""
    monkeypatch.setattr(machine, "cores", lambda: 1)


# Counts.


@pytest.mark.parametrize("kind", ["dihyfo1", "dihyfo2"])
@pytest.mark.parametrize("conditioning", ["adaln", "tokens"])
def test_flops_of_a_forward_pass_by_hand(setting: Setting, kind: str, conditioning: str) -> None:
    """C = 12, MLP ratio 3, 3 blocks; T = 4 tokens of W = 9 coordinates; K = 4 losses with 2 F + 2 = 8 features each."""
    sized = setting.changed(kind=kind, conditioning=conditioning, mlp_ratio=3, depth=3, hidden_size=12)
    updates, adaln, width = kind == "dihyfo1", conditioning == "adaln", 12
    weights, losses = 4 * (1 + updates), 4 * (1 + 2 * updates)
    tokens = 4 if adaln else weights + losses + 1
    blocks = 3 * tokens * (20 * width**2 + 4 * tokens * width) + adaln * (3 * 12 + 4) * width**2
    time = 2 * (256 * width + width**2)
    each = 2 * (losses * 8 * width + width**2) if adaln else losses * 2 * (8 * width + width**2)
    assert hypernetwork.forward(sized) == blocks + time + each + 2 * (weights + 4) * 9 * width


@pytest.mark.slow
def test_contenders_count_their_own_work(setting: Setting) -> None:
    one = hypernetwork.forward(setting)
    trained = hypernetwork.training(hypernetwork_work, setting, TINY)
    sampled = hypernetwork.sampling(hypernetwork_work, setting)
    guided = replace(
        setting, config=replace(setting.config, sampling=SamplingConfig(steps=4, batch_size=5, guidance_scale=2.0))
    )
    assert (trained.made, trained.flops) == (2, 2 * 6 * 3 * one)
    assert (sampled.made, sampled.flops) == (5, 5 * 4 * one)
    assert hypernetwork.sampling(hypernetwork_work, guided).flops == 2 * sampled.flops


def test_figures_by_hand() -> None:
    told = timing.rates(Contender(object, 4, 8_000_000_000), Timing(0.5, 0.25), 32e9)
    assert told == {
        "per_second": 8.0,
        "us_each": 125_000.0,
        "gflops_per_second": 16.0,
        "share_of_peak": 0.5,
        "spread": 0.25,
    }
    rows = {"ours": {"per_second": 8.0}, "torch": {"per_second": 2.0}, "fused": {"per_second": 4.0}}
    assert timing.over(rows, "ours", ["torch", "fused"]) == 2.0
    assert timing.over(rows, "ours", []) is None


def test_the_peak_is_that_of_products_in_the_transformers_type() -> None:
    field = timing.products(TINY, "bfloat16")
    assert {name: work.flops for name, work in field.items()} == {"product_16": 2 * 16**3, "product_32": 2 * 32**3}
    result: Any = field["product_16"].work()
    assert (result.dtype, result.shape) == (jnp.bfloat16, (16, 16))
    assert timing.peak({"product_16": {"gflops_per_second": 2.0}, "ours": {"gflops_per_second": 3.0}}) == 2.0


# Ours.


@pytest.mark.slow
def test_a_piece_of_training_goes_on_where_it_was(setting: Setting) -> None:
    work: Any = hypernetwork_work.training(setting, 3)
    assert int(work().step) == 3
    state = work()
    assert int(state.step) == 6
    begun = hypernetwork_work.start(setting)
    assert any(
        not np.array_equal(*pair)
        for pair in zip(jax.tree.leaves(state.params), jax.tree.leaves(begun.params), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dihyfo1", "dihyfo2"])
def test_a_piece_of_sampling_makes_classifiers(setting: Setting, kind: str) -> None:
    models: Any = hypernetwork_work.sampling(setting.changed(kind=kind))()
    shapes = [layer["w"].shape for layer in models]
    assert shapes == [(5, 3, 64), (5, 4, 3)]
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(models))


def test_the_default_setting_is_the_ten_class_classifier_in_25_steps() -> None:
    config = hypernetwork.get_config()
    validate_run_config(config)
    assert (config.classifier.hidden, len(config.data.classes)) == ((7,), 10)
    assert (config.sampling.sampler, config.sampling.steps) == ("ddim", 25)


# PyTorch.


@needs_torch
def test_with_our_parameters_pytorch_is_the_same_function(setting: Setting) -> None:
    from experiments.benchmarks import torch_hypernetwork

    assert torch_hypernetwork.difference(setting, 8) < 1e-4
    params = hypernetwork_work.perturbed(setting)
    assert all(float(jnp.abs(leaf).max()) > 0.0 for leaf in jax.tree.leaves(params))
    model = torch_hypernetwork.build_model(setting, params)
    ours = sum(leaf.size for leaf in jax.tree.leaves(params))
    theirs = sum(each.numel() for each in model.parameters())
    assert ours == theirs == hypernetwork_work.describe(setting)["parameters"]


@needs_torch
def test_the_agreement_is_not_that_of_outputs_near_zero(setting: Setting) -> None:
    import torch

    from experiments.benchmarks import torch_hypernetwork

    params = jax.tree.map(lambda leaf: 10.0 * leaf, hypernetwork_work.perturbed(setting))
    noisy, condition = hypernetwork_work.batch(setting, 8)
    times = jnp.arange(8) * 120
    expected = jax.jit(setting.transformer.apply)(params, noisy, times, condition)
    with torch.inference_mode():
        found = torch_hypernetwork.build_model(setting, params)(
            *map(torch_hypernetwork.tensor, (noisy, times, condition.target))
        )
    assert float(jnp.abs(expected).max()) > 1.0
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3)


@needs_torch
def test_parameters_of_another_size_are_refused(setting: Setting) -> None:
    from experiments.benchmarks import torch_hypernetwork

    params = hypernetwork_work.perturbed(setting)
    with pytest.raises(RuntimeError, match="size mismatch"):
        torch_hypernetwork.build_model(setting.changed(mlp_ratio=2), params)
    with pytest.raises(RuntimeError, match="Missing key"):
        torch_hypernetwork.build_model(setting.changed(depth=3), params)


def draws(setting: Setting, key: jax.Array, step: int, count: int) -> tuple[jax.Array, jax.Array]:
    """Timesteps [B] and noise [B, T, W] of one of our training steps."""
    (part_key,) = jax.random.split(jax.random.fold_in(key, step), 1)
    _, _, noise_key = jax.random.split(part_key, 3)
    time_key, normal_key = jax.random.split(noise_key)
    shape = (count, *setting.layout.mask.shape)
    noise = jnp.where(setting.layout.mask[None], jax.random.normal(normal_key, shape), 0.0)
    return jax.random.randint(time_key, (count,), 0, setting.config.diffusion.timesteps), noise


@needs_torch
def test_pytorch_trains_to_the_same_parameters_and_averages(setting: Setting) -> None:
    """Objective, clipping, decay of matrices, warm-up, cosine and moving average are those of ours."""
    from experiments.benchmarks import torch_hypernetwork

    params, key = hypernetwork_work.perturbed(setting), jax.random.key(3)
    step, examples = hypernetwork_work.stepper(setting), hypernetwork_work.batch(setting, 6)
    trainer = torch_hypernetwork.Trainer(setting, params)
    state = hypernetwork_work.start(setting)._replace(params=params, ema=jax.tree.map(jnp.copy, params))
    tensors = [torch_hypernetwork.tensor(values) for values in (examples[0], examples[1].target)]
    before = jax.device_get(params)
    for index in range(6):
        theirs = trainer.step(*tensors, *map(torch_hypernetwork.tensor, draws(setting, key, index, 6)))
        state, loss = step(state, examples, key)
        assert float(theirs) == pytest.approx(float(loss), rel=1e-4)
    for ours, found in [(state.params, trainer.model.parameters()), (state.ema, trainer.averages)]:
        expected = torch_hypernetwork.build_model(setting, without_key_bias(ours))
        for (name, wanted), values in zip(expected.named_parameters(), found, strict=True):
            got = values.detach().clone()
            if name.endswith("qkv.bias"):
                got[8:16] = 0.0
            np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), atol=3e-4, err_msg=name)
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, jax.device_get(state.params))
    assert min(jax.tree.leaves(moved)) > 5e-3


def without_key_bias(params: Any) -> Any:
    """Parameters with zero biases of the attention's keys: a softmax does not see them, so that Adam follows their rounding errors."""
    found = jax.tree.map(lambda leaf: leaf, params)
    for name in ("block_0", "block_1"):
        found[name]["qkv"]["bias"] = found[name]["qkv"]["bias"].at[8:16].set(0.0)
    return found


@needs_torch
def test_pytorch_samples_the_same_tokens_from_the_same_noise(setting: Setting) -> None:
    from experiments.benchmarks import torch_hypernetwork

    params, config = hypernetwork_work.perturbed(setting), setting.config
    _, condition = hypernetwork_work.batch(setting, 5)
    keys = jax.random.split(jax.random.key(7), 5)

    def ours(keys: jax.Array) -> jax.Array:
        return samplers.sample(
            lambda noisy, times: setting.transformer.apply(params, noisy, times, condition),
            schedule.make(config.diffusion),
            config.diffusion,
            config.sampling,
            setting.layout,
            keys,
        )

    expected = jax.jit(ours)(keys)
    starts = jax.vmap(lambda key: jax.random.fold_in(key, config.sampling.steps))(jax.random.clone(keys))
    noise = jax.vmap(lambda key: jax.random.normal(key, setting.layout.mask.shape))(starts)
    model = torch_hypernetwork.build_model(setting, params)
    found = torch_hypernetwork.sample(setting, model, *map(torch_hypernetwork.tensor, (noise, condition.target)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


@needs_torch
def test_in_bfloat16_pytorch_is_near_ours_in_float32(setting: Setting) -> None:
    import torch

    from experiments.benchmarks import torch_hypernetwork

    half = setting.changed(dtype="bfloat16")
    params = hypernetwork_work.perturbed(setting)
    noisy, condition = hypernetwork_work.batch(setting, 8)
    inputs = [torch_hypernetwork.tensor(values) for values in (noisy, jnp.arange(8), condition.target)]
    model = torch_hypernetwork.build_model(half, params)
    with torch.inference_mode():
        exact = model(*inputs)
        with torch_hypernetwork.autocast(setting):
            assert torch.equal(model(*inputs), exact)
        with torch_hypernetwork.autocast(half):
            rounded = model(*inputs).float()
    error = float((rounded - exact).abs().max() / exact.abs().max())
    assert 1e-5 < error < 0.05


@needs_torch
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("--hypernetwork.conditioning=tokens", "hypernetwork.conditioning adaln, this config tokens"),
        ("--hypernetwork.kind=dihyfo1", "hypernetwork.kind dihyfo2, this config dihyfo1"),
        ("--diffusion.prediction=v", "diffusion.prediction x0, this config v"),
        ("--sampling.sampler=ddpm", "sampling.sampler ddim, this config ddpm"),
    ],
)
def test_a_setting_that_pytorch_does_not_know_is_measured_without_it(job: Run, override: str, words: str) -> None:
    changed = replace(job, config=parse_overrides(job.config, [override]))
    assert hypernetwork.load_torch(changed) is None
    assert f"PyTorch is left out: its transformer has {words}" in printed(job)


@needs_torch
def test_different_functions_are_refused(job: Run, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.benchmarks import torch_hypernetwork

    assert hypernetwork.compare(job, setting, torch_hypernetwork) < 1e-4
    monkeypatch.setattr(torch_hypernetwork, "difference", lambda setting, models: 0.5)
    with pytest.raises(HyperForgetError, match=r"differ by 5\.0e-01 with equal parameters, at most 0\.0001"):
        hypernetwork.compare(job, setting, torch_hypernetwork)


# The whole.


@pytest.fixture
def shallow(job: Run) -> Run:
    """With one block: compiling takes the time."""
    return replace(job, config=replace(job.config, hypernetwork=replace(job.config.hypernetwork, depth=1)))


def printed(job: Run) -> list[str]:
    """Lines on the console so far."""
    assert isinstance(job.console.file, io.StringIO)
    return job.console.file.getvalue().splitlines()


@pytest.mark.slow
def test_the_last_line_is_json_with_the_promised_figures(shallow: Run) -> None:
    hypernetwork.run(shallow, TINY)
    lines = printed(shallow)
    result = json.loads(lines[-1])
    assert json.loads((shallow.folder / "bench_hypernet.json").read_text()) == result
    assert {"date", "device", "cpu", "cores", "load_at_start", "jax", "torch", "git"} <= result.keys()
    size = {"width": 8, "depth": 1, "heads": 2, "tokens": 4, "token_width": 9, "losses": 4, "batch_size": 6}
    assert size.items() <= result.items()
    rows, has_torch = result["contenders"], importlib.util.find_spec("torch") is not None
    names = ["ours_training", "ours_sampling"] + ["torch_training", "torch_sampling"] * has_torch
    assert set(rows) == {*names, "product_16", "product_32"}
    assert all(set(row) == FIGURES and row["gflops_per_second"] > 0 for row in rows.values())
    best = max(rows[f"product_{side}"]["gflops_per_second"] for side in TINY.cpu_products)
    assert result["peak_gflops_per_second"] == pytest.approx(best)
    assert result["training_share_of_peak"] == pytest.approx(rows["ours_training"]["gflops_per_second"] / best)
    for what in ("training", "sampling"):
        if has_torch:
            ratio = rows[f"ours_{what}"]["per_second"] / rows[f"torch_{what}"]["per_second"]
            assert result[f"{what}_ours_over_torch"] == pytest.approx(ratio)
        else:
            assert result[f"{what}_ours_over_torch"] is None
    if has_torch:
        assert result["torch_output_difference"] < 1e-4
    text = (shallow.folder / "bench_hypernet.md").read_text()
    assert text.startswith("# What a hypernetwork costs\n")
    assert all(words in text for words in (result["date"], result["device"], "| ours training"))


@pytest.mark.slow
def test_without_pytorch_the_rest_is_measured_and_a_line_says_so(shallow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("torch_hypernetwork", "torch_transformer"):
        monkeypatch.delitem(sys.modules, f"experiments.benchmarks.{name}", raising=False)
        monkeypatch.delattr(benchmarks, name, raising=False)
    hypernetwork.run(shallow, TINY)
    lines = printed(shallow)
    assert "PyTorch is not installed, it is left out: pip install -e '.[bench]'" in lines
    result = json.loads(lines[-1])
    assert result["torch"] is result["training_ours_over_torch"] is result["torch_output_difference"] is None
    assert set(result["contenders"]) == {"ours_training", "ours_sampling", "product_16", "product_32"}
