"""A table or a figure by its name: `python -m experiments.reproduce table1 --data.dir DIR`.

    NAME …            table1 to table5, fig2 to fig18, fig31; subsets-, rivals-, attacks-, seeds-, grids-SETTING-HYPERNETWORK,
                      cost-SETTING, pivots-SETTING, with setting mnist4 or mnist and hypernetwork dihyfo1 or dihyfo2; or `all`
    --runs FOLDER     folder of the runs: FOLDER/mnist4_dihyfo1, … (default: runs)
    --docs FOLDER     write the parts of docs/results.md instead, as FOLDER/NAME.md, of those NAMEs whose runs are there; other parts stay

Any other argument overrides a field of every config, except --workdir. A run that is missing is made first, as by `hyperforget run`; the
command says at its start which. Leaves `FOLDER/paper/NAME.md`, `.csv`, and figures as PNG and SVG.
"""

import difflib
import itertools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from configs import (
    mnist4_dihyfo1,
    mnist4_dihyfo2,
    mnist4_nopivots_dihyfo2,
    mnist_dihyfo1,
    mnist_dihyfo2,
    mnist_fewpivots_dihyfo2,
)
from experiments import (
    alignment_grids,
    all_forget_sets,
    cost,
    docs_parts,
    fewer_pivots,
    generator_baselines,
    gpt,
    membership_attacks,
    paper_figures,
    paper_tables,
    training_seeds,
)
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.cli.options import pop_options
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run_folder import RunFolder, RunName, Settings
from hyperforget_jax.report.console import make_console
from hyperforget_jax.report.result import Result, save
from hyperforget_jax.runtime.paths import expand

SETTINGS: Settings = {
    "mnist4": {"dihyfo1": mnist4_dihyfo1.get_config, "dihyfo2": mnist4_dihyfo2.get_config},
    "mnist": {"dihyfo1": mnist_dihyfo1.get_config, "dihyfo2": mnist_dihyfo2.get_config},
    "mnist4_nopivots": {"dihyfo2": mnist4_nopivots_dihyfo2.get_config},
    "mnist_fewpivots": {"dihyfo2": mnist_fewpivots_dihyfo2.get_config},
}
"""The paper's settings, and those with fewer pivots."""
METHODS = ("dihyfo1", "dihyfo2")


class Target(NamedTuple):
    """What a name stands for: the function that makes its result, and the runs that it reads."""

    make: Callable[[RunFolder], Result]
    needs: tuple[RunName, ...]


def _target(make: Callable[..., Result], *arguments: Any, setting: str, method: str | None = None) -> Target:
    """A target that reads one run of a setting, or those of both hypernetworks."""
    methods = METHODS if method is None else (method,)
    return Target(partial(make, *arguments), tuple(RunName(setting, each) for each in methods))


def _figures() -> dict[str, Target]:
    """Figures 2 to 18 of the paper."""
    both = {2: (paper_figures.losses, "mnist4"), 3: (paper_figures.selection, "mnist4")}
    both |= {4: (paper_figures.selection, "mnist"), 9: (paper_figures.curves, "mnist4")}
    both |= {10: (paper_figures.curves, "mnist")}
    one: dict[int, tuple[Callable[..., Result], str, str]] = {}
    for index, (method, setting) in enumerate(itertools.product(METHODS, ("mnist", "mnist4"))):
        one[5 + index] = paper_figures.agreement, setting, method
    for index, (setting, method) in enumerate(itertools.product(("mnist4", "mnist"), METHODS)):
        one[11 + 2 * index] = paper_figures.comparison, setting, method
        one[12 + 2 * index] = paper_figures.evolution, setting, method
    found = {number: _target(make, number, setting, setting=setting) for number, (make, setting) in both.items()}
    found |= {
        number: _target(make, number, setting, method, setting=setting, method=method)
        for number, (make, setting, method) in one.items()
    }
    return {f"fig{number}": found[number] for number in sorted(found)}


