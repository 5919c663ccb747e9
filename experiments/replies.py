"""From a hypernetwork to answers, and the retrained networks they are held against; artefacts, as in `stages`."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.run import Run, on_device
from hyperforget_jax import keys, records
from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion.generator import Generator
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts, request
from hyperforget_jax.unlearn.request import Answer
from hyperforget_jax.unlearn.retrain import retrain
from hyperforget_jax.weights.layout import flatten, unflatten
from hyperforget_jax.workdir import identity
from hyperforget_jax.zoo.store import Zoo


def retrained_cloud(run: Run) -> Params:
    """The reference networks: leaves [F, M, …]."""
    config, folder = run.config, run.folder / "reference"
    shape = (len(run.forget_sets), config.reference.seeds)
    if records.is_complete(folder):
        run.console.print(f"retrained cloud: reused from {folder}")
    else:
        with run.timed("retrained cloud"), records.new_artefact(folder, identity(config)) as place:
            run.console.print(f"retrained cloud: {shape[0]} forget sets x {shape[1]} seeds, one program")
            cloud = retrain(
                keys.stream(config.seed, "reference"),
                on_device(run.dataset.train),
                run.forget_sets,
                run.sizes,
                config.reference,
            )
            np.save(place / "weights.npy", np.asarray(jax.vmap(jax.vmap(flatten))(cloud)))
    records.verify(folder)
    weights = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [F, M, P]
    return jax.vmap(jax.vmap(partial(unflatten, sizes=run.sizes)))(weights)


def answers(run: Run, zoo: Zoo, generate: Generator) -> list[Answer]:
    """Prompts, samples and selection for every request."""
    known, _ = zoo.split(run.config.zoo.runs, run.config.zoo.validation_share)
    found = []
    for labels, forget in zip(run.config.task.forget_sets, run.forget_sets, strict=True):
        name = "forget-" + "-".join(str(label) for label in labels)
        folder = run.folder / "requests" / name
        if records.is_complete(folder):
            records.verify(folder)
            run.console.print(f"{name}: reused from {folder}")
        else:
            with run.timed(name):
                reply = _ask(run, name, known, generate, forget)
            with records.new_artefact(folder, identity(run.config)) as place:
                _write_answer(place, reply)
        found.append(_read_answer(folder, run.sizes))
    return found


def _ask(run: Run, name: str, known: Zoo, generate: Generator, forget: tuple[int, ...]) -> Answer:
    config = run.config.request
    candidates = prompts.candidates(known.losses, known.accuracies, forget, config)
    total = len(candidates) * config.samples_per_candidate + config.samples
    with track(run.console, name, total, "networks") as advance:

        def generate_and_count(draws: jax.Array, losses: jax.Array) -> Params:
            return generate(draws, losses, advance)

        validation = on_device(run.dataset.validation)
        key = keys.stream(run.config.seed, name)
        return request.answer(generate_and_count, candidates, forget, validation, key, config)


def _write_answer(place: Path, answer: Answer) -> None:
    arrays: dict[str, Any] = {
        name: np.asarray(value) for name, value in vars(answer).items() if name != "networks"
    }
    np.savez(place / "answer.npz", **arrays)
    np.save(place / "weights.npy", np.asarray(jax.vmap(flatten)(answer.networks)))


def _read_answer(folder: Path, sizes: tuple[int, ...]) -> Answer:
    weights = jnp.asarray(np.load(folder / "weights.npy", allow_pickle=False))  # [N, P]
    with np.load(folder / "answer.npz", allow_pickle=False) as arrays:
        others = {name: arrays[name] for name in arrays.files}
    others["chosen"] = int(others["chosen"])
    return Answer(networks=jax.vmap(partial(unflatten, sizes=sizes))(weights), **others)
