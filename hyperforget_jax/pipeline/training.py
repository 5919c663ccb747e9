"""From a zoo to a hypernetwork: the codec, the training, and the folder that answers requests by itself."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import CodecConfig, Config
from hyperforget_jax.diffusion import conditioning, dit, functional_loss, preprocessing, targets, trainer
from hyperforget_jax.diffusion.conditioning import Conditioning
from hyperforget_jax.diffusion.hypernetwork import Generator, Hypernetwork, Start, generator, generator_of_params
from hyperforget_jax.diffusion.losses import Functional
from hyperforget_jax.diffusion.train_step import Task
from hyperforget_jax.diffusion.trainer import Watch
from hyperforget_jax.pipeline import pretrained, prompt_book
from hyperforget_jax.pipeline.pretrained import DataInfo, Pretrained
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device, validate_hypernetwork
from hyperforget_jax.pipeline.student import train_student
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.finite import validate_finite
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import halving, starting_models
from hyperforget_jax.weights import codec, tail
from hyperforget_jax.weights.codec import Codec
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo import coverage, loader, statistics
from hyperforget_jax.zoo.exposure import clean_codes
from hyperforget_jax.zoo.storage import Zoo

ALIGNMENT_CURVE = "alignment_curve"
PROBED = 1024
"""Models of the zoo that tell how much a logit varies."""
LATE = 0.8
"""Share of a run from which its models tell what the codec drops."""
TAIL_FITTED_ON = 4096
"""Most models of a set of seen classes for that."""
Measure = Callable[[Generator], dict[str, float]]
"""Numbers about a hypernetwork that is still in training."""


def fit_codec(run: Run, train_zoo: Zoo, config: CodecConfig) -> Codec:
    """The codec of a zoo's training part, fitted on checkpoints that are spaced evenly over it."""
    models = _models_of(run, train_zoo.spaced(codec.FITTED_ON))
    made = codec.fit(config, run.sizes, models, run.learned_images.images, run.learned_images.labels)
    if not isinstance(made, codec.Functional) or made.seen is None:
        return made
    lit = np.append(made.seen.any(0), True)  # [D + 1], the bias too
    return replace(made, tail=tail.fit(made.first, lit, late_clean_models(run, train_zoo)))


def late_clean_models(run: Run, train_zoo: Zoo) -> list[tail.Group]:
    """Models near the end of clean runs, by what these have seen; of a zoo without any, models of all runs, as if they had seen all."""
    codes = clean_codes(train_zoo.exposures, train_zoo.progress, run.forgettable)  # [n]
    codes = np.where(train_zoo.progress >= LATE, codes, -1)
    groups = list[tail.Group]()
    for code in np.unique(codes[codes >= 0]):
        part = train_zoo.take(np.flatnonzero(codes == code)).spaced(TAIL_FITTED_ON)
        groups.append(
            (~np.isin(np.arange(run.sizes[-1]), coverage.members(code, run.forgettable)), _models_of(run, part))
        )
    return groups or [(np.ones(run.sizes[-1], bool), _models_of(run, train_zoo.spaced(TAIL_FITTED_ON)))]


def _models_of(run: Run, zoo: Zoo) -> Params:
    return unflatten_many(np.asarray(zoo.weights), run.sizes)


def training_seed(config: Config) -> int:
    """The seed of the hypernetwork's training."""
    return config.seed if config.training.seed is None else config.training.seed


def train_hypernetwork(run: Run, train_zoo: Zoo, val_zoo: Zoo, measure: Measure | None = None) -> Pretrained:
    """Fits the codec and trains the transformer on the zoo's training part, the held-out runs watch; then judges the prompts.

    The processes of a cluster call it alike; process 0 makes the prompt book and writes the artifact and its costs.

    Args:
      run: its config says how.
      train_zoo: to learn from.
      val_zoo: other runs.
      measure: what to measure of the hypernetwork every `training.alignment_every` steps; None: nothing.
    """
    config, folder = run.config, run.folder / HYPERNETWORK
    if artifacts.is_complete(folder):
        validate_hypernetwork(run)
        run.reuses("hypernetwork", folder)
        return pretrained.load(folder)
    writes = jax.process_index() == 0
    with run.timed("hypernetwork", resumes=True) if writes else contextlib.nullcontext():
        size, updates = config.training.batch_size, config.hypernetwork.kind == "dihyfo1"
        read = loader.pairs if updates else loader.batches
        seed = training_seed(config)
        targeted = with_targets(run, train_zoo)
        training, watched = (
            read(part, run.forgettable, batch_size, seed, config.loader)
            for part, batch_size in ((targeted, size), (with_targets(run, val_zoo), 4 * size))
        )
        coder = fit_codec(run, train_zoo, config.codec)
        condition = fit_condition(run, targeted)
        if updates:
            bank = random_models(run, coder)
            ready = preprocessing.update(coder, condition, bank, config.training)
        else:
            ready = preprocessing.generation(coder, condition)
        kinds = targets.kinds(config.hypernetwork, run.sizes[-1])
        transformer = dit.make(config.hypernetwork, config.diffusion, coder.layout, sum(kinds), kinds[0])
        hypernetwork = Hypernetwork(None, transformer, coder, condition, config.diffusion)
        functional = functional_error(run, train_zoo, coder) if config.diffusion.functional_weight else None
        task = Task(transformer, coder.layout, ready, config.diffusion, kinds, functional)
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
                identity(config),
            )
        hypernetwork = replace(hypernetwork, params=params)
        if config.distillation.steps:
            hypernetwork = replace(hypernetwork, student=train_student(run, targeted, hypernetwork, seed))
    data = run.dataset
    info = DataInfo(data.name, data.classes, data.class_names, data.input_shape)
    model = Pretrained(hypernetwork, config, info, run.sizes, statistics.of_zoo(train_zoo), {})
    if writes:
        generators = judging_generators(run, hypernetwork, generator_of(run, hypernetwork))
        model = replace(model, book=prompt_book.make(run, model.statistics, generators))
        parameters = hypernetwork.params, hypernetwork.student and hypernetwork.student.params
        validate_finite("the hypernetwork's parameters", parameters, "lower training.learning_rate")
        with artifacts.new_artifact(folder, identity(config)) as partial_folder:
            pretrained.save(partial_folder, model)
    return model