def _beyond() -> dict[str, Target]:
    """What the paper does not have, by setting and hypernetwork."""
    experiments: dict[str, Callable[..., Result]] = {
        "subsets": all_forget_sets.every_forget_set,
        "rivals": generator_baselines.against_rivals,
        "attacks": membership_attacks.attackers,
        "seeds": training_seeds.over_seeds,
        "grids": alignment_grids.grids_compared,
    }
    found = {
        f"{name}-{setting}-{method}": _target(make, setting, method, setting=setting, method=method)
        for name, make in experiments.items()
        for setting in ("mnist4", "mnist")
        for method in METHODS
    }
    for name, (make, (run,)) in found.items():
        if name.startswith("seeds-"):
            seeds = (run._replace(seed=seed) for seed in training_seeds.SEEDS)
            found[name] = Target(make, (run, *seeds))
    return found


TARGETS: Mapping[str, Target] = {
    **{
        f"table{number}": _target(paper_tables.table, number, setting=setting)
        for number, (setting, _) in paper_tables.TABLES.items()
    },
    "table5": _target(paper_tables.table5, setting="mnist4", method="dihyfo2"),
    **_figures(),
    "fig31": Target(gpt.fig31, ()),
    **_beyond(),
    **{f"cost-{setting}": _target(cost.cost, setting, setting=setting) for setting in ("mnist4", "mnist")},
    **{
        f"pivots-{setting}": Target(
            partial(fewer_pivots.fewer, setting), (RunName(setting, "dihyfo2"), RunName(fewer, "dihyfo2"))
        )
        for setting, fewer in fewer_pivots.FEWER.items()
    },
}
"""Every table and figure by its name; after the paper's own come those that it does not have."""


@cli_errors
def main(arguments: Sequence[str], settings: Settings = SETTINGS) -> int:
    """Makes what is named; exit status 0, 2 after bad input, or 130 after Ctrl-C."""
    given, others = pop_options(arguments, "runs", "docs", "workdir")
    names = [*itertools.takewhile(lambda word: not word.startswith("-"), others)]
    validate(names, given)
    folder, console = expand(given.get("runs", "runs"), "--runs").resolve(), make_console()
    command = f"python -m experiments.reproduce {shlex.join(arguments)}"
    runs = RunFolder(folder, settings, others[len(names) :], console, command)
    chosen = {name: TARGETS[name] for name in (TARGETS if "all" in names else names)}
    if "docs" in given:
        chosen = {
            name: target
            for name, target in chosen.items()
            if target.needs and all(need.setting in settings and runs.is_finished(need) for need in target.needs)
        }
        made = {name: target.make(runs) for name, target in chosen.items()}
        written = docs_parts.write(made, folder if "all" in names else None, expand(given["docs"], "--docs").resolve())
        console.print(f"parts: {', '.join(written) or 'none'}\nindex: {given['docs'].rstrip('/')}.md", markup=False)
        return 0
    runs.print_plan(need for target in chosen.values() for need in target.needs)
    if "fig31" in chosen and not gpt.is_finished(folder):
        console.print(f"gpt: made first, as by: python -m experiments.gpt --workdir {folder / 'gpt'}", highlight=False)
    for name, target in chosen.items():
        result = target.make(runs)
        save(result, folder / "paper", name)
        console.print("\n\n".join(filter(None, (result.title, result.text))), markup=False, highlight=False)
        console.print(f"{name}: {folder / 'paper' / name}.md")
    return 0


def validate(names: Sequence[str], given: Mapping[str, str]) -> None:
    """Refuses unknown names and options that cannot be meant.

    Args:
      names: of targets.
      given: values of --runs, --docs and --workdir, those that are given.
    """
    for name in names:
        if name not in (*TARGETS, "all"):
            near = difflib.get_close_matches(name, TARGETS, n=1)
            hint = f"did you mean {near[0]}?" if near else _choice()
            raise HyperForgetError(f"{name} is no table or figure: {hint}")
    if not names:
        raise HyperForgetError(f"nothing is named: {_choice()}")
    if "workdir" in given:
        raise HyperForgetError("--workdir is given: a table reads several workdirs, and --runs names their folder")
    for option, content in (("runs", "the runs"), ("docs", "the parts")):
        if given.get(option) == "":
            raise HyperForgetError(f"--{option} is empty: name the folder of {content}")


def _choice() -> str:
    return f"choose of all, {', '.join(TARGETS)}, and name it before any option"


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
