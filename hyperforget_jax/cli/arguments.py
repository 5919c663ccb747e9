"""The command line of an experiment: typed overrides of a config, every refusal in one line, exit status 2."""

import argparse
import contextlib
import difflib
import functools
import importlib
import io
import logging
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec

import tyro
from rich.console import Console

from hyperforget_jax import data
from hyperforget_jax.config import Config, flatten, validation
from hyperforget_jax.diffusion import samplers
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run, start
from hyperforget_jax.pipeline.workdir import acquire_workdir
from hyperforget_jax.runtime import metric_writer
from hyperforget_jax.unlearn import requests

CONFIGS = Path(__file__).parents[2] / "configs"
Given = ParamSpec("Given")


def cli_errors(work: Callable[Given, int]) -> Callable[Given, int]:
    """The same work, whose refusal (`HyperForgetError`) is one line on stderr and exit status 2; Ctrl-C one line and 130."""

    @functools.wraps(work)
    def worked(*args: Given.args, **kwargs: Given.kwargs) -> int:
        try:
            return work(*args, **kwargs)
        except HyperForgetError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped: run the same command again to go on from here", file=sys.stderr)
            return 130

    return worked


@cli_errors
def main(
    name: str,
    default: Config,
    job: Callable[[Run], None],
    arguments: Sequence[str],
    refuse: Callable[[Run], None] | None = None,
) -> int:
    """Parses, checks, loads the images, claims the workdir, works: nothing is written before all input is known to be good.

    Args:
      name: the experiment's, as in `python -m experiments.NAME`.
      default: the experiment's setting.
      job: the work.
      arguments: of the command line, without the program's name.
      refuse: raises what this experiment has against a run; None: nothing.

    Returns:
      Exit status: 0, 2 after bad input or an unfit environment, 130 after Ctrl-C.
    """
    console = Console(soft_wrap=True)
    # orbax and tfds log at length what we tell in one line
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    config = parse(default, arguments)
    check(config)
    run = start(config, console, f"python -m experiments.{name} {shlex.join(arguments)}".rstrip())
    if refuse:
        refuse(run)
    acquire_workdir(config)
    job(run)
    return 0


@cli_errors
def main_of_config(
    name: str,
    job: Callable[[Run], None],
    arguments: Sequence[str],
    refuse: Callable[[Run], None] | None = None,
) -> int:
    """The same for an experiment whose setting is told by `--config NAME`, a file of configs/."""
    given, others = split(arguments, "config")
    return main(told(name, given), setting(given.get("config")), job, others, refuse)


def split(arguments: Sequence[str], *options: str) -> tuple[dict[str, str], list[str]]:
    """Takes an experiment's own options out of a command line.

    Args:
      arguments: the command line, without the program's name.
      options: their names, without dashes.

    Returns:
      The values of those that are given, by their names, in the order of `options`; one without a value has "", which its reader
      refuses. And all other arguments.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in options:
        parser.add_argument(f"--{option}", nargs="?", const="")
    known, others = parser.parse_known_args(arguments)
    return {option: value for option, value in vars(known).items() if value is not None}, others


def told(name: str, given: Mapping[str, str]) -> str:
    """An experiment's name with the options that `split` took out, as they are typed."""
    return shlex.join([name, *(word for option, value in given.items() for word in (f"--{option}", value))])


def setting(name: str | None) -> Config:
    """The config of a file in configs/, by its name."""
    names = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
    if name not in names:
        raise HyperForgetError(f"--config is {name}: choose {', '.join(names)}")
    config: Config = importlib.import_module(f"configs.{name}").get_config()
    return config


def parse(default: Config, arguments: Sequence[str]) -> Config:
    """The default with the command line's overrides.

    Raises:
      HyperForgetError: unknown field (with the nearest one), a value of the wrong type.
    """
    answer = io.StringIO()
    try:
        with contextlib.redirect_stderr(answer), contextlib.redirect_stdout(answer):
            config, unknown = tyro.cli(Config, args=arguments, default=default, return_unknown_args=True)
    except SystemExit as stop:
        if not stop.code:
            print(answer.getvalue())
            raise
        raise HyperForgetError(_message(answer.getvalue())) from None
    if unknown:
        known = ["--" + name.replace("_", "-") for name in flatten(config)]
        near = difflib.get_close_matches(unknown[0].replace("_", "-"), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "--help lists every field"
        raise HyperForgetError(f"{unknown[0]} is no config field: {hint}")
    return config


def check(config: Config) -> None:
    """Refuses a config that cannot run, before any work."""
    config = replace(config, data=data.resolve(config.data))
    validation.validate_config(config)
    data.validate_data(config.data)
    requests.validate_task(config.task, config.data.classes)
    samplers.validate_sampling(config.diffusion, config.sampling)
    metric_writer.validate_tensorboard(config.training.tensorboard)


def _message(box: str) -> str:
    """What tyro says, without its frame and its help."""
    parts = [part for part in box.split("\n") if part.strip()]
    lines = [place for place, part in enumerate(parts) if set(part.strip()) == {"-"}]
    said = parts[lines[0] + 1 : lines[1]] if len(lines) > 1 else parts
    return " ".join(" ".join(said).split())
