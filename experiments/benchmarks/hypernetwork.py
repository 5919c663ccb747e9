"""What training and sampling a hypernetwork cost, beside an equal PyTorch transformer and the machine's peak.

    python -m experiments.benchmarks.hypernetwork --data.dir DIR

Measures DiHyFo-2 for 784-7-10 classifiers on random tokens and losses. Overrides change it, such as `--hypernetwork.dtype bfloat16` or
`--training.batch-size 1024`; images only fit the codec, so `--data.name digits --data.validation-size 360`, which needs no files, will do.
PyTorch takes part if it is there, `pip install -e '.[bench]'`: it first shows that it computes the same function, and is left out of
settings for which it has no transformer. Steps are timed without the functional loss, whatever `--diffusion.functional-weight` is, so
that both compute the same. Meant for one device; leave the machine alone. Prints tables and, last, one line of JSON; leaves them as
`bench_hypernet.md` and `bench_hypernet.json` in the workdir.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd

from configs import mnist_zoo
from experiments.benchmarks import flops, hypernetwork_work, timing
from experiments.benchmarks.hypernetwork_work import Setting
from experiments.benchmarks.timing import BenchmarkConfig, Contender
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts, machine

CHECKED, TOLERANCE = 8, 1e-4
"""Models on which outputs of ours and of PyTorch are compared, and how much these may differ."""
Sides = Mapping[str, ModuleType]
"""Name to module, `hypernetwork_work` and perhaps `torch_hypernetwork`; each has `training` and `sampling`."""


@dataclass(frozen=True)
class HypernetworkBenchmark(BenchmarkConfig):
    """How much is timed."""

    cpu_steps: int = 1
    """Training steps in one call on a CPU; the device is waited for after the last one."""
    accelerator_steps: int = 16
    """The same on an accelerator, where waiting takes time."""
    models: int = 1024
    """Random classifiers that the codec is fitted on."""


def get_config() -> Config:
    """DiHyFo-2 for 784-7-10 classifiers, sampled in 25 steps."""
    setting = mnist_zoo.get_config()
    return replace(setting, workdir="runs/bench_hypernet", sampling=replace(setting.sampling, steps=25))


def run(job: Run, config: HypernetworkBenchmark) -> None:
    """Compares functions, times training and sampling; prints, and leaves Markdown and JSON."""
    about = machine.about()
    title = (
        f"{machine.name()}, load {about['load_at_start']:.2f} at the start; "
        f"{job.config.hypernetwork.dtype} products at JAX's default precision"
    )
    job.console.print(title)
    torch, setting = load_torch(job), hypernetwork_work.setting_of(job, config.models)
    size = hypernetwork_work.describe(setting)
    job.console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in size.items()))
    difference = compare(job, setting, torch) if torch else None
    sides = {"ours": hypernetwork_work} | ({"torch": torch} if torch else {})
    result = run_benchmark(job, setting, config, sides)
    rows = [{"contender": name.replace("_", " "), **row} for name, row in result["contenders"].items()]
    job.console.print(listing(rows))
    about |= {"torch": torch.VERSION if torch else None, "torch_output_difference": difference}
    headline = (
        f"# What a hypernetwork costs\n\n{about['date']}, {title}; jax {about['jax']}, PyTorch {about['torch']}.\n"
    )
    pages = (f"{pd.DataFrame(table).to_markdown(index=False, floatfmt='.4g')}\n" for table in ([size], rows))
    artifacts.write_text(job.folder / "bench_hypernet.md", "\n".join([headline, *pages]))
    timing.publish(job, "bench_hypernet", {**about, **size, **result})


def load_torch(job: Run) -> ModuleType | None:
    """The PyTorch contender, with all cores at work; None, and a line about it, where it cannot take part."""
    try:
        from experiments.benchmarks import torch_hypernetwork
    except ModuleNotFoundError:
        reason = "PyTorch is not installed, it is left out: pip install -e '.[bench]'"
    else:
        unfit = torch_hypernetwork.refusal(job.config)
        if unfit is None:
            torch_hypernetwork.use_all_cores()
            return torch_hypernetwork
        reason = f"PyTorch is left out: {unfit}"
    job.console.print(reason, markup=False)
    return None


def compare(job: Run, setting: Setting, torch: ModuleType) -> float:
    """Largest difference between outputs of ours and of PyTorch; prints it.

    Raises:
      HyperForgetError: it is so large that the two are not the same function.
    """
    difference: float = torch.difference(setting, CHECKED)
    if difference > TOLERANCE:
        raise HyperForgetError(
            f"PyTorch {torch.VERSION} and ours differ by {difference:.1e} with equal parameters, at most {TOLERANCE} was expected:"
            " experiments/benchmarks/torch_transformer.py must follow hyperforget_jax/diffusion/dit.py"
        )
    job.console.print(f"with equal parameters, outputs of PyTorch and ours differ by {difference:.1e} at most")
    return difference


def run_benchmark(job: Run, setting: Setting, config: HypernetworkBenchmark, sides: Sides) -> dict[str, Any]:
    """Times training and sampling of every side; JSON-ready: how the sides compare, and the rates of every contender."""
    contenders = {
        **{f"{name}_training": training(side, setting, config) for name, side in sides.items()},
        **{f"{name}_sampling": sampling(side, setting) for name, side in sides.items()},
        **timing.products(config, setting.config.hypernetwork.dtype),
    }
    rows = timing.measure(job, "hypernetwork", contenders, config.rounds, config.seconds)
    result: dict[str, Any] = {}
    for kind in ("training", "sampling"):
        others = [f"torch_{kind}"] if "torch" in sides else []
        result[f"{kind}_ours_over_torch"] = timing.over(rows, f"ours_{kind}", others)
        result[f"{kind}_share_of_peak"] = rows[f"ours_{kind}"]["share_of_peak"]
    return {**result, "peak_gflops_per_second": timing.peak(rows), "contenders": rows}


def training(side: ModuleType, setting: Setting, config: HypernetworkBenchmark) -> Contender:
    """Optimiser steps of one side."""
    steps = config.cpu_steps if machine.is_cpu() else config.accelerator_steps
    per_step = 3 * setting.config.training.batch_size * forward(setting)
    return Contender(side.training(setting, steps), steps, steps * per_step)


def sampling(side: ModuleType, setting: Setting) -> Contender:
    """A batch of sampled models of one side; guidance takes two passes a step."""
    config = setting.config.sampling
    passes = config.steps * (1 if config.guidance_scale == 1.0 else 2)
    return Contender(side.sampling(setting), config.batch_size, config.batch_size * passes * forward(setting))


def forward(setting: Setting) -> int:
    """FLOPs of one forward pass for one model; a training step counts three: backward is taken as twice the forward."""
    noisy, condition = hypernetwork_work.batch(setting, 1)
    params = jax.eval_shape(setting.transformer.init, setting.key("init"))
    return flops.traced(setting.transformer.apply, params, noisy, jnp.zeros(1, jnp.int32), condition)


if __name__ == "__main__":
    work = partial(run, config=HypernetworkBenchmark())
    sys.exit(run_experiment("benchmarks.hypernetwork", get_config(), work, sys.argv[1:]))
