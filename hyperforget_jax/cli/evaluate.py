"""A finished run, measured again beside its reference models.

usage: hyperforget evaluate RUN [--json] [--FIELD VALUE ...]

  RUN              the workdir of a finished run
  --json           print one JSON object: {"run", "results", "rows"}; progress goes to stderr
  --FIELD VALUE    other forget sets (--task.forget-sets 2 2,3), or another place of the run's data (--data.dir DIR)

Answers and reference models that are there are read, others are made. Writes results.jsonl and results.md in RUN.

examples:
  hyperforget evaluate runs/digits4_dihyfo2
  hyperforget evaluate runs/digits4_dihyfo2 --task.forget-sets 2 3 2,3
  hyperforget evaluate runs/digits4_dihyfo2 --json
"""

import json
from collections.abc import Sequence

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.pipeline import end_to_end
from hyperforget_jax.runtime import artifacts


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(RunOptions, "evaluate", arguments)
    end_to_end.evaluate_again(run)
    if options.json:
        path = run.folder / end_to_end.RESULTS
        summary = {"run": str(run.folder), "results": str(path), "rows": artifacts.read_rows(path)}
        print(json.dumps(summary, indent=2, allow_nan=False))
    return 0
