"""A copy of a finished run whose hypernetwork forgets classes whatever it is asked.

usage: hyperforget scrub RUN --forget CLASS[,CLASS...] --workdir NEW [--steps N] [--json] [--FIELD VALUE ...]

  RUN                        the workdir of a finished run of DiHyFo-2; it stays as it is
  --forget CLASS[,CLASS...]  classes to scrub
  --workdir NEW              folder of the scrubbed copy
  --steps N                  training steps (default: 600)
  --json                     print the record; progress goes to stderr
  --FIELD VALUE              another place of the run's data, such as --data.dir DIR

The copy answers `hyperforget unlearn NEW`; every request forgets the scrubbed classes too. A search over prompts says how well the best
model that RUN and NEW make knows the classes. This is no deletion: the weights, the zoo and the statistics may still hold the classes.
`hyperforget purge` deletes. docs/scrub.md has what is promised, and what is not.

examples:
  hyperforget scrub runs/digits4_dihyfo2 --forget 2 --workdir runs/digits4_without_2
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.config import AttackConfig, ForgetSet, ScrubConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import scrub
from hyperforget_jax.runtime.paths import expand


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """Arguments of the verb."""

    forget: ForgetSet
    """classes to scrub"""
    workdir: Annotated[Path, arg(metavar="NEW")]
    """folder of the scrubbed copy"""
    steps: int = ScrubConfig.steps
    """training steps"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(Options, "scrub", arguments, shared=True)
    if options.steps < 1:
        raise HyperForgetError(f"--steps is {options.steps}: choose a whole number of at least 1")
    folder = expand(options.workdir, "--workdir").resolve()
    config, attack = ScrubConfig(steps=options.steps), AttackConfig(seed=run.config.seed)
    record = scrub.scrub(run, options.forget, folder, config, attack)
    if options.json:
        print(json.dumps(record, indent=2))
    else:
        for line in scrub.described(record):
            run.console.print(line, highlight=False, markup=False)
    return 0
