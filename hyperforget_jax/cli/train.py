"""The hypernetwork of a config, alone: `python -m hyperforget_jax.cli.train --config mnist4_dihyfo2 --data.dir DIR`.

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
from hyperforget_jax.cli import distributed as cluster
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment as align
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.workdir import zoo_place
from hyperforget_jax.runtime import sharding as mesh
from hyperforget_jax.zoo import storage as store

PATIENCE = 300
"""Seconds that a process of a cluster waits for process 0 to write the hypernetwork."""


def train(run: Run) -> None:
    """Trains the hypernetwork, in every process of a cluster alike."""
    known, held_out = stages.split_zoo(run)
    stages.train_hypernetwork(run, known, held_out, align.watch(run, align.grids(run, known)))
    run.console.print(f"hypernetwork: {run.folder / 'hypernetwork'}")


def check(run: Run) -> None:
    """Refuses what cannot be trained, before any work.

    Raises:
      HyperForgetError: a condition without classes; a cluster has no zoo to learn from, or a batch that its processes cannot share.
    """
    align.check(run)
    config = run.config
    if jax.process_count() > 1:
        if store.read_summary(zoo_place(config)) is None:
            raise HyperForgetError(
                f"no complete zoo at {zoo_place(config)}: make it first with hyperforget_jax.cli.zoo, the same --config and --workdir, "
                "or name one that every process sees with --zoo.folder"
            )
        mesh.make(config.training.batch_size // config.training.accumulate)  # refuses a batch


@command.in_one_line
def main(arguments: list[str]) -> int:
    """Finds the config, joins the cluster, works; exit status as in `command.main`."""
    given, others = command.split(arguments, "config", "cluster")
    config = command.setting(given.get("config"))
    if "cluster" in given:
        cluster.join(given["cluster"], PATIENCE)
    name = command.told("train", given)
    return cluster.in_order(partial(command.main, name, config, arguments=others, refuse=check), train)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
