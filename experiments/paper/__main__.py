"""A table or a figure of the paper by its name: `python -m experiments.paper table1 --data.dir DIR`.

    NAME …              table1 to table5, fig2 to fig18; subsets-, rivals-SETTING-METHOD, cost-SETTING; or `all`
    --runs FOLDER       where the runs are: FOLDER/mnist4_dihyfo1, … (default: runs)

Any other argument overrides a field of every config. A run that is missing is made first, as `experiments.pipeline` makes it. Leaves
`FOLDER/paper/NAME.md`, `.csv`, and figures as PNG and SVG.
"""

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments import command
from experiments.paper.leaf import Leaf
from experiments.paper.made import SETTINGS, Configs, Runs
from experiments.paper.targets import TARGETS
from hyperforget_jax import records
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.report import figures


@command.in_one_line
def main(arguments: Sequence[str], settings: Configs = SETTINGS) -> int:
    """Makes what is named; exit status 0, or 2 after bad input."""
    names = [word for word in arguments if word in TARGETS or word == "all"]
    given, overrides = command.split([word for word in arguments if word not in names], "runs")
    if not names:
        raise HyperForgetError(f"nothing is named: choose of all, {', '.join(TARGETS)}")
    folder, console = Path(given.get("runs", "runs")).expanduser().resolve(), Console(soft_wrap=True)
    runs = Runs(folder, settings, overrides, console, f"python -m experiments.paper {' '.join(arguments)}")
    for name in TARGETS if "all" in names else dict.fromkeys(names):
        leaf = TARGETS[name](runs)
        write(leaf, folder / "paper", name)
        console.print(f"{leaf.title}\n\n{leaf.text}", markup=False, highlight=False)
        console.print(f"{name}: {folder / 'paper' / name}.md")
    return 0


def write(leaf: Leaf, folder: Path, name: str) -> None:
    """Writes the Markdown with its figures, the CSV if there are rows, and the figures."""
    with records.writing_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = "\n".join(f"![{leaf.title}]({each}.png)\n" for each in leaf.figures)
    records.write_text(folder / f"{name}.md", f"# {leaf.title}\n\n{leaf.text}\n{pictures}")
    for each, figure in leaf.figures.items():
        figures.save(figure, folder, each)
    if leaf.rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(leaf.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(leaf.rows)
        records.write_text(folder / f"{name}.csv", text.getvalue())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
