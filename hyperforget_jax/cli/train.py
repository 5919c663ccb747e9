"""The hypernetwork of a config, alone.

usage: hyperforget train --config NAME [--cluster ADDRESS,N,I] [--FIELD VALUE ...]

  --config NAME            a config of the package, such as mnist4_dihyfo2, or the path of a file of your own
  --cluster ADDRESS,N,I    be process I (from 0) of N that train together, on all their devices, in a folder that all of them see.
                           ADDRESS is process 0's HOST:PORT
  --FIELD VALUE            override a field of the config

Leaves hypernetwork/ and training/ (states, curves) in the workdir. A zoo that is missing is made first, but not by a cluster: that is
`hyperforget zoo`. Stopped or killed, the same command goes on from the last state, on any number of devices or processes.

examples:
  hyperforget train --config mnist4_dihyfo2 --data.dir DIR
  hyperforget train --config mnist4_dihyfo2 --data.dir DIR --cluster 10.0.0.1:1234,2,0
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
from hyperforget_jax.pipeline import alignment, training
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.workdir import zoo_path
from hyperforget_jax.runtime import sharding
from hyperforget_jax.zoo import storage

TIMEOUT_S = 300
"""Seconds that a process of a cluster waits for process 0 to write the hypernetwork."""


def train(run: Run) -> None:
    """Trains the hypernetwork, in every process of a cluster alike."""
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    measure = alignment.watch(run, alignment.grids(run, train_zoo))
    training.train_hypernetwork(run, train_zoo, val_zoo, measure)
    run.console.print(f"hypernetwork: {run.folder / 'hypernetwork'}")


def validate(run: Run) -> None:
    """Refuses what cannot be trained, before any work.

    Raises:
      HyperForgetError: a condition without classes; a cluster has no zoo to learn from, or a batch that its processes cannot share.
    """
    alignment.validate_metric(run)
    config = run.config
    if jax.process_count() > 1:
        if storage.read_summary(zoo_path(config)) is None:
            raise HyperForgetError(
                f"no complete zoo at {zoo_path(config)}: make it first with hyperforget zoo, the same --config and --workdir, "
                "or name one that every process sees with --zoo.folder"
            )
        sharding.make(config.training.batch_size // config.training.grad_accum_steps)  # refuses a batch


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    options, others = pop_options(arguments, "config", "cluster")
    config = load_config(options.get("config"))
    if "cluster" in options:
        distributed.initialize(options["cluster"], TIMEOUT_S)
    program = command_line("hyperforget train", options)
    return distributed.run_in_order(partial(run_job, program, config, arguments=others, validate=validate), train)
