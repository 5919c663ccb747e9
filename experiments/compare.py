"""Every method of unlearning beside a finished run's hypernetwork, under every attack: `python -m experiments.compare RUN`.

Baselines (docs/baselines.md) unlearn models that the zoo's recipe trained on everything, with settings from an equal-budget search on
validation images for every forget set; the hypernetwork answers in each of its modes; further clean runs are the control. All are attacked
(docs/attacks.md) beside the run's clean reference. Each method is kept in RUN/compare/METHOD, so that a stopped comparison goes on; the
run gets `compare.md`, `compare.jsonl`, `figures/pareto.*` and `figures/distances.*`. Takes about half an hour on two cores for MNIST-4.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

from hyperforget_jax.baselines import registry
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.config import ComparisonConfig
from hyperforget_jax.pipeline import attacks
from hyperforget_jax.pipeline.compare import compare
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import compare as report
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import table
from hyperforget_jax.runtime import artifacts


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Compares, prints and writes; exit status 0 or 2."""
    _, run = open_finished(RunOptions, "compare", arguments)
    attacks.validate(run)
    config = ComparisonConfig()
    shown(run, replace(config, attack=replace(config.attack, seed=run.config.seed)))
    return 0


def shown(run: Run, config: ComparisonConfig) -> None:
    """Compares a run's methods, writes tables and figures into it, and prints the table."""
    found = compare(run, config)
    compared = [{"name": each.name, "summary": each.summary} for each in found]
    lines = [line for each in found for line in each.lines]
    measured = report.frame(compared, lines)
    artifacts.write_rows(run.folder / "compare.jsonl", compared)
    reasons = {name: kind.cannot for name, kind in registry.METHODS.items()}
    artifacts.write_text(run.folder / "compare.md", report.page(compared, measured, run.method, reasons))
    ours = [mode.method for mode in run.modes]
    for name, figure in (("pareto", report.pareto(measured, ours)), ("distances", report.heatmap(measured))):
        figures.save(figure, run.folder / "figures", name)
    run.console.print(table(report.texts(measured), ["Method", "Worst set"]))
    run.console.print(f"tables and figures: {run.folder / 'compare.md'}")


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
