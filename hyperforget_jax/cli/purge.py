"""A finished run purged of some classes: nothing owes anything to their images.

usage: hyperforget purge RUN --forget CLASS[,CLASS...] [--json] [--FIELD VALUE ...]

  RUN                        the workdir of a finished run, made with --zoo.purgeable
  --forget CLASS[,CLASS...]  classes whose images shall have had no influence
  --json                     print the certificate; progress goes to stderr
  --FIELD VALUE              another place of the run's data, such as --data.dir DIR

Builds the purged system in RUN.purge while RUN goes on answering, then removes EVERYTHING in RUN and takes its place. Stopped or killed,
the same command goes on from there. Leaves the certificate purge.json, and none of the compiled programs that commands keep. Later
requests forget these classes too. The images themselves are yours to delete: overwrite them where they stand.

examples:
  hyperforget purge runs/digits4_dihyfo2 --forget 2
  hyperforget purge runs/mnist4_dihyfo2 --forget 2,3 --data.dir DIR
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from hyperforget_jax.cli import compile_cache
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config import ForgetSet
from hyperforget_jax.config.overrides import parse_known_options
from hyperforget_jax.pipeline import purge
from hyperforget_jax.pipeline.workdir import CERTIFICATE
from hyperforget_jax.report.console import make_console
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime.paths import expand


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the verb."""

    forget: ForgetSet
    """classes to purge"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    parsed, _ = parse_known_options(Options, arguments)
    folder, console = expand(parsed.run, "RUN").resolve(), make_console(stderr=parsed.json)
    finished = purge.finish(folder, console.print)
    options, run = open_finished(Options, "purge", arguments, shared=True)
    if finished and {*options.forget} <= {*run.config.task.purged}:
        certificate: dict[str, Any] = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
    else:
        certificate = purge.purge(run, options.forget)
    compile_cache.clear()
    if options.json:
        print(json.dumps(certificate, indent=2))
    else:
        show(run.console, str(folder / CERTIFICATE), certificate)
    return 0


def show(console: Console, path: str, certificate: dict[str, Any]) -> None:
    """Prints for people."""
    purged = braces(certificate["purged"])
    console.print(f"purged {purged}: {len(certificate['runs_kept'])} runs kept, {certificate['runs_removed']} removed")
    for label, found in certificate["audit"].items():
        for moment, figures in found.items():
            console.print(
                f"class {label} {moment}: of {figures['models']} prompts {figures['above_chance']} give a model above chance, "
                f"{figures['bound']:.4f}; the highest accuracy is {figures['highest_accuracy']:.4f}",
                highlight=False,
            )
    console.print(f"certificate: {path}")
