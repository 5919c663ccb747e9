"""The whole path of a config: zoo, hypernetwork, requests, evaluation, report.

usage: hyperforget run --config NAME [--FIELD VALUE ...]

  --config NAME    a config of the package, such as smoke_dihyfo2 or mnist4_dihyfo2, or the path of a file of your own
  --FIELD VALUE    override a field of the config

Stages that are done are not done again: stopped or killed, the same command goes on from there. Leaves results.jsonl, results.md,
figures and report.html in the workdir.

examples:
  hyperforget run --config smoke_dihyfo2
  hyperforget run --config mnist4_dihyfo2 --data.dir DIR --workdir runs/mnist4
  hyperforget run --config my_config.py --training.steps 5000
"""

from collections.abc import Sequence

from hyperforget_jax.cli.job import run_job
from hyperforget_jax.pipeline import alignment, end_to_end


def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    return run_job("hyperforget run", None, end_to_end.run, arguments, alignment.validate_metric)
