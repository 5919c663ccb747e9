"""From images to a hypernetwork. Each stage is a function of (config, inputs), leaves an artifact, and reuses a finished one."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.config import CodecConfig, Config
from hyperforget_jax.diffusion import (
    conditioning,
    dit,
    functional_loss,
    preprocessing,
    serialization,
    targets,
    trainer,
)
from hyperforget_jax.diffusion.hypernetwork import (
    Generator,
    Hypernetwork,
    Start,
    generator,
    generator_of_params,
)
from hyperforget_jax.diffusion.losses import Functional
from hyperforget_jax.diffusion.train_step import Task
from hyperforget_jax.diffusion.trainer import Watch
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity, zoo_identity, zoo_path
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo import build, coverage, loader, storage, train
from hyperforget_jax.zoo.storage import Zoo

ALIGNMENT_CURVE = "alignment_curve"
PROBED = 1024
"""Models of the zoo that tell how much a logit varies."""
Measure = Callable[[Generator], dict[str, float]]
"""Numbers about a hypernetwork that is still in training."""


def make_zoo(run: Run) -> Zoo:
    """Trains the zoo, or the blocks of it that are missing, and opens it."""
    folder = zoo_path(run.config)
    if storage.read_summary(folder) is not None:
        run.console.print(f"zoo: reused from {folder}")
    else:
        build_zoo(run, (0, 1))
    return storage.read(folder, zoo_identity(run.config))


def split_zoo(run: Run) -> tuple[Zoo, Zoo]:
    """The zoo, made if it is missing: what hypernetworks learn from, and runs held out."""
    return make_zoo(run).split(run.config.zoo.runs, run.config.zoo.validation_share)


def build_zoo(run: Run, shard: tuple[int, int]) -> bool:
    """Trains the missing blocks of one shard (i, n); returns whether the zoo is complete."""
    config = run.config.zoo
    recipe = build.Recipe(
        config,
        prng.stream(run.config.seed, "zoo"),
        *train.varying(on_device(run.dataset.train)),
        on_device(run.dataset.validation),
        run.sizes,
        run.dataset.positions(run.config.task.pivots),
        zoo_identity(run.config),
    )
    total = sum(len(recipe.drawn_runs(number)) for number in range(recipe.num_blocks)[shard[0] :: shard[1]])
    with run.timed("zoo", resumes=True), track(run.console, "zoo", total, "runs") as advance:
        return build.build(
            zoo_path(run.config), recipe, shard, advance, lambda line: run.console.print(f"zoo: {line}")
        )


def covered(run: Run, zoo: Zoo) -> dict[str, int]:
    """Checkpoints for every high/low combination of the forgettable classes."""
    labels = [run.dataset.classes[position] for position in run.forgettable]
    counts = coverage.counts(coverage.combination(zoo.accuracies, run.forgettable), len(labels))
    return {coverage.name(code, labels): int(count) for code, count in enumerate(counts)}


def fit_codec(run: Run, known: Zoo, config: CodecConfig) -> Codec:
    """The codec of a zoo's training part, fitted on checkpoints that are spaced evenly over it."""
    models = unflatten_many(np.asarray(known.spaced(codec.FITTED_ON).weights), run.sizes)
    return codec.fit(config, run.sizes, models, run.dataset.train.images)


def training_seed(config: Config) -> int:
    """The seed of the hypernetwork's training."""
    return config.seed if config.training.seed is None else config.training.seed


