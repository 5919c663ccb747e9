"""A finished run made small, to be handed on: without its zoo, with a card.

usage: hyperforget pack RUN --out DIR [--dtype float16|float32] [--json] [--FIELD VALUE ...]

  RUN                     the workdir of a finished run
  --out DIR               a new folder
  --dtype float16|float32 of the parameters on disk (default: float16); figures of both are on the card
  --json                  print the figures; progress goes to stderr
  --FIELD VALUE           another place of the run's data, such as --data.dir DIR

DIR is a run: `hyperforget unlearn DIR --forget 2` answers. It keeps of the zoo the class losses of the last checkpoint of every run, and
clean runs of every forget set as the reference. README.md in it says what it is, and how far its models are from the run's.

examples:
  hyperforget pack runs/digits4 --out models/digits4
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.pipeline import pack
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime.paths import expand


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the verb."""

    out: Annotated[Path, arg(metavar="DIR")]
    """a new folder"""
    dtype: pack.Dtype = "float16"
    """of the parameters on disk"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(Options, "pack", arguments, shared=True)
    folder = expand(options.out, "--out").resolve()
    lines = pack.pack(run, folder, options.dtype)
    if options.json:
        print(json.dumps({"out": str(folder), "figures": lines}, indent=2))
    else:
        run.console.print(listing([{**line, "forget": braces(line["forget"])} for line in lines]))
        run.console.print(f"packed run: {folder}, card: {folder / pack.CARD}")
    return 0
