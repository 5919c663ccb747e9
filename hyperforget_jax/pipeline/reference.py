"""The reference models of a run: retrained without each of its forget sets, and clean runs by the zoo's recipe for each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity, zoo_identity
from hyperforget_jax.pipeline.zoo import zoo_recipe
from hyperforget_jax.report.tables import braces
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import clean_runs, retrain
from hyperforget_jax.unlearn.requests import name_of
from hyperforget_jax.weights.layout import flatten, unflatten_many

FOLDER, CLEAN_FOLDER = "reference", "clean_reference"
BETTER_THAN_CHANCE = 1.05
"""Accuracy of models that have learned, at least, as a multiple of chance."""


def reference_models(run: Run) -> Params:
    """M models for each of the run's F forget sets: leaves [F, M, …]; retrained if the stored ones are of other sets."""
    config, folder = run.config, run.folder / FOLDER
    made_from = identity(config) | {"task.forget_sets": config.task.forget_sets}
    if not run.reuses("reference models", folder, made_from):
        run.console.print(
            f"reference models: {len(run.forget_sets)} forget sets x {config.reference.seeds} seeds, one program"
        )
        with run.timed("reference models", resumes=False):
            key = prng.stream(config.seed, "reference")
            models = retrain(key, on_device(run.dataset.train), run.forget_sets, run.sizes, config.reference)
            weights = np.asarray(jax.vmap(jax.vmap(flatten))(models))  # [F, M, P]
        validate_finite("reference models", weights, "lower reference.learning_rate")
        for index, forget in enumerate(run.forget_sets):
            _validate_learned(run, jax.tree.map(lambda leaf, index=index: leaf[index], models), forget)
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            np.save(partial_folder / "weights.npy", weights)
    stored = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [F, M, P]
    return jax.vmap(partial(unflatten_many, sizes=run.sizes))(stored)


def _validate_learned(run: Run, models: Params, forget: Sequence[int]) -> None:
    """Refuses models that are called retrained and have learned nothing.

    Args:
      run: its training images tell what was to be learned.
      models: M of them, retrained without a forget set.
      forget: its output positions.

    Raises:
      HyperForgetError: half of them are not better than chance on the classes that they were trained on.
    """
    images = on_device(run.dataset.train)
    present = np.setdiff1d(np.unique(run.dataset.train.labels), forget)
    if len(present) < 2:
        return
    _, accuracies = classifier.class_scores_of_many(models, *images)  # [M, K]
    found, chance = float(np.median(np.asarray(accuracies)[:, present].mean(1))), 1 / len(present)
    if found <= BETTER_THAN_CHANCE * chance:
        raise HyperForgetError(
            f"models retrained without {braces(run.dataset.classes[position] for position in forget)} have an accuracy of {found:.3f} "
            f"on their own training images, chance is {chance:.3f}: raise reference.epochs, or change reference.learning_rate"
        )


def clean_reference(run: Run) -> Params:
    """M clean runs for each of the run's F forget sets, by the zoo's recipe, which no hypernetwork is trained on: leaves [F, M, …].

    Each set has an artifact and random numbers of its own, so its models do not depend on which other sets are asked for.
    """
    sets = zip(run.config.task.forget_sets, run.forget_sets, strict=True)
    models = [_clean_runs(run, labels, positions) for labels, positions in sets]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)


def new_clean_runs(
    run: Run, stream: str, forget: tuple[int, ...], count: int, on_runs: Callable[[int], None] = lambda made: None
) -> Params:
    """Clean runs by the zoo's recipe with random numbers of their own, which are in no zoo: leaves [M, …].

    Args:
      run: its config has the recipe.
      stream: name of the random stream.
      forget: output positions; none: runs that saw everything.
      count: models M.
      on_runs: called with the number of models that each block of runs has added.
    """
    recipe = replace(zoo_recipe(run), key=prng.stream(run.config.seed, stream))
    return clean_runs(recipe, forget, count, on_runs)


def _clean_runs(run: Run, labels: tuple[int, ...], positions: tuple[int, ...]) -> Params:
    config, count = run.config, run.config.reference.clean_runs
    name = name_of(labels)
    folder = run.folder / CLEAN_FOLDER / name
    made_from = zoo_identity(config) | {"reference.clean_runs": count, "forget_set": labels}
    if not run.reuses(f"clean reference {name}", folder, made_from):
        with (
            run.timed("clean reference", resumes=True),
            track(run.console, f"clean reference {name}", count, "runs") as advance,
        ):
            models = new_clean_runs(run, f"clean reference {name}", positions, count, advance)
            weights = np.asarray(jax.vmap(flatten)(models))  # [M, P]
        validate_finite("clean runs", weights, "lower zoo.learning_rate")
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            np.save(partial_folder / "weights.npy", weights)
    return unflatten_many(jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False)), run.sizes)
