"""The stages from images to answers. Each is a function of (config, inputs), leaves an artefact, and reuses a finished one."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from hyperforget_jax import keys, records
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import Config
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.diffusion import conditioning, dit, store, trainer
from hyperforget_jax.diffusion.generator import Hypernetwork, generator
from hyperforget_jax.progress import track
from hyperforget_jax.unlearn import prompts, request
from hyperforget_jax.unlearn.request import Answer
from hyperforget_jax.unlearn.retrain import retrain
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.layout import flatten, unflatten
from hyperforget_jax.workdir import identity
from hyperforget_jax.zoo import build
from hyperforget_jax.zoo import store as zoo_store
from hyperforget_jax.zoo.store import Zoo
from hyperforget_jax.zoo.train import Images


@dataclass(frozen=True)
class Run:
    """What every stage needs: the resolved config, its images, where to write and where to report."""

    config: Config
    dataset: Dataset
    folder: Path
    console: Console

    @property
    def dataset_name(self) -> str:
        """As people call it: mnist, mnist4 (classes 0 to 3), mnist-357."""
        name, classes = self.config.data.name, self.config.data.classes
        if len(classes) == 10:
            return name
        return (
            f"{name}{len(classes)}"
            if classes == tuple(range(len(classes)))
            else f"{name}-" + "".join(map(str, classes))
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer of the classifier."""
        return (self.dataset.input_size, *self.config.classifier.hidden, self.dataset.num_classes)

    @property
    def forget_sets(self) -> list[tuple[int, ...]]:
        """Output positions of every forget set."""
        return [self.dataset.positions(forget) for forget in self.config.task.forget_sets]

    @property
    def forgettable(self) -> tuple[int, ...]:
        """Output positions of the classes that are no pivots."""
        pivots = self.dataset.positions(self.config.task.pivots)
        return tuple(place for place in range(self.dataset.num_classes) if place not in pivots)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the stage's wall time to `costs.jsonl`."""
        begun = time.monotonic()
        yield
        records.append_row(self.folder / "costs.jsonl", {"stage": stage, "seconds": time.monotonic() - begun})


def on_device(split: Split) -> Images:
    """A split as jax arrays."""
    return Images(jnp.asarray(split.images), jnp.asarray(split.labels))


def make_zoo(run: Run) -> Zoo:
    """Trains the zoo, or the blocks of it that are missing."""
    config, folder = run.config.zoo, run.folder / "zoo"
    blocks = build.num_blocks(config)
    if all(zoo_store.is_stored(folder, block) for block in range(blocks)):
        run.console.print(f"zoo: reused from {folder}")
    else:
        data = on_device(run.dataset.train), on_device(run.dataset.validation)
        with run.timed("zoo"), track(run.console, "zoo", config.runs, "runs") as advance:
            build.build(
                folder,
                config,
                keys.stream(run.config.seed, "zoo"),
                data,
                run.sizes,
                run.dataset.positions(run.config.task.pivots),
                identity(run.config),
                advance,
            )
    zoo = zoo_store.read(folder, blocks)
    counts = coverage(run, zoo)
    run.console.print(
        f"zoo: {len(zoo)} checkpoints of {config.runs} runs; "
        + ", ".join(f"{k}: {v}" for k, v in counts.items())
    )
    return zoo


def coverage(run: Run, zoo: Zoo) -> dict[str, int]:
    """Checkpoints for every high/low combination of the forgettable classes."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    counts = np.bincount(prompts.combination(zoo.accuracies, run.forgettable), minlength=2 ** len(labels))
    names = (
        ", ".join(f"{label} {'high' if code >> bit & 1 else 'low'}" for bit, label in enumerate(labels))
        for code in range(len(counts))
    )
    return dict(zip(names, counts.tolist(), strict=True))


def train_hypernetwork(run: Run, zoo: Zoo) -> Hypernetwork:
    """Fits the codec and trains the transformer on the zoo's training runs."""
    config, folder = run.config, run.folder / "hypernetwork"
    if records.is_complete(folder):
        records.verify(folder)
        run.console.print(f"hypernetwork: reused from {folder}")
        return store.load(folder, config.hypernetwork, config.diffusion)
    with run.timed("hypernetwork"), records.writing_errors(folder):
        parts = zoo.split(config.zoo.runs, config.zoo.validation_share)
        from_vectors = jax.jit(jax.vmap(partial(unflatten, sizes=run.sizes)))
        coder = codec.fit(config.codec, run.sizes, from_vectors(parts[0].weights), run.dataset.train.images)
        condition = conditioning.fit(parts[0].losses, config.hypernetwork.loss_floor)
        encode = jax.jit(jax.vmap(lambda vector: coder.encode(unflatten(vector, run.sizes))))
        training, validation = (
            trainer.examples(
                np.asarray(encode(part.weights)),
                conditioning.standardise(condition, jnp.asarray(part.losses)),
                prompts.balanced(prompts.combination(part.accuracies, run.forgettable)),
            )
            for part in parts
        )
        transformer = dit.make(config.hypernetwork, coder.layout, run.sizes[-1])
        workplace = run.folder / "training"
        workplace.mkdir(exist_ok=True)
        with track(run.console, "hypernetwork", config.training.steps, "steps") as advance:
            params = trainer.train(
                workplace,
                keys.stream(config.seed, "hypernetwork"),
                transformer,
                coder.layout,
                coder.augment,
                training,
                validation,
                config.training,
                config.diffusion,
                advance,
            )
        hypernetwork = Hypernetwork(params, transformer, coder, condition, config.diffusion)
        with records.new_artefact(folder, identity(config)) as place:
            store.save(hypernetwork, place)
    return hypernetwork


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
