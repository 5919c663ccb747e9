"""Former names of what `job`, `options` and `configs` hold."""

from collections.abc import Callable, Sequence

from hyperforget_jax.cli import job as jobs
from hyperforget_jax.cli.configs import load_config as setting
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.options import pop_options as split
from hyperforget_jax.config import Config
from hyperforget_jax.config.overrides import parse_overrides as parse
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.run import validate_run_config as check

__all__ = ["check", "cli_errors", "main", "main_of_config", "parse", "setting", "split"]


def main(
    name: str,
    default: Config,
    job: Callable[[Run], None],
    arguments: Sequence[str],
    refuse: Callable[[Run], None] | None = None,
) -> int:
    """`run_job`."""
    return jobs.run_job(f"python -m experiments.{name}", default, job, arguments, refuse)


def main_of_config(
    name: str,
    job: Callable[[Run], None],
    arguments: Sequence[str],
    refuse: Callable[[Run], None] | None = None,
) -> int:
    """`run_config_job`."""
    return jobs.run_config_job(f"python -m experiments.{name}", job, arguments, refuse)