def train_hypernetwork(run: Run, known: Zoo, held_out: Zoo, measure: Measure | None = None) -> Hypernetwork:
    """Fits the codec and trains the transformer on the zoo's training part; the held-out runs watch.

    The processes of a cluster call it alike; process 0 writes the artifact and its costs.

    Args:
      run: its config says how.
      known: to learn from.
      held_out: other runs.
      measure: what to measure of the hypernetwork every `training.alignment_every` steps; None: nothing.
    """
    config, folder = run.config, run.folder / "hypernetwork"
    if run.reuses("hypernetwork", folder):
        return serialization.load(folder, config.hypernetwork, config.diffusion)
    writes = jax.process_index() == 0
    with run.timed("hypernetwork", resumes=True) if writes else contextlib.nullcontext():
        size, updates = config.training.batch_size, config.hypernetwork.kind == "dihyfo1"
        read = loader.pairs if updates else loader.batches
        seed = training_seed(config)
        asked = asked_of(run, known)
        training, watched = (
            read(part, run.forgettable, batch_size, seed, config.loader)
            for part, batch_size in ((asked, size), (asked_of(run, held_out), 4 * size))
        )
        coder = fit_codec(run, known, config.codec)
        condition = conditioning.fit(asked.losses, config.hypernetwork.loss_floor)
        if updates:
            bank = untrained(run, coder)
            ready = preprocessing.update(coder, condition, bank, config.training)
        else:
            ready = preprocessing.generation(coder, condition)
        columns = targets.width(config.hypernetwork, run.sizes[-1])
        transformer = dit.make(config.hypernetwork, config.diffusion, coder.layout, columns)
        hypernetwork = Hypernetwork(None, transformer, coder, condition, config.diffusion)
        functional = answering(run, known, coder) if config.diffusion.functional_weight else None
        task = Task(transformer, coder.layout, ready, config.diffusion, functional)
        workplace = run.folder / "training"
        with artifacts.writing_errors(workplace):
            workplace.mkdir(exist_ok=True)
        with track(run.console, "hypernetwork", config.training.steps, "steps") as advance:
            params = trainer.train(
                workplace,
                prng.stream(seed, "hypernetwork"),
                task,
                lambda step: loader.stream(training, step, config.loader),
                watched[0],
                config.training,
                advance,
                _watch(run, hypernetwork, measure),
            )
        hypernetwork = replace(hypernetwork, params=params)
        if writes:
            with artifacts.new_artifact(folder, identity(config)) as place:
                serialization.save(hypernetwork, place)
    return hypernetwork


def untrained(run: Run, coder: Codec) -> preprocessing.Untrained:
    """Random models and their class losses on validation, for DiHyFo-1 to learn to start from."""
    draws = jax.random.split(prng.stream(run.config.seed, "untrained"), run.config.training.untrained)
    models = jax.vmap(partial(classifier.init, sizes=run.sizes))(draws)
    return preprocessing.Untrained(jax.jit(jax.vmap(coder.encode))(models), observed(run, models))


def answering(run: Run, known: Zoo, coder: Codec) -> Functional:
    """How differently two models answer on training images, in units of what the zoo's models do."""
    models = unflatten_many(np.asarray(known.spaced(PROBED).weights), run.sizes)
    images = functional_loss.fit(models, run.dataset.train.images, run.dataset.train.labels)
    return partial(functional_loss.error, images, coder, run.config.diffusion.functional_images)


def asked_of(run: Run, zoo: Zoo) -> Zoo:
    """The zoo with what the hypernetwork is asked for in place of the class losses."""
    return replace(zoo, losses=targets.observe(run.config.hypernetwork, zoo.losses, zoo.accuracies))


def observed(run: Run, models: classifier.Params) -> jax.Array:
    """What the hypernetwork is asked for [N, M], of N stacked models on the validation images."""
    scores = classifier.class_scores_of_many(models, *on_device(run.dataset.validation))
    return targets.observe(run.config.hypernetwork, *scores)


def _watch(run: Run, hypernetwork: Hypernetwork, measure: Measure | None) -> Watch | None:
    if measure is None or run.config.training.alignment_every == 0:
        return None
    sample = generator_of_params(hypernetwork, run.config.sampling)
    return Watch(
        ALIGNMENT_CURVE,
        run.config.training.alignment_every,
        lambda params: measure(started(run, partial(sample, params))),
    )


def sampling(run: Run, hypernetwork: Hypernetwork) -> Generator:
    """The hypernetwork as a generator; DiHyFo-1 starts from random weights unless it is given others."""
    return started(run, generator(hypernetwork, run.config.sampling))


def random_start(run: Run, keys: jax.Array) -> Start:
    """The random models that DiHyFo-1 starts from with keys [N], if it is given no others."""
    inits = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)
    models = jax.vmap(partial(classifier.init, sizes=run.sizes))(inits)
    return Start(models, observed(run, models))


def started(run: Run, generate: Generator) -> Generator:
    """A generator that DiHyFo-1 starts from random weights unless it is given others; DiHyFo-2 as it is."""
    if run.config.hypernetwork.kind == "dihyfo2":
        return generate

    def begin(
        keys: jax.Array, losses: jax.Array, on_models: Callable[[int], None], start: Start | None = None
    ) -> classifier.Params:
        if start is None:
            start = random_start(run, keys)
        # the noise is not that of the initialisation
        return generate(jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys), losses, on_models, start)

    return begin
