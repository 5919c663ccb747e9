"""Who takes part in a comparison on a finished run: every baseline with searched settings, every mode of the hypernetwork, and a control.

A contender answers each forget set of the run with stacked models, and says what a model costs. Baselines start from models that the zoo's
recipe trained on everything, so that they differ from the clean reference by what they have seen and by nothing else.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp

from hyperforget_jax.baselines import method as baseline
from hyperforget_jax.baselines import registry
from hyperforget_jax.baselines.search import search
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ComparisonConfig
from hyperforget_jax.pipeline import pretrained, training, unlearning
from hyperforget_jax.pipeline.reference import new_clean_runs
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, on_device
from hyperforget_jax.runtime import flops, prng
from hyperforget_jax.unlearn import prompts

CONTROL = "clean_runs"
"""The name of further clean runs, drawn as the reference is: what a method reaches that is retraining."""
Settings = Mapping[str, float]
"""Setting of a baseline, by name, to its value."""
TIMED = 64
"""Models of a hypernetwork in one timed call."""


@dataclass(frozen=True)
class Answer:
    """Models of one contender for one forget set.

    Attributes:
      models: N stacked models.
      seconds: of one model; the first answer of a baseline includes compilation.
      flops: counts those of one model, in matrix products, when it is called: that traces a program; None: not counted.
      settings: those that a search chose.
    """

    models: Params
    seconds: float
    flops: Callable[[], int] | None
    settings: Settings


@dataclass(frozen=True)
class Contender:
    """One who takes part.

    Attributes:
      name: in results.
      exact: whether its models never saw the forget set.
      answer: (output positions, settings or None to search them, how many models) -> its answer. Of a hypernetwork all samples of the
        run's own requests count.
    """

    name: str
    exact: bool
    answer: Callable[[tuple[int, ...], Settings | None, int], Answer]


def contenders(run: Run, config: ComparisonConfig) -> Iterator[Contender]:
    """The control, every baseline of the registry, and every mode of the run's hypernetwork."""
    field = Field(run, config)
    yield Contender(CONTROL, True, field.control)
    for name, kind in registry.METHODS.items():
        yield Contender(name, kind.exact, partial(field.baseline, kind()))
    for mode in run.modes:
        yield Contender(mode.method, False, partial(field.generated, mode))


@dataclass(frozen=True)
class Field:
    """What contenders share: the models that baselines start from, made when they are first needed.

    Attributes:
      run: a finished one.
      config: how many models, and how settings are searched.
    """

    run: Run
    config: ComparisonConfig

    @cached_property
    def originals(self) -> Params:
        """Models that the zoo's recipe trained on everything."""
        return self._clean((), "originals", self.config.models)

    def control(self, forget: tuple[int, ...], _: Settings | None, count: int) -> Answer:
        """Clean runs that neither the hypernetwork nor the reference knows."""
        self._clean(forget, "warm", count)
        began = time.monotonic()
        models = jax.block_until_ready(self._clean(forget, "control", count))
        return Answer(models, (time.monotonic() - began) / count, None, {})

    def baseline(
        self, method: baseline.Method, forget: tuple[int, ...], settings: Settings | None, count: int
    ) -> Answer:
        """Originals, unlearned by one method."""
        config = self.config
        draws = prng.stream(self.run.config.seed, "compare/draws")
        asked = baseline.problem(draws, *on_device(self.run.dataset.train), forget, self.run.sizes[-1])
        starts, some = (jax.tree.map(lambda leaf, n=n: leaf[:n], self.originals) for n in (count, config.search_models))
        changed: Any = method
        if settings is not None:
            changed = replace(changed, **settings)
        elif method.ranges:
            validation, seed = on_device(self.run.dataset.validation), self.run.config.seed
            own = self._keys(config.search_models)
            changed, _ = search(method, some, asked, own, validation, config.candidates, seed)
        began = time.monotonic()
        models = jax.block_until_ready(baseline.answer(changed, starts, asked, self._keys(count)))
        seconds = (time.monotonic() - began) / count
        first = jax.tree.map(lambda leaf: leaf[0], starts)
        chosen = {each.name: float(getattr(changed, each.name)) for each in method.ranges}

        def counted() -> int:
            return flops.of_products(changed.unlearn, first, asked, self._keys(1)[0])

        return Answer(models, seconds, counted, chosen)

    def generated(self, mode: Run, forget: tuple[int, ...], _: Settings | None, count: int) -> Answer:
        """All samples of one request, of the hypernetwork in one mode; the cost is that of sampling."""
        labels = tuple(self.run.dataset.classes[position] for position in forget)
        samples = None if labels in self.run.config.task.forget_sets else count
        models = unlearning.unlearn(self.run, labels, samples, prompts=mode.config.request.prompts).result.models
        generate, statistics = self._generator
        asked = prompts.of_request(statistics, forget, mode.config.request, mode.config.hypernetwork.exposure)
        rows = jnp.asarray(asked)[jnp.arange(TIMED) % len(asked)]  # [64, c]

        def sample(rows: jax.Array) -> Params:
            keys = jax.random.split(prng.stream(self.run.config.seed, "compare/timed"), TIMED)
            return generate(keys, rows, lambda made: None)

        jax.block_until_ready(sample(rows))
        began = time.monotonic()
        jax.block_until_ready(sample(rows))
        seconds = (time.monotonic() - began) / TIMED
        return Answer(models, seconds, lambda: flops.of_products(sample, rows) // TIMED, {})

    @cached_property
    def _generator(self) -> tuple[Any, Any]:
        model = pretrained.load(self.run.folder / HYPERNETWORK)
        return training.generator_of(self.run, model.hypernetwork), model.statistics

    def _keys(self, count: int) -> jax.Array:
        """The same keys [count] for a search and for its answers."""
        return jax.random.split(prng.stream(self.run.config.seed, "compare/own"), self.config.models)[:count]

    def _clean(self, forget: tuple[int, ...], name: str, count: int) -> Params:
        return new_clean_runs(self.run, f"compare/{name}/{'-'.join(map(str, forget))}", forget, count)
