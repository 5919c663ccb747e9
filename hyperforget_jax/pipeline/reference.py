"""The reference models of a run: retrained without each of its forget sets, kept as one artifact."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.weights.layout import flatten, unflatten_many

FOLDER = "reference"


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
