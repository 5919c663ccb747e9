"""A page to try a finished run: draw, toggle classes, see who answers what.

usage: hyperforget explore RUN [--samples N] [--retrained N] [--images N] [--json] [--FIELD VALUE ...]

  RUN            the workdir of a finished run
  --samples N    generated models of each forget set, not selected (default: 5)
  --retrained N  retrained models of each forget set (default: 2)
  --images N     test images a class (default: 10)
  --json         print one JSON object; progress goes to stderr
  --FIELD VALUE  another place of the run's data, such as --data.dir DIR

Writes explorer.html in RUN: one file without a server, with the weights of every allowed forget set (up to 64) as float16. What is chosen
stands in the page's address.

examples:
  hyperforget explore runs/digits4_dihyfo2
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config.ranges import SMALL
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import explorer
from hyperforget_jax.pipeline.explorer import ExplorerConfig


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the verb."""

    samples: int = ExplorerConfig.samples
    """generated models of each forget set"""
    retrained: int = ExplorerConfig.retrained
    """retrained models of each forget set"""
    images: int = ExplorerConfig.images
    """test images a class"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(Options, "explore", arguments, shared=True)
    config = ExplorerConfig(options.samples, options.retrained, options.images)
    for name, value in vars(config).items():
        if value not in SMALL:
            raise HyperForgetError(f"--{name} is {value}: choose {SMALL}")
    path = explorer.explore(run, config)
    if options.json:
        print(json.dumps({"run": str(run.folder), "explorer": str(path), "bytes": path.stat().st_size}, indent=2))
    else:
        run.console.print(f"explorer: {path}, {path.stat().st_size / 1e6:.2f} MB")
    return 0
