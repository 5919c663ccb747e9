"""Every attack on the models of a finished run, beside its clean reference: `python -m experiments.attack RUN`.

All samples of every forget set, in each mode of the run, are attacked by the suite of `hyperforget_jax.attacks` (docs/attacks.md), and so
are clean runs, which never saw the classes. Results are kept in RUN/attack_suite; `attacks.md` and `figures/attacks.*` are left in RUN.
A shadow model of a hypernetwork would be a new zoo and a new hypernetwork: here all samples come from one, so that U-LiRA and RULI say
how a sample differs from a clean run, not how a hypernetwork does.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.pipeline import attacks, cache, unlearning
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report import attacks as report
from hyperforget_jax.report import figures
from hyperforget_jax.report.console import table
from hyperforget_jax.report.tables import to_markdown
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.progress import track

FOLDER = "attack_suite"
WORDS = ("Forget", "Method", "Family", "Attack", "Position")


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Attacks, prints and writes; exit status 0 or 2."""
    _, run = open_finished(RunOptions, "attack", arguments)
    attacks.validate(run)
    lines = found(run, AttackConfig(seed=run.config.seed))
    texts = report.texts(lines)
    artifacts.write_text(run.folder / "attacks.md", page(lines))
    figures.save(report.heatmap(lines), run.folder / "figures", "attacks")
    run.console.print(table(texts[texts["Position"] != "inside"], WORDS, title="outside the reference's range"))
    run.console.print(f"all attacks and figure: {run.folder / 'attacks.md'}")
    return 0


def found(run: Run, config: AttackConfig) -> list[dict[str, Any]]:
    """Lines of all attacks; an artifact."""
    sets = run.config.task.forget_sets
    return cache.rows(run, FOLDER, lambda: attacked(run, config), attacks=asdict(config), forget_sets=sets)


def attacked(run: Run, config: AttackConfig) -> list[dict[str, Any]]:
    """The lines, anew."""
    lines = list[dict[str, Any]]()
    with run.timed("attacks", resumes=False), track(run.console, "attacks", len(run.forget_sets), "forget sets") as on:
        for labels, prepared in attacks.suites(run, attacks.original(run), config):
            models = {mode.method: unlearning.stored(mode, labels).models for mode in run.modes}
            lines += attacks.attack(labels, prepared, models)
            fewest = min(len(each[-1]["b"]) for each in models.values())
            for why in prepared.left_out(fewest).values():
                run.console.print(f"left out: {why}", highlight=False, markup=False)
            on(1)
    return lines


def page(lines: Sequence[dict[str, Any]]) -> str:
    """The table as Markdown, below how far each mode lies from the reference."""
    apart = report.distances(lines).map("{:.2f}".format).reset_index().rename(columns={"method": "Method"})
    return (
        f"# Attacks\n\n{report.CAPTION}\n\nDistance by family of attacks, the mean of |z|, at most {report.FARTHEST:g} each:\n\n"
        f"{to_markdown(apart, ['Method'])}\n![z-score of every attack](figures/attacks.png)\n\n"
        f"{to_markdown(report.texts(lines), WORDS)}"
    )


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
