"""What a checkpoint costs, beside a PyTorch loop, a naive vmap and the machine's peak.

    python -m experiments.benchmarks.zoo --data.dir DIR

Measures blocks of the MNIST-4 zoo and of the ten-class zoo (`configs/mnist4_zoo.py`, `configs/mnist_zoo.py`); overrides change the first,
and `--data.name digits --data.validation-size 360` needs no files. PyTorch takes part if it is there: `pip install -e '.[bench]'`.
Takes three minutes on two CPU cores; leave the machine alone. Prints tables and, last, one line of JSON; leaves it as `bench_zoo.json`, and
how cost grows as `bench_zoo.png` and `.svg`, in the workdir.
"""

import sys
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from configs import mnist4_zoo, mnist_zoo
from experiments.benchmarks import flops, timing
from experiments.benchmarks.timing import BenchmarkConfig, Contender
from experiments.benchmarks.zoo_block import Block, block_of, scoring, train_apart, train_together
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline.run import Run, start
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.style import OURS, WIDTH, styled
from hyperforget_jax.runtime import machine
from hyperforget_jax.runtime.progress import track

Table = list[dict[str, Any]]


@dataclass(frozen=True)
class ZooBenchmark(BenchmarkConfig):
    """How much is timed."""

    snapshots: int = 12
    """Snapshots of a block in one call of ours; a block's start is part of it."""
    cpu_naive_runs: int = 64
    """Runs that the naive vmap trains together on a CPU, where more are slower: their images no longer fit the cache."""
    torch_snapshots: int = 20
    """Snapshots of a PyTorch run in one call."""
    scaling_rounds: int = 3
    """Turns of every number of runs in the scaling."""
    scaling_snapshots: int = 2
    """Snapshots of a block there."""
    scaling_runs: tuple[int, ...] = (32, 128, 512)
    """Runs per block there; at most those of the setting count."""


def get_config() -> Config:
    """One block of the MNIST-4 zoo."""
    setting = mnist4_zoo.get_config()
    one_block = replace(setting.zoo, runs=setting.zoo.runs_per_block)
    return replace(setting, workdir="runs/bench_zoo", zoo=one_block)


def ten_classes(config: Config) -> Config:
    """The ten-class setting on the same images."""
    setting = mnist_zoo.get_config()
    return replace(setting, seed=config.seed, data=replace(config.data, classes=setting.data.classes))


def run(job: Run, config: ZooBenchmark) -> None:
    """Measures both settings, then the first one's scaling with runs per block; prints tables and JSON."""
    about = machine.about()
    job.console.print(
        f"{machine.name()}, load {about['load_at_start']:.2f} at the start; float32 products at JAX's default precision"
    )
    torch = load_torch(job.console)
    jobs = [job, start(ten_classes(job.config), job.console, job.command)]
    settings = {each.dataset_name: run_benchmark(each, config, torch) for each in jobs}
    scaling = run_scaling(block_of(job), job.console, config)
    figures.save(scaling_figure(scaling), job.folder, "bench_zoo")
    first = settings[job.dataset_name]
    ratios = {name: value for name, value in first.items() if name.startswith("ours_over_")}
    shares = {f"share_of_peak_{name}": each["share_of_peak"] for name, each in settings.items()}
    result = {**about, "torch": torch.VERSION if torch else None, **ratios, **shares}
    timing.publish(job, "bench_zoo", {**result, "settings": settings, "scaling": scaling})


def load_torch(console: Console) -> ModuleType | None:
    """The PyTorch contender; None, and a line about it, where PyTorch is not installed."""
    try:
        from experiments.benchmarks import torch_zoo
    except ModuleNotFoundError:
        console.print("PyTorch is not installed, its loop is left out: pip install -e '.[bench]'", markup=False)
        return None
    return torch_zoo


