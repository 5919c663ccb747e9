"""The reference models of a run: retrained without each of its forget sets, and clean runs by the zoo's recipe for each."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity, zoo_identity
from hyperforget_jax.pipeline.zoo import zoo_recipe
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import clean_runs, retrain
from hyperforget_jax.unlearn.requests import name_of
from hyperforget_jax.weights.layout import flatten, unflatten_many

FOLDER, CLEAN_FOLDER = "reference", "clean_reference"


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
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            np.save(partial_folder / "weights.npy", weights)
    stored = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [F, M, P]
    return jax.vmap(partial(unflatten_many, sizes=run.sizes))(stored)


def clean_reference(run: Run) -> Params:
    """M clean runs for each of the run's F forget sets, by the zoo's recipe, which no hypernetwork is trained on: leaves [F, M, …].

    Each set has an artifact and random numbers of its own, so its models do not depend on which other sets are asked for.
    """
    sets = zip(run.config.task.forget_sets, run.forget_sets, strict=True)
    models = [_clean_runs(run, labels, positions) for labels, positions in sets]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)


def _clean_runs(run: Run, labels: tuple[int, ...], positions: tuple[int, ...]) -> Params:
    config, count = run.config, run.config.reference.clean_runs
    name = name_of(labels)
    folder = run.folder / CLEAN_FOLDER / name
    made_from = zoo_identity(config) | {"reference.clean_runs": count, "forget_set": labels}
    if not run.reuses(f"clean reference {name}", folder, made_from):
        recipe = replace(zoo_recipe(run), key=prng.stream(config.seed, f"clean reference {name}"))
        with (
            run.timed("clean reference", resumes=True),
            track(run.console, f"clean reference {name}", count, "runs") as advance,
        ):
            models = clean_runs(recipe, positions, count, advance)
            weights = np.asarray(jax.vmap(flatten)(models))  # [M, P]
        with artifacts.new_artifact(folder, made_from) as partial_folder:
            np.save(partial_folder / "weights.npy", weights)
    return unflatten_many(jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False)), run.sizes)
