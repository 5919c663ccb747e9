"""From a trained hypernetwork to its student: lessons, images to be judged on, training."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params as Models
from hyperforget_jax.diffusion import distillation, preprocessing, samplers, targets
from hyperforget_jax.diffusion.conditioning import Dropout
from hyperforget_jax.diffusion.distillation import Distillation, Images, Lesson
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Start, Student
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.lessons import train
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.workdir import identity
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import prompts, starting_models
from hyperforget_jax.unlearn.requests import Floats
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo import coverage, loader
from hyperforget_jax.zoo.loader import CheckpointBatch, Pairs
from hyperforget_jax.zoo.storage import Zoo

FITTED_ON = 1024
"""Models of the zoo that tell how losses on two sets of images go together."""
MOST_SETS = 256
"""Forget sets whose prompts take part in the lessons, at most."""


def train_student(run: Run, train_zoo: Zoo, teacher: Hypernetwork, seed: int) -> Student:
    """Trains the hypernetwork's transformer on until few steps are enough; it goes on where it was stopped.

    Args:
      run: its config says how.
      train_zoo: the zoo's training part, which conditions are drawn from.
      teacher: the trained hypernetwork.
      seed: of the training.
    """
    config, workplace = run.config, run.folder / "training" / "student"
    lessons = make_lessons(run, train_zoo, teacher, seed)
    sampling = samplers.few_steps(config.distillation.sampling_steps, config.sampling)
    objective = Distillation(teacher, sampling, judged_on(run, train_zoo, teacher), config.distillation)
    params = train(
        run,
        "student",
        workplace,
        objective,
        lessons,
        seed,
        identity(config) | {"of": "student"},
        steps=config.distillation.steps,
        batch_size=config.distillation.batch_size,
        learning_rate=config.distillation.learning_rate,
    )
    return Student(params, config.distillation.sampling_steps)


def make_lessons(run: Run, train_zoo: Zoo, teacher: Hypernetwork, seed: int) -> Lesson:
    """What the hypernetwork makes of noise: half of it under conditions as in its training, half under prompts of requests."""
    config = run.config
    rates, kinds = config.diffusion, targets.kinds(config.hypernetwork, run.sizes[-1])
    dropout = Dropout(rates.class_dropout, rates.kind_dropout, rates.full_dropout, kinds)
    sampling = replace(config.sampling, sampler="dpm", steps=config.distillation.lesson_steps)
    program = jax.jit(partial(distillation.lesson, teacher, sampling, dropout))
    size = config.sampling.batch_size
    asked = _of_requests(run, train_zoo, teacher, seed, size - size // 2)
    seen = _of_training(run, train_zoo, teacher, seed, size // 2)
    key, parts = prng.stream(seed, "lessons"), list[Lesson]()
    whole = jnp.arange(size) >= size // 2  # [B]
    count = -(-config.distillation.lessons // size)
    with track(run.console, "lessons", count * size, "models") as advance:
        for index, halves in zip(range(count), zip(seen, asked, strict=True), strict=False):
            (values, start), (requests, other) = halves
            both = jax.tree.map(lambda *pair: jnp.concatenate(pair), start, other)
            together = jnp.concatenate([values, requests])  # [B, C]
            lesson = program(jax.random.fold_in(key, index), together, both, whole)
            parts.append(jax.tree.map(np.asarray, lesson))
            advance(size)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def judged_on(run: Run, train_zoo: Zoo, teacher: Hypernetwork) -> Images:
    """The images that the student is judged on, beside validation."""
    zoo, split = train_zoo.spaced(FITTED_ON), on_device(run.dataset.distillation)
    models: Models = unflatten_many(jnp.asarray(np.asarray(zoo.weights)), run.sizes)
    return distillation.calibrate(teacher.condition, models, zoo.losses.astype(np.float64), *split)


def _of_training(run: Run, zoo: Zoo, teacher: Hypernetwork, seed: int, size: int) -> Iterator[tuple[Any, Start | None]]:
    """Conditions [size, C] of checkpoints, and for DiHyFo-1 an earlier checkpoint of each one's run."""
    updates = run.config.hypernetwork.kind == "dihyfo1"
    source = (loader.pairs if updates else loader.batches)(zoo, run.forgettable, size, seed, run.config.loader)
    for step in range(loader.MOST_STEPS):
        batch: CheckpointBatch | Pairs = source[step]
        target = batch.target if isinstance(batch, Pairs) else batch
        values = jnp.asarray(preprocessing.condition_values(target, teacher.condition))
        if isinstance(batch, Pairs):
            models = unflatten_many(jnp.asarray(batch.current.weights), run.sizes)
            yield values, Start(models, jnp.asarray(batch.current.losses))
        else:
            yield values, None


def _of_requests(run: Run, zoo: Zoo, teacher: Hypernetwork, seed: int, size: int) -> Iterator[tuple[Any, Start | None]]:
    """Prompts [size, C] of requests, every forget set equally often, and for DiHyFo-1 random models."""
    of_sets = _prompts_of_sets(run, zoo, seed)
    lacking = teacher.condition.mean.size
    random = np.random.Generator(np.random.Philox(key=np.array([seed, loader.MOST_STEPS], np.uint64)))
    key = prng.stream(seed, "lessons of requests")
    for step in range(loader.MOST_STEPS):
        rows = [of_sets[number] for number in random.integers(len(of_sets), size=size)]
        chosen = np.stack([each[random.integers(len(each))] for each in rows])  # [size, c]
        values = np.pad(chosen, ((0, 0), (0, lacking - chosen.shape[1])), constant_values=np.nan)
        start = None
        if run.config.hypernetwork.kind == "dihyfo1":
            keys = jax.random.split(jax.random.fold_in(key, step), size)
            start = starting_models.random_start(
                keys, run.sizes, run.config.hypernetwork, on_device(run.dataset.validation)
            )
        yield jnp.asarray(values, jnp.float32), start


def _prompts_of_sets(run: Run, zoo: Zoo, seed: int) -> list[Floats]:
    """Prompts of both modes, of each forget set that the task allows and the zoo can serve."""
    codes = np.arange(1, 2 ** len(run.forgettable) - (len(run.forgettable) == run.sizes[-1]))
    if len(codes) > MOST_SETS:
        codes = np.random.Generator(np.random.PCG64(seed)).choice(codes, MOST_SETS, replace=False)
    config, found = run.config, list[Floats]()
    for forget in (coverage.members(int(code), run.forgettable) for code in codes):
        for mode in dict.fromkeys((config.request.prompts, "best")):
            try:
                request = replace(config.request, prompts=mode)
                found.append(prompts.of_request(zoo, forget, request, config.hypernetwork.exposure))
            except HyperForgetError:
                continue
    return found
