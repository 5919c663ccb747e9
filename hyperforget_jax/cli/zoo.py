"""The zoo of a config, alone, whole or in parts.

usage: hyperforget zoo --config NAME [--shard I/N | --cluster ADDRESS,N,I] [--FIELD VALUE ...]

  --config NAME            a config of the package, such as mnist4_zoo, or the path of a file of your own
  --shard I/N              make the I-th of N parts; when all are there, one call without it completes the zoo
  --cluster ADDRESS,N,I    be process I (from 0) of N; each makes its part with its own devices. ADDRESS is process 0's HOST:PORT
  --FIELD VALUE            override a field of the config

Leaves the zoo, coverage.md and figures in the workdir. Stopped or killed, the same command goes on from the last block.

examples:
  hyperforget zoo --config mnist4_zoo --data.dir DIR
  hyperforget zoo --config mnist4_zoo --data.dir DIR --shard 2/4
  hyperforget zoo --config mnist4_zoo --data.dir DIR --cluster 10.0.0.1:1234,2,0
"""

from collections.abc import Sequence
from functools import partial

import jax

from hyperforget_jax.cli import distributed
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.cli.options import command_line, pop_options
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


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    options, others = pop_options(arguments, "config", "shard", "cluster")
    config = load_config(options.get("config"))
    shard = parse_shard(options["shard"]) if "shard" in options else (0, 1)
    if "cluster" in options:
        shard = distributed.initialize(options["cluster"], TIMEOUT_S)
    job = partial(make, shard=shard, cluster="cluster" in options)
    program = command_line("hyperforget zoo", options)
    command = partial(run_job, program, config, arguments=others, shared="shard" in options)
    return distributed.run_in_order(command, job)


def parse_shard(text: str) -> tuple[int, int]:
    """`--shard I/N` as (I - 1, N)."""
    first, _, last = text.partition("/")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise HyperForgetError(f"--shard is {text}: give I/N with I from 1 to N, such as 2/4")
    return int(first) - 1, int(last)