def fit_condition(run: Run, targeted: Zoo) -> Conditioning:
    """How conditions are standardised: over the zoo's training part, its losses being what is asked for."""
    kinds = targets.kinds(run.config.hypernetwork, run.sizes[-1])
    exposures = targeted.exposures.copy()  # [n, K]
    exposures[:, list(run.dataset.positions(run.config.task.purged))] = np.nan
    values = np.concatenate([targeted.losses, exposures, targeted.progress[:, None]], axis=1)  # [n, M + K + 1]
    floors = run.config.hypernetwork.loss_floor, conditioning.EXPOSURE_FLOOR, conditioning.AGE_FLOOR
    return conditioning.fit(values[:, : sum(kinds)], np.repeat(floors[: len(kinds)], kinds))


def random_models(run: Run, coder: Codec) -> preprocessing.Untrained:
    """Random models and their class losses on validation, for DiHyFo-1 to learn to start from."""
    draws = jax.random.split(prng.stream(run.config.seed, "untrained"), run.config.training.untrained)
    models = jax.vmap(partial(classifier.init, sizes=run.sizes))(draws)
    metric = starting_models.metric_of(run.config.hypernetwork, models, on_device(run.dataset.validation))
    return preprocessing.Untrained(jax.jit(jax.vmap(coder.encode))(models), metric)


def functional_error(run: Run, train_zoo: Zoo, coder: Codec) -> Functional:
    """How differently two models answer on training images, in units of what the zoo's models do."""
    models = _models_of(run, train_zoo.spaced(PROBED))
    images = functional_loss.fit(models, run.learned_images.images, run.learned_images.labels)
    return partial(functional_loss.error, images, coder, run.config.diffusion.functional_images)


def with_targets(run: Run, zoo: Zoo) -> Zoo:
    """The zoo with what the hypernetwork is asked for in place of the class losses."""
    return replace(zoo, losses=targets.observe(run.config.hypernetwork, zoo.losses, zoo.accuracies))


def _watch(run: Run, hypernetwork: Hypernetwork, measure: Measure | None) -> Watch | None:
    if measure is None or run.config.training.alignment_every == 0:
        return None
    sample = generator_of_params(hypernetwork, run.config.sampling)
    return Watch(
        ALIGNMENT_CURVE,
        run.config.training.alignment_every,
        lambda params: measure(_with_random_start(run, partial(sample, params))),
    )


def generator_of(run: Run, hypernetwork: Hypernetwork) -> Generator:
    """The hypernetwork as a generator; DiHyFo-1 starts from random weights unless it is given others."""
    return _with_random_start(run, generator(hypernetwork, run.config.sampling))


def judging_generators(run: Run, hypernetwork: Hypernetwork, generate: Generator) -> list[Generator]:
    """The generator of every round that judges prompts: few sampling steps in all but the last, which has the run's own."""
    request, sampling = run.config.request, run.config.sampling
    few = halving.few_steps(sampling, request)
    quick = (
        generate if few == sampling or hypernetwork.student else _with_random_start(run, generator(hypernetwork, few))
    )
    return [*[quick] * (len(request.trial_samples) - 1), generate]


def random_start(run: Run, keys: jax.Array) -> Start:
    """The random models that DiHyFo-1 starts from with keys [N], if it is given no others."""
    return starting_models.random_start(keys, run.sizes, run.config.hypernetwork, on_device(run.dataset.validation))


def _with_random_start(run: Run, generate: Generator) -> Generator:
    validation = on_device(run.dataset.validation)
    return starting_models.with_random_start(generate, run.sizes, run.config.hypernetwork, validation)
