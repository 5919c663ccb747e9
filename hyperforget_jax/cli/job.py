"""From a command line to a run: parse, validate, load, take the workdir, work."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from rich.console import Console
from tyro.conf import FlagCreatePairsOff, Positional, arg

from hyperforget_jax.cli import main
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.distributed import Job
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.options import command_line, pop_options
from hyperforget_jax.config import Config
from hyperforget_jax.config.overrides import parse_known_options, parse_overrides
from hyperforget_jax.pipeline import alignment, shipped
from hyperforget_jax.pipeline.run import Run, open_run, start, validate_run_config
from hyperforget_jax.pipeline.workdir import acquire_workdir, hold_run
from hyperforget_jax.report.console import make_console
from hyperforget_jax.runtime.paths import expand


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Arguments of a verb that asks something of a finished run."""

    run: Positional[Annotated[Path, arg(metavar="RUN")]]
    """workdir of a finished run, or the name of a hypernetwork that the package brings"""
    json: FlagCreatePairsOff[bool] = False
    """whether to print one JSON object; progress goes to stderr then"""


Options = TypeVar("Options", bound=RunOptions)


@cli_errors
def run_job(
    program: str,
    default: Config | None,
    job: Job,
    arguments: Sequence[str],
    validate: Job | None = None,
    shared: bool = False,
) -> int:
    """Parses, validates, loads the images, takes the workdir, works: nothing is written before all input is known to be good.

    Args:
      program: words before the arguments, as they are typed: the command is part of the report.
      default: the config that the arguments override; None: the one that `--config` names among them.
      job: the work.
      arguments: overrides of config fields.
      validate: raises what this job has against a run; None: nothing.
      shared: whether other processes may work in the workdir too.

    Returns:
      Exit status: 0, 2 after bad input or in an unfit environment, 130 after Ctrl-C.
    """
    if default is None:
        options, arguments = pop_options(arguments, "config")
        program, default = command_line(program, options), load_config(options.get("config"))
    config = parse_overrides(default, arguments)
    validate_run_config(config)
    run = start(config, make_console(), f"{program} {shlex.join(arguments)}".rstrip())
    if validate:
        validate(run)
    acquire_workdir(run.config, shared=shared, say=run.console.print)
    job(run)
    return 0


def run_experiment(
    name: str, default: Config | None, job: Job, arguments: Sequence[str], validate: Job | None = None
) -> int:
    """What `python -m experiments.NAME` does: sets the process up, then works as `run_job`, with the arguments described there."""
    main.set_up_process()
    return run_job(f"python -m experiments.{name}", default, job, arguments, validate)


def open_finished(
    options: type[Options], verb: str, arguments: Sequence[str], shared: bool = False
) -> tuple[Options, Run]:
    """Parses the arguments of a verb that asks something of a finished run, and opens the run.

    Args:
      options: of the verb; what they do not take overrides fields of the run's config, such as the place of its data.
      verb: its name.
      arguments: of the verb.
      shared: whether other processes may ask things of the run too, as requests do.

    Raises:
      HyperForgetError: no run or an unfinished one, one that another process works on; one whose condition tells no class from another;
        an override that cannot be.
    """
    parsed, overrides = parse_known_options(options, arguments)
    console, folder = make_console(stderr=parsed.json), expand(parsed.run, "RUN")
    folder = shipped.unpacked(folder, console.print).resolve()
    return parsed, open_at(options, verb, folder, arguments, overrides, console, shared)


def open_at(
    options: type[Any],
    verb: str,
    folder: Path,
    arguments: Sequence[str],
    overrides: Sequence[str],
    console: Console,
    shared: bool = True,
) -> Run:
    """The finished run in a folder.

    Args:
      options: of the verb, for suggestions.
      verb: its name.
      folder: of the run.
      arguments: of the verb.
      overrides: those of them that override fields of the run's config.
      console: where to report.
      shared: whether other processes may ask things of the run too.

    Raises:
      HyperForgetError: see `open_finished`.
    """

    def change(config: Config) -> Config:
        config = parse_overrides(config, overrides, [item.name for item in fields(options)])
        validate_run_config(config)
        return config

    run = open_run(folder, console, f"hyperforget {verb} {shlex.join(arguments)}", change)
    alignment.validate_metric(run)
    hold_run(run.folder, shared=shared)
    return run
