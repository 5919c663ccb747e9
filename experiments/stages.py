"""From images to a hypernetwork. Each stage is a function of (config, inputs), leaves an artefact, and reuses a finished one."""

from functools import partial

import jax
import numpy as np

from experiments.run import Run, on_device
from hyperforget_jax import coverage, keys, records
from hyperforget_jax.config import CodecConfig
from hyperforget_jax.diffusion import conditioning, dit, store, trainer
from hyperforget_jax.diffusion.generator import Hypernetwork
from hyperforget_jax.progress import track
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import unflatten
from hyperforget_jax.workdir import identity, zoo_identity, zoo_place
from hyperforget_jax.zoo import build, loader, train
from hyperforget_jax.zoo import store as zoo_store
from hyperforget_jax.zoo.store import Zoo


def make_zoo(run: Run) -> Zoo:
    """Trains the zoo, or the blocks of it that are missing, and opens it."""
    folder = zoo_place(run.config)
    if zoo_store.read_summary(folder) is not None:
        run.console.print(f"zoo: reused from {folder}")
    else:
        build_zoo(run, (0, 1))
    return zoo_store.read(folder, zoo_identity(run.config))


def build_zoo(run: Run, shard: tuple[int, int]) -> bool:
    """Trains the missing blocks of one shard (i, n); returns whether the zoo is complete."""
    config = run.config.zoo
    recipe = build.Recipe(
        config,
        keys.stream(run.config.seed, "zoo"),
        *train.varying(on_device(run.dataset.train)),
        on_device(run.dataset.validation),
        run.sizes,
        run.dataset.positions(run.config.task.pivots),
        zoo_identity(run.config),
    )
    total = sum(len(recipe.drawn_runs(number)) for number in range(recipe.num_blocks)[shard[0] :: shard[1]])
    with run.timed("zoo", resumes=True), track(run.console, "zoo", total, "runs") as advance:
        return build.build(
            zoo_place(run.config), recipe, shard, advance, lambda line: run.console.print(f"zoo: {line}")
        )


def covered(run: Run, zoo: Zoo) -> dict[str, int]:
    """Checkpoints for every high/low combination of the forgettable classes."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    counts = coverage.counts(coverage.combination(zoo.accuracies, run.forgettable), len(labels))
    return {coverage.name(code, labels): int(count) for code, count in enumerate(counts)}


def fit_codec(run: Run, known: Zoo, config: CodecConfig) -> Codec:
    """The codec of a zoo's training part, fitted on checkpoints that are spaced evenly over it."""
    count = min(len(known), codec.FITTED_ON)
    weights = known.weights.read(np.arange(count) * len(known) // count)
    networks = jax.jit(jax.vmap(partial(unflatten, sizes=run.sizes)))(weights)
    return codec.fit(config, run.sizes, networks, run.dataset.train.images)


def train_hypernetwork(run: Run, known: Zoo, held_out: Zoo) -> Hypernetwork:
    """Fits the codec and trains the transformer on the zoo's training part; the held-out runs watch."""
    config, folder = run.config, run.folder / "hypernetwork"
    if run.reuses("hypernetwork", folder):
        return store.load(folder, config.hypernetwork, config.diffusion)
    with run.timed("hypernetwork", resumes=True):
        size = config.training.batch_size
        training, watched = (
            loader.batches(part, run.forgettable, batch_size, config.seed, config.loader)
            for part, batch_size in ((known, size), (held_out, 4 * size))
        )
        coder = fit_codec(run, known, config.codec)
        condition = conditioning.fit(known.losses, config.hypernetwork.loss_floor)

        def encode(weights: jax.Array, losses: jax.Array) -> tuple[jax.Array, jax.Array]:
            networks = jax.vmap(partial(unflatten, sizes=run.sizes))(weights)
            return jax.vmap(coder.encode)(networks), conditioning.standardise(condition, losses)

        transformer = dit.make(config.hypernetwork, coder.layout, run.sizes[-1])
        workplace = run.folder / "training"
        with records.writing_errors(workplace):
            workplace.mkdir(exist_ok=True)
        with track(run.console, "hypernetwork", config.training.steps, "steps") as advance:
            params = trainer.train(
                workplace,
                keys.stream(config.seed, "hypernetwork"),
                transformer,
                coder.layout,
                encode,
                coder.augment,
                lambda step: loader.stream(training, step, config.loader),
                watched[0],
                config.training,
                config.diffusion,
                advance,
            )
        hypernetwork = Hypernetwork(params, transformer, coder, condition, config.diffusion)
        with records.new_artefact(folder, identity(config)) as place:
            store.save(hypernetwork, place)
    return hypernetwork
