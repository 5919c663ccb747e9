"""A model of your own forgets classes and learns them back (DiHyFo-1).

usage: hyperforget update --config NAME [--model FILE.npz] [--FIELD VALUE ...]

  --config NAME       a config of the package with DiHyFo-1, such as mnist4_dihyfo1, or the path of a file of your own
  --model FILE.npz    float32 arrays w0 [out, in], b0 [out], w1, b1, …; without it a model is trained on all classes
  --FIELD VALUE       override a field of the config

Uses the workdir's zoo and hypernetwork, made if they are missing. The models that were updated to forget are held against clean runs
(evaluation.distribution_models 0: they are not). Leaves update.jsonl (results, with a direction and a round), update.md,
figures/update.*, and in update/ the model and the model that each call gave.

examples:
  hyperforget update --config mnist4_dihyfo1 --data.dir DIR --model FILE.npz
  hyperforget update --config mnist4_dihyfo1 --data.dir DIR --request.rounds 5
"""

from collections.abc import Sequence
from functools import partial

from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.cli.options import command_line, pop_options
from hyperforget_jax.pipeline.update import update, validate


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    options, others = pop_options(arguments, "config", "model")
    job, validate_model = (partial(function, model=options.get("model")) for function in (update, validate))
    config = load_config(options.get("config"))
    return run_job(command_line("hyperforget update", options), config, job, others, validate_model)
