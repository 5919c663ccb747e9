"""Tables and figures of the paper, by name; needs a checkout.

usage: hyperforget reproduce NAME ... [--runs FOLDER] [--docs FOLDER] [--FIELD VALUE ...]

  NAME             table1 to table5, fig2 to fig18, fig31, …, or `all`; a wrong name lists them
  --runs FOLDER    where the runs are: FOLDER/mnist4_dihyfo1, … (default: runs)
  --docs FOLDER    write the parts of docs/results.md instead, as FOLDER/NAME.md, of those NAMEs whose runs are there
  --FIELD VALUE    override a field of every config

A run that is missing is made first, which can take hours. Leaves FOLDER/paper/NAME.md, .csv and figures. The modules that know the paper's
results are in experiments/, which is not part of the installed package.

examples:
  hyperforget reproduce table1 --data.dir DIR
  hyperforget reproduce fig2 fig3 --runs /scratch/runs --data.dir DIR
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import hyperforget_jax
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.errors import HyperForgetError

REPOSITORY = "https://github.com/hyperforget-jax/hyperforget_jax"


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status 0, 2 or 130."""
    sys.path.insert(0, str(checkout()))
    status: int = importlib.import_module("experiments.reproduce").main(arguments)
    return status


def checkout() -> Path:
    """The root of the repository: where this package lies, or the current folder.

    Raises:
      HyperForgetError: neither is one.
    """
    for folder in (Path(hyperforget_jax.__file__).parents[1], Path.cwd()):
        if (folder / "experiments" / "reproduce.py").is_file() and (folder / "hyperforget_jax").is_dir():
            return folder
    raise HyperForgetError(
        f"{Path.cwd()} is no checkout, and experiments/ is not part of the installed package: "
        f"git clone {REPOSITORY}, and run this in its folder"
    )
