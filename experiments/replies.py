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
from hyperforget_jax.diffusion.generator import Hypernetwork, generator
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


def answers(run: Run, zoo: Zoo, hypernetwork: Hypernetwork) -> list[Answer]:
    """Prompts, samples and selection for every request."""
    config = run.config
    known, _ = zoo.split(config.zoo.runs, config.zoo.validation_share)
    validation = on_device(run.dataset.validation)
    found = []
    for labels, forget in zip(config.task.forget_sets, run.forget_sets, strict=True):
        name = "forget-" + "-".join(str(label) for label in labels)
        folder = run.folder / "requests" / name
        if records.is_complete(folder):
            records.verify(folder)
            run.console.print(f"{name}: reused from {folder}")
        else:
            candidates = prompts.candidates(known.losses, known.accuracies, forget, config.request)
            total = len(candidates) * config.request.samples_per_candidate + config.request.samples
            with run.timed(name), track(run.console, name, total, "networks") as advance:
                reply = request.answer(
                    generator(hypernetwork, config.sampling, advance),
                    candidates,
                    forget,
                    validation,
                    keys.stream(config.seed, name),
                    config.request,
                )
            with records.new_artefact(folder, identity(config)) as place:
                _write_answer(place, reply)
        found.append(_read_answer(folder, run.sizes))
    return found


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
