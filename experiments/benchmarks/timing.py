"""Contenders take turns, so that a noisy machine disturbs all of them alike; the best turn counts."""

import json
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import artifacts, machine
from hyperforget_jax.runtime.progress import track

Work = Callable[[], object]


@dataclass(frozen=True)
class BenchmarkConfig:
    """What every benchmark times."""

    rounds: int = 7
    """Turns of every contender."""
    seconds: float = 0.5
    """Least length of a turn: work is repeated in it."""
    cpu_products: tuple[int, ...] = (2048, 3072)
    """Sides of the square products whose best rate is the peak of a CPU."""
    accelerator_products: tuple[int, ...] = (4096, 8192)
    """The same for an accelerator."""


class Contender(NamedTuple):
    """Work, how much it makes (checkpoints, steps, models or products), and the FLOPs of its matrix products."""

    work: Work
    made: int
    flops: int


class Timing(NamedTuple):
    """Seconds of the best turn, and by how much the slowest one was slower, as a share of it."""

    best: float
    spread: float


def alternate(
    works: Mapping[str, Work],
    rounds: int,
    seconds: float,
    on_round: Callable[[int], None],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Times works in turn: A, B, C, A, B, C, …

    Args:
      works: by their names; jax arrays that they return are waited for.
      rounds: turns of each.
      seconds: work is repeated in its turn until about that time is over, and runs at least once.
      on_round: called with 1 after every round.
      clock: in seconds.

    Returns:
      Timings by name. Neither compilation, in the first call, nor the second one counts, nor the first of each turn: that one gets back
      the memory which the system took while others had their turns.
    """

    def finished(work: Work) -> None:
        jax.block_until_ready(work())

    timers = {name: timeit.Timer(partial(finished, work), timer=clock) for name, work in works.items()}
    repeats = {}
    for name, timer in timers.items():
        timer.timeit(1)
        repeats[name] = max(1, round(seconds / timer.timeit(1)))
    turns: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            timer.timeit(1)
            turns[name].append(timer.timeit(repeats[name]) / repeats[name])
        on_round(1)
    return {name: Timing(min(times), max(times) / min(times) - 1.0) for name, times in turns.items()}


def measure(
    run: Run, title: str, contenders: Mapping[str, Contender], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Rates of contenders, some of which are products, whose best rate is the peak.

    Returns:
      By name: things made per second, microseconds for each, GFLOP/s, that as a share of the peak, and the spread of the turns.
    """
    with track(run.console, title, rounds, "rounds") as advance:
        works = {name: each.work for name, each in contenders.items()}
        timings = alternate(works, rounds, seconds, advance)
    peak = max(each.flops / timings[name].best for name, each in contenders.items() if name.startswith("product"))
    return {name: rates(each, timings[name], peak) for name, each in contenders.items()}


def rates(contender: Contender, timing: Timing, peak: float) -> dict[str, float]:
    """What `measure` tells of one contender; peak in FLOP/s."""
    rate = contender.flops / timing.best
    return {
        "per_second": contender.made / timing.best,
        "us_each": timing.best / contender.made * 1e6,
        "gflops_per_second": rate / 1e9,
        "share_of_peak": rate / peak,
        "spread": timing.spread,
    }


def peak(rows: Mapping[str, Mapping[str, float]]) -> float:
    """The best rate of a product, in GFLOP/s."""
    return max(row["gflops_per_second"] for name, row in rows.items() if name.startswith("product"))


def over(rows: Mapping[str, Mapping[str, float]], ours: str, theirs: Sequence[str]) -> float | None:
    """How many times faster one contender is than the best of some others; None if there are none."""
    return rows[ours]["per_second"] / max(rows[name]["per_second"] for name in theirs) if theirs else None


def products(config: BenchmarkConfig, dtype: str) -> dict[str, Contender]:
    """Square products at JAX's default precision, as in training: float32 is float32 on a CPU, perhaps TF32 on a GPU."""
    sides = config.cpu_products if machine.is_cpu() else config.accelerator_products
    multiply = jax.jit(jnp.matmul)
    factors = {side: jax.random.normal(jax.random.key(0), (2, side, side), dtype) for side in sides}
    return {f"product_{side}": Contender(partial(multiply, *factors[side]), 1, 2 * side**3) for side in sides}


def publish(run: Run, name: str, result: Mapping[str, Any]) -> None:
    """Prints the result as one line of JSON, and writes it as `NAME.json` into the workdir."""
    line = json.dumps(result, allow_nan=False)
    artifacts.write_text(run.folder / f"{name}.json", line + "\n")
    run.console.out(line, highlight=False)
