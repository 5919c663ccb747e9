"""What a checkpoint costs, against a PyTorch loop, a naive vmap and the machine's peak, in one run.

    python -m experiments.benchmarks.zoo --data.dir DIR

Measures blocks of the MNIST-4 zoo and of the ten-class zoo (`configs/mnist4_zoo.py`, `configs/mnist_zoo.py`); overrides change the first,
and `--data.name digits --data.validation-size 360` needs no files. PyTorch takes part if it is there: `pip install -e '.[bench]'`.
Takes three minutes on two CPU cores; leave the machine alone. Prints tables and, last, one line of JSON; leaves it as `bench_zoo.json`, and
how cost grows as `bench_zoo.png` and `.svg`, in the workdir.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

from rich.console import Console

from configs import mnist4_zoo, mnist_zoo
from experiments.benchmarks import contest, growth, machine, task
from experiments.benchmarks.pieces import Pieces
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline.run import Run, start
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.progress import track


def get_config() -> Config:
    """One block of the MNIST-4 zoo."""
    setting = mnist4_zoo.get_config()
    one_block = replace(setting.zoo, runs=setting.zoo.runs_per_block)
    return replace(setting, workdir="runs/bench_zoo", zoo=one_block)


def ten_classes(config: Config) -> Config:
    """The ten-class setting on the same images."""
    setting = mnist_zoo.get_config()
    return replace(setting, seed=config.seed, data=replace(config.data, classes=setting.data.classes))


def run(job: Run, pieces: Pieces) -> None:
    """Measures both settings, then growth; prints, and leaves figures in both senses."""
    told = machine.about()
    job.console.print(
        f"{machine.name()}, load {told['load_at_start']:.2f} at the start; "
        "float32 products at JAX's default precision"
    )
    torch_runs = load_torch(job.console)
    told["torch"] = torch_runs.VERSION if torch_runs else None
    jobs = [job, start(ten_classes(job.config), job.console, job.command)]
    settings = {each.dataset_name: measure(each, pieces, torch_runs) for each in jobs}
    first = settings[job.dataset_name]
    with track(job.console, "growth", pieces.growth_rounds, "rounds") as advance:
        grown = growth.measure(task.of(jobs[-1]), jobs[-1].config.zoo, pieces, advance)
    for table in grown.values():
        job.console.print(listing(table))
    figures.save(growth.figure(grown), job.folder, "bench_zoo")
    told |= {
        name: first[name] for name in ("ours_over_torch", "ours_over_torch_fused", "ours_over_naive_vmap")
    }
    told |= {f"share_of_peak_{name}": setting["share_of_peak"] for name, setting in settings.items()}
    line = json.dumps({**told, "settings": settings, "growth": grown}, allow_nan=False)
    artifacts.write_text(job.folder / "bench_zoo.json", line + "\n")
    job.console.out(line, highlight=False)


def load_torch(console: Console) -> ModuleType | None:
    """The PyTorch contender; None, and a line about it, where PyTorch is not installed."""
    try:
        from experiments.benchmarks import torch_runs
    except ModuleNotFoundError:
        console.print(
            "PyTorch is not installed, its loop is left out: pip install -e '.[bench]'", markup=False
        )
        return None
    return torch_runs


def measure(job: Run, pieces: Pieces, torch_runs: ModuleType | None) -> dict[str, Any]:
    """Figures of one setting, as `contest.hold` returns them; prints their table."""
    block = task.of(job)
    loops, same = {}, None
    if torch_runs:
        same = torch_runs.weight_difference(block)
        loops = torch_runs.pieces(block, pieces.torch_snapshots, {1, machine.cores()})
    with track(job.console, job.dataset_name, pieces.rounds, "rounds") as advance:
        found = contest.hold(block, pieces, loops, advance)
    job.console.print(f"{job.dataset_name}, {found['classifier']}, {block.runs} runs per block")
    if same is not None:
        job.console.print(f"after the same steps, weights of PyTorch and ours differ by {same:.1e} at most")
    job.console.print(listing([_row(name, row) for name, row in found["contenders"].items()]))
    return {**found, "torch_weight_difference": same}


def _row(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    known = {field: "" if value is None else value for field, value in figures.items()}
    return {"contender": name.replace("_", " "), **known}


if __name__ == "__main__":
    sys.exit(run_experiment("benchmarks.zoo", get_config(), partial(run, pieces=Pieces()), sys.argv[1:]))
