"""A model of your own forgets classes and learns them back (DiHyFo-1).

usage: hyperforget update --config NAME [--model FILE.npz] [--FIELD VALUE ...]

  --config NAME       a config of the package with DiHyFo-1, such as mnist4_dihyfo1, or the path of a file of your own
  --model FILE.npz    float32 arrays w0 [out, in], b0 [out], w1, b1, …; without it a model is trained on all classes
  --FIELD VALUE       override a field of the config

Uses the workdir's zoo and hypernetwork, made if they are missing. Leaves update.jsonl (results, with a direction and a round), update.md,
figures/update.*, and in update/ the model and the model that each call gave.

examples:
  hyperforget update --config mnist4_dihyfo1 --data.dir DIR --model FILE.npz
  hyperforget update --config mnist4_dihyfo1 --data.dir DIR --request.rounds 5
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.configs import load_config
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.cli.options import command_line, pop_options
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import results
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
    frame = results.frame_of(rows)
    results.write_results(run.folder / "update.jsonl", frame)
    artifacts.write_text(run.folder / "update.md", updates.page(frame, model or "trained on all classes"))
    figures.save(updates.accuracies(calls), run.folder / "figures", "update")
    run.console.print(listing(updates.summary(frame)))
    run.console.print(f"tables: {run.folder / 'update.md'}\nmodels: {run.folder / 'update'}")


def validate(run: Run, model: str | None) -> None:
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


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Runs the verb; exit status as in `run_job`."""
    options, others = pop_options(arguments, "config", "model")
    job, validate_model = (partial(function, model=options.get("model")) for function in (work, validate))
    config = load_config(options.get("config"))
    return run_job(command_line("hyperforget update", options), config, job, others, validate_model)
