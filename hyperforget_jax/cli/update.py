"""A model in hand forgets classes on request and, asked again, learns them back: DiHyFo-1, each in one call.

`hyperforget update --config mnist4_dihyfo1 --data.dir DIR --model FILE.npz`

    --config NAME       a file of configs/, of a DiHyFo-1
    --model FILE.npz    float32 arrays w0 [out, in], b0 [out], w1, b1, …; without it a model is trained on all classes

Any other argument overrides a config field, such as `--request.rounds 5`. Uses the workdir's zoo and hypernetwork, made if they
are missing; leaves `update.jsonl` (tidy rows, with a direction and a round), `update.md`, `figures/update.*`, and in `update/` the model
and the model that each call gave.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.cli import arguments as command
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment, recursive_prompting, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.recursive_prompting import Round
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.report import figures, updates
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces
from hyperforget_jax.report.updates import Panel
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn import prompts, recursive
from hyperforget_jax.unlearn.reference import retrain


def work(run: Run, model: str | None) -> None:
    """Lets the model forget every forget set and learn it back."""
    given = None if model is None else recursive.read(Path(model), run.sizes)
    known, held_out = pipeline_zoo.split_zoo(run)
    asked, grids = unlearning.candidate_prompts(run, known), alignment.grids(run, known)
    hypernetwork = training.train_hypernetwork(run, known, held_out, alignment.watch(run, grids))
    generate = training.generator_of(run, hypernetwork)
    before = recursive_prompting.scored(run, recursive.repeated(given or trained(run), 1), 0)
    shares = run.config.request.retain_quantiles
    everything = np.stack([prompts.learned(known.losses, share) for share in shares])  # [C, K]
    chosen, rows, calls = {"model": before.chosen}, [], []
    for labels, forget, tried in zip(run.config.task.forget_sets, run.forget_sets, asked, strict=True):
        name = "-".join(str(label) for label in labels)
        forgot = recursive_prompting.call(run, f"forget-{name}", generate, before.chosen, tried, forget)
        back = recursive_prompting.call(run, f"back-{name}", generate, forgot[0].chosen, everything, ())
        chosen |= {f"forget-{name}": forgot[0].chosen, f"back-{name}": back[0].chosen}
        rows += recursive_prompting.told(run, labels, {"before": [before], "forget": forgot, "back": back})
        calls.append(panels(run, labels, before, forgot[0], back[0]))
    rows += recursive_prompting.sweeps(run, grids, generate, before.chosen)
    with artifacts.new_artifact(run.folder / "update", identity(run.config) | {"model": model}) as place:
        for name, params in chosen.items():
            recursive.write(place / f"{name}.npz", params)
    artifacts.write_rows(run.folder / "update.jsonl", rows)
    artifacts.write_text(run.folder / "update.md", updates.page(rows, model or "trained on all classes"))
    figures.save(updates.accuracies(calls), run.folder / "figures", "update")
    run.console.print(listing(updates.summary(rows)))
    run.console.print(f"tables: {run.folder / 'update.md'}\nmodels: {run.folder / 'update'}")


def check(run: Run, model: str | None) -> None:
    """Refuses another hypernetwork, and a model's file that is none.

    Raises:
      HyperForgetError: names what is wrong.
    """
    hyper = run.config.hypernetwork
    if (hyper.kind, hyper.metric) != ("dihyfo1", "class_losses"):
        raise HyperForgetError(
            f"hypernetwork.kind is {hyper.kind} and hypernetwork.metric {hyper.metric}: "
            "choose dihyfo1 and class_losses, such as --config mnist4_dihyfo1"
        )
    if model is not None:
        recursive.read(Path(model), run.sizes)


def trained(run: Run) -> Params:
    """A model trained as the reference models is, on all classes."""
    key, config = prng.stream(run.config.seed, "update model"), replace(run.config.reference, seeds=1)
    models = retrain(key, on_device(run.dataset.train), [()], run.sizes, config)
    return jax.tree.map(lambda leaf: leaf[0, 0], models)


def panels(
    run: Run, labels: tuple[int, ...], before: Round, forgot: Round, back: Round
) -> tuple[Panel, Panel]:
    """Class accuracies before and after both calls, for the figure."""
    forget, learn = (
        Panel(
            f"{verb} {braces(labels)}",
            run.dataset.classes,
            labels,
            start.accuracies[start.selected],
            end.accuracies,
            end.selected,
        )
        for verb, start, end in (("forget", before, forgot), ("learn back", forgot, back))
    )
    return forget, learn


@command.cli_errors
def main(arguments: Sequence[str]) -> int:
    """Finds the config, works; exit status as in `command.main`."""
    given, others = command.split(arguments, "config", "model")
    work_on, check_of = (partial(function, model=given.get("model")) for function in (work, check))
    config = command.setting(given.get("config"))
    return command.main(command.told("update", given), config, work_on, others, check_of)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
