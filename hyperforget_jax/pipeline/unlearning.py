"""From a hypernetwork to answers, and the retrained models they are held against; artifacts, as in `stages`."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts, requests
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.unlearn.requests import Answer, Floats
from hyperforget_jax.weights.layout import flatten, unflatten_many
from hyperforget_jax.zoo.storage import Zoo


def candidates(run: Run, known: Zoo) -> list[Floats]:
    """Candidate prompts [C, K] of every request, from the zoo's training part; or one line: which it cannot answer."""
    return [
        prompts.candidates(known.losses, known.accuracies, forget, run.config.request)
        for forget in run.forget_sets
    ]


def reference_models(run: Run) -> Params:
    """The reference models: leaves [F, M, …]."""
    config, folder = run.config, run.folder / "reference"
    shape = (len(run.forget_sets), config.reference.seeds)
    if not run.reuses("reference models", folder):
        run.console.print(f"reference models: {shape[0]} forget sets x {shape[1]} seeds, one program")
        with run.timed("reference models", resumes=False):
            key = prng.stream(config.seed, "reference")
            training = on_device(run.dataset.train)
            reference = retrain(key, training, run.forget_sets, run.sizes, config.reference)
            weights = np.asarray(jax.vmap(jax.vmap(flatten))(reference))  # [F, M, P]
        with artifacts.new_artifact(folder, identity(config)) as place:
            np.save(place / "weights.npy", weights)
    stored = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [F, M, P]
    return jax.vmap(partial(unflatten_many, sizes=run.sizes))(stored)


def answers(run: Run, asked: list[Floats], generate: Generator) -> list[Answer]:
    """Samples and selection for every request, from its candidate prompts."""
    found = []
    for labels, forget, tried in zip(run.config.task.forget_sets, run.forget_sets, asked, strict=True):
        name, folder = _named(labels), _place(run, labels)
        if not run.reuses(name, folder):
            with run.timed(name, resumes=False):
                reply = _ask(run, name, tried, generate, forget)
            with artifacts.new_artifact(folder, identity(run.config)) as place:
                _write_answer(place, reply)
        answer = stored(run, labels)
        if not answer.candidate_scores.any():
            run.console.print(f"{name}: NO sample of any prompt has forgotten: train the hypernetwork longer")
        found.append(answer)
    return found


def _ask(run: Run, name: str, tried: Floats, generate: Generator, forget: tuple[int, ...]) -> Answer:
    config = run.config.request
    total = len(tried) * config.samples_per_candidate + config.samples
    with track(run.console, name, total, "models") as advance:

        def generate_and_count(draws: jax.Array, losses: jax.Array) -> Params:
            return generate(draws, losses, advance)

        validation = on_device(run.dataset.validation)
        key = prng.stream(run.config.seed, name)
        return requests.answer(generate_and_count, tried, forget, validation, key, config)


def _write_answer(place: Path, answer: Answer) -> None:
    arrays: dict[str, Any] = {
        name: np.asarray(value) for name, value in vars(answer).items() if name != "models"
    }
    np.savez(place / "answer.npz", **arrays)
    np.save(place / "weights.npy", np.asarray(jax.vmap(flatten)(answer.models)))


def stored(run: Run, labels: tuple[int, ...]) -> Answer:
    """The answer of a finished run to one request, by the labels to forget."""
    folder = _place(run, labels)
    weights = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [N, P]
    with np.load(folder / "answer.npz", allow_pickle=False) as arrays:
        others = {name: arrays[name] for name in arrays.files}
    others["chosen"] = int(others["chosen"])
    return Answer(models=unflatten_many(weights, run.sizes), **others)


def _named(labels: tuple[int, ...]) -> str:
    return "forget-" + "-".join(str(label) for label in labels)


def _place(run: Run, labels: tuple[int, ...]) -> Path:
    return run.folder / "requests" / _named(labels)
