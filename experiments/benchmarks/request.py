"""What a request costs, beside retraining as many models, a plain PyTorch retraining, and reading stored clean models.

    python -m experiments.benchmarks.request RUN --forget 2

Measures a finished run on its own data: requests of 1, 16, 64 and 256 models with selection, in a warm process; `hyperforget unlearn` as
a new process, before and after its programs are in the compilation cache; retraining by our own vmapped program, warm; and how both grow
with the training set. PyTorch takes part if it is there, `pip install -e '.[bench]'`: a part of one retraining is timed and multiplied.
Leave the machine alone. Prints tables and, last, one line of JSON; leaves it as `bench_request.json`, and the growth as
`bench_request.png` and `.svg`, in the workdir.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.benchmarks import timing
from experiments.benchmarks.request_work import Asked, asked, retrieval, torch_retraining
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config import ForgetSet
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.pipeline.workdir import CONFIG
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.style import OURS, REFERENCE, WIDTH, styled
from hyperforget_jax.runtime import artifacts, machine
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.zoo.train import Images

SAMPLES = (1, 16, 64, 256)
"""Models of a request."""
RETRAINED = (1, 64)
"""Models retrained together."""
ROUNDS, SECONDS = 5, 0.5
"""Turns of every warm request, and their least length."""
TRAINING_SETS = (10_000, None, 600_000)
"""Images of a training set, as many as there are for None; more than there are by repeating them."""
Table = list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the benchmark."""

    forget: ForgetSet
    """classes to forget"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Measures; exit status 0 or 2."""
    options, run = open_finished(Options, "benchmarks.request", arguments)
    about = {**machine.about(), "run": str(run.folder), "forget": list(options.forget)}
    run.console.print(f"{machine.name()}, load {about['load_at_start']:.2f} at the start")
    asking = asked(run, options.forget)
    warm = requests(asking)
    others = retraining(asking)
    if (stored := retrieval(asking, 64)) is not None:
        others["retrieval_64"] = once_warm(stored)
    if (plain := torch_retraining(asking)) is not None:
        others["torch_retraining_1"] = plain
    cold = cold_starts(run, options.forget)
    growth = with_training_set(asking)
    table = [{"what": name, "seconds": seconds} for name, seconds in {**warm, **others, **cold}.items()]
    run.console.print(listing(table), listing(growth))
    result = {
        **about,
        "seconds": {**warm, **others, **cold},
        "retraining_over_request_64": others["retraining_64"] / warm["request_64"],
        "one_retraining_over_request_64": others["retraining_1"] / warm["request_64"],
        **break_even(run, warm, others),
        "growth": growth,
    }
    figures.save(growth_figure(growth, warm), run.folder, "bench_request")
    timing.publish(run, "bench_request", result)
    return 0


def requests(asking: Asked) -> dict[str, float]:
    """Seconds of a whole warm request, selection included, by its number of models, and of one model alone; they take turns."""
    works: dict[str, timing.Work] = {f"request_{count}": partial(asking.answer, count) for count in SAMPLES}
    works["model_1"] = asking.one
    with track(asking.run.console, "requests", ROUNDS, "rounds") as advance:
        timings = timing.alternate(works, ROUNDS, SECONDS, advance)
    return {name: each.best for name, each in timings.items()}


def retraining(asking: Asked) -> dict[str, float]:
    """Seconds of a warm retraining by our own vmapped program, by the models that are trained together."""
    with track(asking.run.console, "retraining", len(RETRAINED), "programs") as advance:
        found = {}
        for count in RETRAINED:
            found[f"retraining_{count}"] = once_warm(partial(retrained, asking, asking.training, count))
            advance(1)
    return found


def retrained(asking: Asked, training: Images, count: int) -> Any:
    """Models of the reference recipe on a training set."""
    config = replace(asking.run.config.reference, seeds=count)
    return retrain(jax.random.key(0), training, [asking.forget], asking.run.sizes, config)


def once_warm(work: Callable[[], object]) -> float:
    """Seconds of the second call."""
    for _ in range(2):
        since = time.perf_counter()
        jax.block_until_ready(work())
        seconds = time.perf_counter() - since
    return seconds


def cold_starts(run: Run, forget: Sequence[int]) -> dict[str, float]:
    """Seconds of `hyperforget unlearn` as a new process: with an empty compilation cache, and with the one that this has filled."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        copy = folder / "run"
        copy.mkdir()
        for name in (HYPERNETWORK, "prompts"):
            if (run.folder / name).exists():
                (copy / name).symlink_to(run.folder / name)
        (copy / CONFIG).write_bytes((run.folder / CONFIG).read_bytes())
        settings = os.environ | {"HYPERFORGET_COMPILE_CACHE": str(folder / "programs")}
        place = [] if run.config.data.dir is None else ["--data.dir", run.config.data.dir]
        command = [
            sys.executable,
            "-m",
            "hyperforget_jax",
            "unlearn",
            str(copy),
            "--forget",
            ",".join(map(str, forget)),
        ]
        command += ["--samples", "64", "--best", "5", "--json", *place]
        found = {}
        for number, name in enumerate(("process_without_cache_64", "process_with_cache_64")):
            since = time.perf_counter()
            subprocess.run([*command, "--seed", str(number + 1)], check=True, env=settings, stdout=subprocess.DEVNULL)
            found[name] = time.perf_counter() - since
    return found


def with_training_set(asking: Asked) -> Table:
    """Seconds of one warm retraining on fewer and on more images."""
    rows, total = [], len(asking.training.labels)
    with track(asking.run.console, "training sets", len(TRAINING_SETS), "sizes") as advance:
        for count in sorted(size or total for size in TRAINING_SETS):
            rows_of = jnp.arange(count) % total
            training = Images(*(part[rows_of] for part in asking.training))
            rows.append({"images": count, "retraining_1": once_warm(partial(retrained, asking, training, 1))})
            advance(1)
    return rows


def break_even(run: Run, warm: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float | None]:
    """Requests of 64 models, and single models, after which zoo and training have paid; None: never, or nobody timed the zoo."""
    spent = {row["stage"]: row["seconds"] for row in artifacts.read_rows(run.folder / "costs.jsonl")}
    made = sum(spent.get(stage, np.nan) for stage in ("zoo", "hypernetwork"))

    def count(retraining: float, request: float) -> float | None:
        return float(made / (retraining - request)) if retraining > request and np.isfinite(made) else None

    return {
        "break_even_requests_64": count(others["retraining_64"], warm["request_64"]),
        "break_even_models": count(others["retraining_1"], warm["model_1"]),
    }


@styled
def growth_figure(growth: Table, warm: Mapping[str, float]) -> Figure:
    """Seconds against models asked for, and of one retraining against training images beside one answer of 64 models."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    models, images = figure.subplots(1, 2)
    models.plot(SAMPLES, [warm[f"request_{count}"] for count in SAMPLES], "o-", color=OURS)
    models.set(xscale="log", yscale="log", xlabel="models of a request", ylabel="seconds")
    images.plot(
        [row["images"] for row in growth],
        [row["retraining_1"] for row in growth],
        "o-",
        color=REFERENCE,
        label="one retraining",
    )
    images.axhline(warm["request_64"], color=OURS, label="request of 64 models")
    images.set(xscale="log", yscale="log", xlabel="training images", ylabel="seconds")
    images.legend()
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
