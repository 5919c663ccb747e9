"""The hypernetwork of a config, alone: `hyperforget train --config mnist4_dihyfo2 --data.dir DIR`.

    --config NAME               a file of configs/
    --cluster ADDRESS,N,I       be process I (from 0) of N that train together, on all their devices, in a folder that all of them see.
                                ADDRESS is process 0's HOST:PORT

Any other argument overrides a config field. Leaves `hypernetwork/` and `training/` (states, curves) in the workdir. A zoo that is
missing is made first, but not by a cluster: that is `make_zoo`'s. Stopped or killed, the same command goes on from the last state, on
any number of devices or processes.
"""

import sys
from functools import partial

import jax

from hyperforget_jax.cli import arguments as command
from hyperforget_jax.cli import distributed
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
    known, held_out = pipeline_zoo.split_zoo(run)
    training.train_hypernetwork(run, known, held_out, alignment.watch(run, alignment.grids(run, known)))
    run.console.print(f"hypernetwork: {run.folder / 'hypernetwork'}")


def check(run: Run) -> None:
    """Refuses what cannot be trained, before any work.

    Raises:
      HyperForgetError: a condition without classes; a cluster has no zoo to learn from, or a batch that its processes cannot share.
    """
    alignment.validate_metric(run)
    config = run.config
    if jax.process_count() > 1:
        if storage.read_summary(zoo_path(config)) is None:
            raise HyperForgetError(
                f"no complete zoo at {zoo_path(config)}: make it first with hyperforget_jax.cli.zoo, the same --config and --workdir, "
                "or name one that every process sees with --zoo.folder"
            )
        sharding.make(config.training.batch_size // config.training.grad_accum_steps)  # refuses a batch


@command.cli_errors
def main(arguments: list[str]) -> int:
    """Finds the config, joins the cluster, works; exit status as in `command.main`."""
    given, others = command.split(arguments, "config", "cluster")
    config = command.setting(given.get("config"))
    if "cluster" in given:
        distributed.join(given["cluster"], TIMEOUT_S)
    name = command.told("train", given)
    return distributed.in_order(partial(command.main, name, config, arguments=others, refuse=check), train)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
