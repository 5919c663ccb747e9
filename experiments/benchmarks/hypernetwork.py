"""What training and sampling a hypernetwork cost, against an equal PyTorch transformer and the machine's peak, in one run.

    python -m experiments.benchmarks.hypernetwork --data.dir DIR

Measures DiHyFo-2 for 784-7-10 classifiers on random tokens and losses. Overrides change it, such as `--hypernetwork.dtype bfloat16` or
`--training.batch-size 1024`; images only fit the codec, so `--data.name digits --data.validation-size 360`, which needs no files, will do.
PyTorch takes part if it is there, `pip install -e '.[bench]'`: it first shows that it computes the same function, and is left out of
settings for which it has no transformer. Steps are timed without the functional loss, whatever `--diffusion.functional-weight` is, so
that both sides compute the same. Meant for one device; leave the machine alone. Prints tables and, last, one line of JSON; leaves them as
`bench_hypernet.md` and `bench_hypernet.json` in the workdir.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType

from configs import mnist_zoo
from experiments.benchmarks import hypernet, hypernet_contest, machine, page
from experiments.benchmarks.hypernet import Setting
from experiments.benchmarks.pieces import HypernetPieces
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.progress import track

CHECKED, TOLERANCE = 8, 1e-4
"""Models on which outputs of ours and of PyTorch are compared, and how much these may differ."""


def get_config() -> Config:
    """DiHyFo-2 for 784-7-10 classifiers, sampled in 25 steps."""
    setting = mnist_zoo.get_config()
    return replace(setting, workdir="runs/bench_hypernet", sampling=replace(setting.sampling, steps=25))


def run(job: Run, pieces: HypernetPieces) -> None:
    """Compares functions, times training and sampling, then growth; prints, and leaves Markdown and JSON."""
    check(job.config, pieces)
    told = machine.about()
    title = (
        f"{machine.name()}, load {told['load_at_start']:.2f} at the start; "
        f"{job.config.hypernetwork.dtype} products at JAX's default precision"
    )
    job.console.print(title)
    torch = load_torch(job)
    setting = hypernet.of(job, pieces.models)
    size = hypernet.describe(setting)
    job.console.print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in size.items()))
    same = compare(job, setting, torch) if torch else None
    sides = {"ours": hypernet} | ({"torch": torch} if torch else {})
    with track(job.console, "hypernetwork", pieces.rounds, "rounds") as advance:
        found = hypernet_contest.hold(setting, pieces, sides, advance)
    with track(job.console, "growth", pieces.growth_rounds, "rounds") as advance:
        grown = hypernet_contest.grow(setting, pieces, sides, advance)
    rows = [{"contender": name.replace("_", " "), **row} for name, row in found["contenders"].items()]
    tables = [rows, *grown.values()]
    for table in tables:
        job.console.print(listing(table))
    told |= {"torch": torch.VERSION if torch else None, "torch_output_difference": same}
    line = json.dumps({**told, **size, **found, "growth": grown}, allow_nan=False)
    headline = f"# What a hypernetwork costs\n\n{told['date']}, {title}; jax {told['jax']}, PyTorch {told['torch']}.\n"
    artifacts.write_text(
        job.folder / "bench_hypernet.md", "\n".join([headline, *map(page.table, [[size], *tables])])
    )
    artifacts.write_text(job.folder / "bench_hypernet.json", line + "\n")
    job.console.out(line, highlight=False)


def check(config: Config, pieces: HypernetPieces) -> None:
    """Refuses heads that do not divide every width of the table of growth."""
    heads = config.hypernetwork.num_heads
    for width in pieces.growth_width:
        if width % heads:
            raise HyperForgetError(
                f"hypernetwork.num_heads {heads} do not divide {width}, a width in the table of growth: choose a divisor"
            )


def load_torch(job: Run) -> ModuleType | None:
    """The PyTorch contender, with all cores at work; None, and a line about it, where it cannot take part."""
    try:
        from experiments.benchmarks import torch_hypernet
    except ModuleNotFoundError:
        reason = "PyTorch is not installed, it is left out: pip install -e '.[bench]'"
    else:
        unfit = torch_hypernet.refusal(job.config)
        if unfit is None:
            torch_hypernet.settle()
            return torch_hypernet
        reason = f"PyTorch is left out: {unfit}"
    job.console.print(reason, markup=False)
    return None


def compare(job: Run, setting: Setting, torch: ModuleType) -> float:
    """Largest difference between outputs of ours and of PyTorch; prints it.

    Raises:
      HyperForgetError: it is so large that the two are not the same function.
    """
    same: float = torch.difference(setting, CHECKED)
    if same > TOLERANCE:
        raise HyperForgetError(
            f"PyTorch {torch.VERSION} and ours differ by {same:.1e} with equal parameters, at most {TOLERANCE} was expected:"
            " experiments/bench/torch_transformer.py must follow hyperforget_jax/diffusion/dit.py"
        )
    job.console.print(f"with equal parameters, outputs of PyTorch and ours differ by {same:.1e} at most")
    return same


if __name__ == "__main__":
    sys.exit(
        run_experiment(
            "benchmarks.hypernetwork", get_config(), partial(run, pieces=HypernetPieces()), sys.argv[1:]
        )
    )