def run_benchmark(job: Run, config: ZooBenchmark, torch: ModuleType | None) -> dict[str, Any]:
    """Times every contender on one setting and prints their table.

    Returns:
      JSON-ready: the setting's size, how the contenders compare, and the rates of each.
    """
    block, difference = block_of(job), None
    loops: dict[str, timing.Work] = {}
    if torch:
        difference = torch.weight_difference(block)
        loops = torch.loops(block, config.torch_snapshots, {1, machine.cores()})
    field = contenders(block, config, loops)
    rows = timing.measure(job, job.dataset_name, field, config.rounds, config.seconds)
    sizes = "-".join(map(str, block.sizes))
    job.console.print(f"{job.dataset_name}, {sizes}, {block.runs} runs per block")
    if torch:
        job.console.print(f"after the same steps, weights of PyTorch and ours differ by {difference:.1e} at most")
    job.console.print(listing([{"contender": name.replace("_", " "), **row} for name, row in rows.items()]))
    return {
        "classifier": sizes,
        "training_images": len(block.training.labels),
        "validation_images": len(block.validation.labels),
        "varying_pixels": len(block.pixels),
        "runs_per_block": block.runs,
        "batch_size": block.batch_size,
        "steps_per_snapshot": block.steps_per_snapshot,
        "ours_over_torch": timing.over(rows, "ours", [name for name in loops if "fused" not in name]),
        "ours_over_torch_fused": timing.over(rows, "ours", [name for name in loops if "fused" in name]),
        "ours_over_naive_vmap": timing.over(rows, "ours", ["naive_vmap"]),
        "peak_gflops_per_second": timing.peak(rows),
        "share_of_peak": rows["training_steps"]["share_of_peak"],
        "torch_weight_difference": difference,
        "contenders": rows,
    }


def contenders(block: Block, config: ZooBenchmark, loops: dict[str, timing.Work]) -> dict[str, Contender]:
    """Everyone who takes part, in the order of their turns; `made` counts checkpoints."""
    count, few = config.snapshots, block.first(config.cpu_naive_runs) if machine.is_cpu() else block
    steps = block.steps_per_snapshot
    training = steps * flops.step((len(block.pixels), *block.sizes[1:]), block.batch_size)
    training_all_pixels = steps * flops.step(block.sizes, block.batch_size)
    score = flops.scoring(block.sizes, len(block.validation.labels))

    def contender(work: timing.Work, made: int, each: int) -> Contender:
        return Contender(work, made, made * each)

    total = block.runs * count
    return {
        "ours": contender(partial(train_together, block, count), total, training + score),
        **{name: contender(work, config.torch_snapshots, training_all_pixels + score) for name, work in loops.items()},
        "naive_vmap": contender(partial(train_apart, few, 1), few.runs, training + score),
        "training_steps": contender(partial(train_together, block.unscored(), count), total, training),
        "scoring": contender(scoring(block), block.runs, score),
        **timing.products(config, "float32"),
    }


def run_scaling(block: Block, console: Console, config: ZooBenchmark) -> Table:
    """Times the first runs of a block alone, more and more of them, in the same rounds.

    Returns:
      Rows with "runs_per_block", "us_per_checkpoint" and "spread"; printed too.
    """
    sizes = sorted({min(runs, block.runs) for runs in config.scaling_runs})
    count = config.scaling_snapshots
    works = {str(runs): partial(train_together, block.first(runs), count) for runs in sizes}
    with track(console, "scaling", config.scaling_rounds, "rounds") as advance:
        timings = timing.alternate(works, config.scaling_rounds, config.seconds, advance)
    table = [
        {"runs_per_block": runs, "us_per_checkpoint": best / (runs * count) * 1e6, "spread": spread}
        for runs, (best, spread) in zip(sizes, timings.values(), strict=True)
    ]
    console.print(listing(table))
    return table


@styled
def scaling_figure(table: Table) -> Figure:
    """Microseconds per checkpoint against runs per block, on a logarithmic axis."""
    figure = Figure(figsize=(WIDTH / 2, 2.6), layout="constrained")
    panel, runs = figure.subplots(), [row["runs_per_block"] for row in table]
    panel.plot(runs, [row["us_per_checkpoint"] for row in table], "o-", color=OURS)
    panel.set_xscale("log", base=2)
    panel.set_xticks(runs, [str(each) for each in runs])
    panel.minorticks_off()
    panel.set(xlabel="runs per block", ylabel="µs per checkpoint", ylim=(0.0, None))
    return figure


if __name__ == "__main__":
    work = partial(run, config=ZooBenchmark())
    sys.exit(run_experiment("benchmarks.zoo", get_config(), work, sys.argv[1:]))
