"""The zoo of a config, alone: `hyperforget zoo --config mnist4_zoo --data.dir DIR`.

    --config NAME               a file of configs/
    --shard I/N                 make the I-th of N parts; when all are there, one call without it completes the zoo
    --cluster ADDRESS,N,I       be process I (from 0) of N; each makes its part with its own devices. ADDRESS is process 0's HOST:PORT

Any other argument overrides a config field. Leaves the zoo, `coverage.md` and figures in the workdir.
"""

import sys
from functools import partial

import jax

from hyperforget_jax.cli import arguments as command
from hyperforget_jax.cli import distributed
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline import zoo_report
from hyperforget_jax.pipeline.run import Run

TIMEOUT_S = 30 * 24 * 3600
"""Seconds that a process of a cluster waits for the others at the end of its part."""


def make(run: Run, shard: tuple[int, int], cluster: bool) -> None:
    """Makes one part of the zoo, or all of it; the last to finish completes it and reports what it covers."""
    complete = pipeline_zoo.build_zoo(run, shard)
    if cluster:
        jax.distributed.shutdown()  # returns once every process has made its part, or given up
        if shard[0] > 0:
            return
        complete = pipeline_zoo.build_zoo(run, (0, 1))
    if complete:
        zoo_report.report(run, pipeline_zoo.make_zoo(run))
    else:
        run.console.print(
            f"zoo: part {shard[0] + 1} of {shard[1]} is done, blocks of other parts are missing: "
            "when they are there, run once without --shard"
        )


@command.cli_errors
def main(arguments: list[str]) -> int:
    """Finds the config, joins the cluster, works; exit status as in `command.main`."""
    given, others = command.split(arguments, "config", "shard", "cluster")
    config = command.setting(given.get("config"))
    shard = part(given["shard"]) if "shard" in given else (0, 1)
    if "cluster" in given:
        shard = distributed.join(given["cluster"], TIMEOUT_S)
    job = partial(make, shard=shard, cluster="cluster" in given)
    name = command.told("make_zoo", given)
    return distributed.in_order(partial(command.main, name, config, arguments=others), job)


def part(text: str) -> tuple[int, int]:
    """`--shard I/N` as (I - 1, N)."""
    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise HyperForgetError(f"--shard is {text}: give I/N with I from 1 to N, such as 2/4")
    return int(first) - 1, int(last)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
