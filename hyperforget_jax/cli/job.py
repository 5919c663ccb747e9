"""From a command line to a run: parse, validate, load, take the workdir, work."""

import shlex
from collections.abc import Callable, Sequence

from rich.console import Console

from hyperforget_jax.cli import main
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.options import command_line, pop_options
from hyperforget_jax.config import Config
from hyperforget_jax.config.overrides import parse_overrides
from hyperforget_jax.pipeline.run import Run, start, validate_run_config
from hyperforget_jax.pipeline.workdir import acquire_workdir

Job = Callable[[Run], None]


@cli_errors
def run_job(
    program: str, default: Config, job: Job, arguments: Sequence[str], validate: Job | None = None
) -> int:
    """Parses, validates, loads the images, takes the workdir, works: nothing is written before all input is known to be good.

    Args:
      program: words before the arguments, as they are typed: the command is part of the report.
      default: the config that the arguments override.
      job: the work.
      arguments: overrides of config fields.
      validate: raises what this job has against a run; None: nothing.

    Returns:
      Exit status: 0, 2 after bad input or in an unfit environment, 130 after Ctrl-C.
    """
    config = parse_overrides(default, arguments)
    validate_run_config(config)
    run = start(config, Console(soft_wrap=True), f"{program} {shlex.join(arguments)}".rstrip())
    if validate:
        validate(run)
    acquire_workdir(config)
    job(run)
    return 0


@cli_errors
def run_config_job(program: str, job: Job, arguments: Sequence[str], validate: Job | None = None) -> int:
    """`run_job` with the config that `--config` names; arguments and exit status as there."""
    options, others = pop_options(arguments, "config")
    default = load_config(options.get("config"))
    return run_job(command_line(program, options), default, job, others, validate)


def run_experiment(
    name: str, default: Config | None, job: Job, arguments: Sequence[str], validate: Job | None = None
) -> int:
    """What `python -m experiments.NAME` does: sets the process up, then works as `run_job`.

    Args:
      name: the experiment's.
      default: its config; None: the one that `--config` names.
      job: the work.
      arguments: of the process, without the program's name.
      validate: as in `run_job`.
    """
    main.set_up_process()
    program = f"python -m experiments.{name}"
    if default is None:
        return run_config_job(program, job, arguments, validate)
    return run_job(program, default, job, arguments, validate)
