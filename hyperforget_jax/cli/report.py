"""The figures and the page of a finished run, drawn again.

usage: hyperforget report RUN [--json] [--FIELD VALUE ...]

  RUN              the workdir of a finished run
  --json           print one JSON object: {"run", "report", "figures"}; progress goes to stderr
  --FIELD VALUE    other forget sets (--task.forget-sets 2 2,3), or another place of the run's data or zoo

Measures as `hyperforget evaluate` does, then writes figures/ and report.html in RUN.

examples:
  hyperforget report runs/digits4_dihyfo2
  hyperforget report runs/mnist4_dihyfo2 --data.dir DIR --zoo.folder runs/mnist4_zoo/zoo
"""

import json
from collections.abc import Sequence

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.pipeline import end_to_end


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    options, run = open_finished(RunOptions, "report", arguments)
    end_to_end.report_again(run)
    if options.json:
        summary = {"run": run.folder, "report": run.folder / "report.html", "figures": run.folder / "figures"}
        print(json.dumps(summary, indent=2, default=str))
    return 0
