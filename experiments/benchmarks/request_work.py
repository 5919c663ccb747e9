"""The contenders of `experiments.benchmarks.request`: an answer, stored clean models, a PyTorch retraining."""

import time
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.timing import Work
from experiments.benchmarks.zoo_block import block_of
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ForgetSet
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, prompt_book, training
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.pipeline.workdir import zoo_identity, zoo_path
from hyperforget_jax.runtime import machine, prng
from hyperforget_jax.unlearn import prompts, requests
from hyperforget_jax.unlearn.prompt_book import Floats, Page
from hyperforget_jax.unlearn.requests import UnlearningRequest, UnlearningResult
from hyperforget_jax.unlearn.selection import select
from hyperforget_jax.weights.layout import unflatten_many
from hyperforget_jax.zoo import hyperparameters, storage, train
from hyperforget_jax.zoo.exposure import is_clean, is_last
from hyperforget_jax.zoo.train import Images

SHARE = 50
"""Of a PyTorch retraining, one part in so many is timed."""
SELECTED = 5
"""Models that a request selects, if it has as many."""


@dataclass(frozen=True)
class Asked:
    """A hypernetwork in a warm process, ready to be asked for one forget set.

    Attributes:
      run: a finished one.
      labels: to forget.
      forget: their output positions.
      generate: the hypernetwork.
      page: the set's prompts; None where each model draws its own.
      drawn_from: [C, c], those prompts.
      training: all training images.
      validation: those that select.
    """

    run: Run
    labels: ForgetSet
    forget: tuple[int, ...]
    generate: Generator
    page: Page | None
    drawn_from: Floats
    training: Images
    validation: Images

    def one(self) -> Params:
        """One model by one prompt, without selection."""
        prompt = self.drawn_from[:1] if self.page is None else self.page.prompts[self.page.chosen][None]
        return self.generate(jax.random.key(0)[None], jnp.asarray(prompt), lambda made: None)

    def answer(self, count: int) -> UnlearningResult:
        """A request of so many models, with selection."""
        config = replace(self.run.config.request, samples=count, num_selected=min(count, SELECTED))
        request = UnlearningRequest(self.labels, self.run.dataset.classes)
        about = request, self.validation, prng.stream(self.run.config.seed, requests.name_of(self.labels)), config

        def generate(keys: jax.Array, asked: jax.Array) -> Params:
            return self.generate(keys, asked, lambda made: None)

        if self.page is None:
            return requests.answer_drawn(generate, self.drawn_from, *about)
        return requests.answer(generate, self.page, *about)


def asked(run: Run, labels: ForgetSet) -> Asked:
    """Loads what a request needs and finds its prompts."""
    whole = requests.requested(labels, run.config.task, run.dataset.classes)
    model = pretrained.load(run.folder / HYPERNETWORK)
    generate = training.generator_of(run, model.hypernetwork)
    positions, config = run.dataset.positions(whole), run.config
    drawn_from = prompts.of_request(model.statistics, positions, config.request, config.hypernetwork.exposure)
    page = None
    if config.request.prompts == "best":
        page = prompt_book.page(run, whole, model, training.judging_generators(run, model.hypernetwork, generate))
    images = on_device(run.dataset.train), on_device(run.dataset.validation)
    return Asked(run, whole, positions, generate, page, drawn_from, *images)


def retrieval(asking: Asked, count: int) -> Work | None:
    """Work that reads the last checkpoints of clean runs and selects among them; None where the zoo is gone or has too few."""
    config = asking.run.config
    try:
        zoo = storage.read(zoo_path(config), zoo_identity(config))
    except HyperForgetError:
        return None
    rows = np.flatnonzero(is_clean(zoo.exposures, zoo.progress, asking.forget) & is_last(zoo.progress))[:count]
    if len(rows) < count:
        return None
    request = replace(config.request, num_selected=SELECTED)

    def work() -> object:
        models = unflatten_many(jnp.asarray(np.asarray(zoo.weights.read(rows), np.float32)), asking.run.sizes)
        return select(models, list(asking.forget), asking.validation, request)

    return work


def torch_retraining(asking: Asked) -> float | None:
    """Seconds of one retraining in PyTorch by the reference recipe, the best of its numbers of threads; None where it is not installed."""
    try:
        from experiments.benchmarks import torch_zoo
    except ModuleNotFoundError:
        return None
    config, run = asking.run.config.reference, asking.run
    steps = train.plan_steps(len(asking.training.labels), config.batch_size, config.epochs, 1)
    plan = hyperparameters.never_see(asking.forget, config.learning_rate, run.sizes[-1])
    block = replace(
        block_of(run).first(1),
        plans=jax.tree.map(lambda leaf: leaf[None], plan),
        batch_size=config.batch_size,
        steps_per_snapshot=-(-steps // SHARE),
    ).unscored()
    seconds = []
    for work in torch_zoo.loops(block, 1, {1, machine.cores()}).values():
        since = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - since)
    return min(seconds) * steps / block.steps_per_snapshot
