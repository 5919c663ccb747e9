"""Checks an exported model and its certificate against the run that made it.

usage: hyperforget verify DIR [--run RUN] [--files] [--json] [--FIELD VALUE ...]

  DIR            the folder of an exported model, made by `hyperforget unlearn RUN --out DIR`
  --run RUN      where the run stands now (default: where it stood)
  --files        check the files of DIR alone, without the run and its data
  --json         print one JSON object; progress goes to stderr
  --FIELD VALUE  another place of the run's data, such as --data.dir DIR

Compares every byte of DIR, of the run's artifacts and of its ledger with their checksums, samples the model again, measures it again and
compares. Exit status 2 if DIR is damaged, 3 if a check against the run fails. Checksums find damage; they are no signature.

examples:
  hyperforget verify models/without_2
  hyperforget verify models/without_2 --files
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from hyperforget_jax.cli.errors import UNMET, cli_errors
from hyperforget_jax.cli.job import open_at
from hyperforget_jax.config.overrides import parse_known_options, parse_options
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import verify
from hyperforget_jax.pipeline.verify import Check
from hyperforget_jax.report.console import make_console
from hyperforget_jax.runtime.paths import expand


@dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments of the verb."""

    folder: Positional[Annotated[Path, arg(metavar="DIR")]]
    """folder of an exported model"""
    run: Annotated[Path | None, arg(metavar="RUN")] = None
    """where the run stands now; None: where it stood"""
    files: FlagCreatePairsOff[bool] = False
    """whether to check the files of the folder alone"""
    json: FlagCreatePairsOff[bool] = False
    """whether to print one JSON object; progress goes to stderr then"""


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2, 3 if a check fails, or 130."""
    options, overrides = parse_known_options(Options, arguments)
    if options.files:
        parse_options(Options, arguments)  # nothing else has a meaning
    console, folder = make_console(stderr=options.json), expand(options.folder, "DIR").resolve()
    certificate, run = verify.read_certificate(folder), None
    if not options.files:
        place = expand(options.run or certificate["run"]["folder"], "--run").resolve()
        if not place.is_dir():
            raise HyperForgetError(
                f"the run {place} is not there: name its place, --run RUN, or check the files alone, --files"
            )
        run = open_at(Options, "verify", place, arguments, overrides, console)
    checks = list[Check]()
    for check in verify.verify(folder, certificate, run):
        checks.append(check)
        if not options.json:
            console.print(f"{check.name}: {'ok' if check.passed else 'FAILED'}, {check.found}", highlight=False)
    passed = all(check.passed for check in checks)
    if options.json:
        told = {"folder": str(folder), "passed": passed, "checks": [check._asdict() for check in checks]}
        print(json.dumps(told, indent=2))
    return 0 if passed else UNMET
