"""A table or a figure of the paper by its name: `python -m experiments.reproduce table1 --data.dir DIR`.

    NAME …              table1 to table5, fig2 to fig18, fig31; subsets-, rivals-, attacks-, seeds-, grids-SETTING-METHOD, cost-SETTING,
                        pivots-SETTING; or `all`
    --runs FOLDER       where the runs are: FOLDER/mnist4_dihyfo1, … (default: runs)

Any other argument overrides a field of every config, but for --workdir, which --runs tells. A run that is missing is made first, as
`hyperforget_jax.pipeline.end_to_end` makes it. Leaves `FOLDER/paper/NAME.md`, `.csv`, and figures as PNG and SVG.
"""

import csv
import difflib
import io
import itertools
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from experiments.leaf import Leaf
from experiments.made import SETTINGS, Configs, Runs
from experiments.targets import TARGETS
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.cli.options import pop_options
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import figures
from hyperforget_jax.runtime import artifacts


@cli_errors
def main(arguments: Sequence[str], settings: Configs = SETTINGS) -> int:
    """Makes what is named; exit status 0, 2 after bad input, or 130 after Ctrl-C."""
    given, others = pop_options(arguments, "runs", "workdir")
    names = [*itertools.takewhile(lambda word: not word.startswith("-"), others)]
    check(names, given)
    folder, console = Path(given.get("runs", "runs")).expanduser().resolve(), Console(soft_wrap=True)
    asked = f"python -m experiments.reproduce {shlex.join(arguments)}"
    runs = Runs(folder, settings, others[len(names) :], console, asked)
    for name in TARGETS if "all" in names else dict.fromkeys(names):
        leaf = TARGETS[name](runs)
        write(leaf, folder / "paper", name)
        told = "\n\n".join(filter(None, (leaf.title, leaf.text)))
        console.print(told, markup=False, highlight=False)
        console.print(f"{name}: {folder / 'paper' / name}.md")
    return 0


def check(names: Sequence[str], given: Mapping[str, str]) -> None:
    """Refuses names that are none, and a place that is none.

    Args:
      names: what is asked for.
      given: values of --runs and --workdir, those that are given.
    """
    for name in names:
        if name not in (*TARGETS, "all"):
            near = difflib.get_close_matches(name, TARGETS, n=1)
            hint = f"did you mean {near[0]}?" if near else _choice()
            raise HyperForgetError(f"{name} is no table or figure: {hint}")
    if not names:
        raise HyperForgetError(f"nothing is named: {_choice()}")
    if "workdir" in given:
        raise HyperForgetError(
            "--workdir is given: a table reads several workdirs, and --runs names their folder"
        )
    if given.get("runs") == "":
        raise HyperForgetError("--runs is empty: name the folder of the runs")


def _choice() -> str:
    return f"choose of all, {', '.join(TARGETS)}, and name it before any option"


def write(leaf: Leaf, folder: Path, name: str) -> None:
    """Writes the Markdown with its figures, the CSV if there are rows, and the figures."""
    with artifacts.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = (f"![{leaf.title}]({each}.png)\n" for each in leaf.figures)
    parts = filter(None, (f"# {leaf.title}\n", leaf.text, *pictures))
    artifacts.write_text(folder / f"{name}.md", "\n".join(parts))
    for each, figure in leaf.figures.items():
        figures.save(figure, folder, each)
    if leaf.rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(leaf.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(leaf.rows)
        artifacts.write_text(folder / f"{name}.csv", text.getvalue())


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
