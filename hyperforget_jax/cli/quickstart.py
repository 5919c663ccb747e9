"""The whole path on scikit-learn's digits: minutes, no download.

usage: hyperforget quickstart [--classes four|all] [--FIELD VALUE ...]

  --classes four|all    classes 0 to 3, of which 2 and 3 can be forgotten (default); or all ten, of which 0 to 4 can
  --FIELD VALUE         override a field of the config

The same as `hyperforget run` with digits4_dihyfo2 or digits_dihyfo2.

examples:
  hyperforget quickstart
  hyperforget quickstart --classes all --workdir runs/digits
"""

from collections.abc import Sequence

from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.cli.options import command_line, pop_options
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import end_to_end

CONFIGS = {"four": "digits4_dihyfo2", "all": "digits_dihyfo2"}


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    options, others = pop_options(arguments, "classes")
    classes = options.get("classes", "four")
    if classes not in CONFIGS:
        raise HyperForgetError(f"--classes is {classes!r}: choose {' or '.join(CONFIGS)}")
    program = command_line("hyperforget quickstart", options)
    return run_job(program, load_config(CONFIGS[classes]), end_to_end.run, others)
