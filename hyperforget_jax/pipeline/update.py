"""A model forgets every forget set of a run and learns it back, each in one call of a DiHyFo-1."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import results
from hyperforget_jax.metrics.results import Row
from hyperforget_jax.pipeline import alignment, distribution, recursive_prompting, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.recursive_prompting import Round
from hyperforget_jax.pipeline.reference import clean_reference
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.report import console, figures, updates
from hyperforget_jax.report import distribution as distribution_lines
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces
from hyperforget_jax.report.updates import Panel
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.unlearn import prompts, recursive
from hyperforget_jax.unlearn.reference import retrain


def update(run: Run, model: str | None) -> None:
    """Lets a model forget every forget set and learn it back; holds the models that were updated to forget against clean runs.

    Leaves `update.jsonl`, `update.md`, `figures/update.*`, and in `update/` the model and the model that each call gave.

    Args:
      run: with a DiHyFo-1.
      model: its file, as `recursive.read` takes it; None: one is trained on all classes.
    """
    params = train_model(run) if model is None else recursive.read(expand(model, "--model"), run.sizes)
    train_zoo, val_zoo = pipeline_zoo.split_zoo(run)
    candidates, grids = unlearning.candidate_prompts(run, train_zoo), alignment.grids(run, train_zoo)
    trained = training.train_hypernetwork(run, train_zoo, val_zoo, alignment.watch(run, grids))
    generate = training.generator_of(run, trained.hypernetwork)
    before = recursive_prompting.scored(run, recursive.repeated(params, 1), 0)
    quantiles = run.config.request.retain_quantiles
    all_learned = np.stack([prompts.learned(train_zoo.losses, quantile) for quantile in quantiles])  # [C, K]
    models, rows, calls, first_rounds = {"model": before.chosen}, list[Row](), [], list[Round]()
    for labels, forget, of_set in zip(run.config.task.forget_sets, run.forget_sets, candidates, strict=True):
        name = "-".join(str(label) for label in labels)
        forgot = recursive_prompting.call(run, f"forget-{name}", generate, before.chosen, of_set, forget)
        back = recursive_prompting.call(run, f"back-{name}", generate, forgot[0].chosen, all_learned, ())
        first_rounds.append(forgot[0])
        models |= {f"forget-{name}": forgot[0].chosen, f"back-{name}": back[0].chosen}
        rows += recursive_prompting.result_rows(run, labels, {"before": [before], "forget": forgot, "back": back})
        about = run.dataset.classes, labels
        calls += [
            Panel(f"{verb} {braces(labels)}", *about, start.accuracies[start.selected], end.accuracies, end.selected)
            for verb, start, end in (("forget", before, forgot[0]), ("learn back", forgot[0], back[0]))
        ]
    rows += recursive_prompting.sweeps(run, grids, generate, before.chosen)
    if run.config.evaluation.distribution_models > 0:
        rows += distribution_rows(run, first_rounds)
    validate_finite("updated models", models, "make the hypernetwork again with a lower training.learning_rate")
    with artifacts.new_artifact(run.folder / "update", identity(run.config) | {"model": model}) as folder:
        for name, params in models.items():
            recursive.write(folder / f"{name}.npz", params)
    frame = results.frame_of(rows)
    results.write_results(run.folder / "update.jsonl", frame)
    artifacts.write_text(run.folder / "update.md", updates.page(frame, model or "trained on all classes"))
    figures.save(updates.accuracies(calls), run.folder / "figures", "update")
    run.console.print(listing(updates.summary(frame)))
    if len(lines := distribution_lines.distribution(frame)):
        run.console.print(console.distribution(lines))
    run.console.print(f"tables: {run.folder / 'update.md'}\nmodels: {run.folder / 'update'}")


def distribution_rows(run: Run, rounds: Sequence[Round]) -> list[Row]:
    """Rows of the models of round 1 of forgetting beside the clean reference, as `distribution.request_rows` gives them.

    Args:
      run: its forget sets.
      rounds: one per forget set; all samples count.
    """
    clean, rows = clean_reference(run), list[Row]()
    with run.timed("update distribution", resumes=False):
        for index, (labels, one) in enumerate(zip(run.config.task.forget_sets, rounds, strict=True)):
            of_set = jax.tree.map(lambda leaf, index=index: leaf[index], clean)
            rows += distribution.request_rows(run, labels, {run.method: one.models}, of_set)
    return [row | {"direction": "forget", "round": 1} for row in rows]


def validate(run: Run, model: str | None) -> None:
    """Refuses another hypernetwork, and a model's file that is none.

    Raises:
      HyperForgetError: names what is wrong.
    """
    hyper = run.config.hypernetwork
    if (hyper.kind, hyper.metric) != ("dihyfo1", "class_losses"):
        raise HyperForgetError(
            f"hypernetwork.kind is {hyper.kind} and hypernetwork.metric {hyper.metric}: "
            "choose dihyfo1 and class_losses, such as the config mnist4_dihyfo1"
        )
    if model is not None:
        recursive.read(expand(model, "--model"), run.sizes)


def train_model(run: Run) -> Params:
    """A model trained as the reference models is, on all classes."""
    key, config = prng.stream(run.config.seed, "update model"), replace(run.config.reference, seeds=1)
    models = retrain(key, on_device(run.dataset.train), [()], run.sizes, config)
    return jax.tree.map(lambda leaf: leaf[0, 0], models)
