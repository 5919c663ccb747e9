"""A request names the classes to forget; the answer is models generated, or updated, as if trained without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import RequestConfig, TaskConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn.halving import Generate
from hyperforget_jax.unlearn.prompt_book import Page
from hyperforget_jax.unlearn.selection import judge, rank, select
from hyperforget_jax.zoo import coverage

Floats = np.ndarray[Any, np.dtype[np.float32]]


class UnlearningRequest(NamedTuple):
    """The classes to forget.

    Attributes:
      labels: of these classes; none asks for models that know every class.
      classes: all labels, in the order of the classifier's outputs.
    """

    labels: tuple[int, ...]
    classes: tuple[int, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """Output positions of the classes to forget."""
        return tuple(self.classes.index(label) for label in self.labels)


@dataclass(frozen=True)
class UnlearningResult:
    """The models that answer a request.

    Attributes:
      request: the classes to forget.
      candidate_prompts: [C, c], all that were judged; of prompts that were drawn [N, c], that of every model. The first K columns are
        class losses in nats, further ones exposures and age.
      candidate_scores: [C], mean score on validation of each one's models in the last round that judged it (see `halving.judge_prompts`).
      chosen: row of the prompt in use; of those that were drawn, that of the best model.
      models: N stacked models, all samples of that prompt, or each of its own.
      selected: [best], rows of the models selected on validation, the best first.
    """

    request: UnlearningRequest
    candidate_prompts: Floats
    candidate_scores: Floats
    chosen: int
    models: Params
    selected: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def prompt(self) -> Floats:
        """The prompt in use: class losses [K] in nats."""
        prompt: Floats = self.candidate_prompts[self.chosen, : len(self.request.classes)]
        return prompt

    @property
    def best(self) -> Params:
        """The model that was selected first."""
        return jax.tree.map(lambda leaf: leaf[int(self.selected[0])], self.models)


def validate_task(task: TaskConfig, classes: Sequence[int]) -> None:
    """Refuses a task that cannot be asked, before any work.

    Raises:
      HyperForgetError: too many forgettable classes, unknown class, a class twice, an empty or complete forget set,
        a pivot to forget, no request.
    """
    validate_pivots(task.pivots, classes)
    if task.purged:
        validate_request(task.purged, task.pivots, classes)
    for forget in task.forget_sets:
        validate_request(forget, task.pivots, classes)
    if len({frozenset(forget) for forget in task.forget_sets}) < len(task.forget_sets):
        raise HyperForgetError("task.forget_sets names one set twice: name each once")
    if not task.forget_sets:
        raise HyperForgetError("task.forget_sets is empty: name at least one set of classes, such as {2}")


def validate_pivots(pivots: Sequence[int], classes: Sequence[int]) -> None:
    """Refuses pivots that are not classes of the dataset, one twice, or so few that too many classes may be forgotten."""
    _validate_classes("pivots", pivots, classes)
    forgettable = len(classes) - len(pivots)
    if forgettable > coverage.MAX_CLASSES:
        raise HyperForgetError(
            f"{forgettable} classes may be forgotten, and every combination of them is counted: name at least "
            f"{len(classes) - coverage.MAX_CLASSES} pivots, so that at most {coverage.MAX_CLASSES} may"
        )


def validate_request(forget: Sequence[int], pivots: Sequence[int], classes: Sequence[int]) -> None:
    """Refuses one forget set that cannot be asked.

    Args:
      forget: labels.
      pivots: labels that are never forgotten.
      classes: all labels.

    Raises:
      HyperForgetError: unknown class, a class twice, an empty or complete set, a pivot.
    """
    _validate_classes("a forget set", forget, classes)
    if not forget:
        raise HyperForgetError("a forget set is empty: name at least one class to forget")
    if set(forget) == set(classes):
        raise HyperForgetError(f"the forget set {_set(forget)} is every class: leave at least one to retain")
    if held := sorted(set(forget) & set(pivots)):
        raise HyperForgetError(
            f"the forget set {_set(forget)} holds the pivot {held[0]}, and pivots {_set(pivots)} are never "
            "forgotten: take it out of task.pivots or out of the request"
        )


def requested(forget: Sequence[int], task: TaskConfig, classes: Sequence[int]) -> tuple[int, ...]:
    """Labels of all that a request forgets, in rising order; raises as `validate_request`.

    Args:
      forget: labels, in any order.
      task: its pivots are refused, its purged and scrubbed classes are forgotten whatever is asked.
      classes: all labels.
    """
    asked = tuple(sorted(forget))
    validate_request(asked, task.pivots, classes)
    whole = with_always(asked, task.always)
    validate_request(whole, task.pivots, classes)
    return whole


def with_always(forget: Sequence[int], always: Sequence[int]) -> tuple[int, ...]:
    """Labels of a forget set in rising order, with those that a run forgets whatever is asked."""
    return tuple(sorted({*forget, *always}))


def name_of(labels: Sequence[int]) -> str:
    """Name of a request, and of its random stream: forget-2-3."""
    return "forget-" + "-".join(str(label) for label in labels)


def answer(
    generate: Generate,
    page: Page,
    request: UnlearningRequest,
    validation: tuple[jax.Array, jax.Array],
    key: jax.Array,
    config: RequestConfig,
) -> UnlearningResult:
    """Samples N models with the prompt of the request's page, and selects a few.

    The models with the highest score (see `halving.judge_prompts`) are selected; at a tie those with the lower forget accuracy, then those
    with the lower retain loss.

    Args:
      generate: the hypernetwork.
      page: candidate prompts, judged, and the one that was chosen.
      request: the classes to forget.
      validation: images [n, D] and labels [n].
      key: a typed key.
      config: numbers of samples.
    """
    chex.assert_axis_dimension_gteq(page.prompts, 1, len(request.classes))
    _, sample_key = jax.random.split(key)  # the other half judges prompts
    prompt = jnp.tile(jnp.asarray(page.prompts[page.chosen])[None], (config.samples, 1))
    models = generate(jax.random.split(sample_key, config.samples), prompt)
    selected = select(models, list(request.positions), validation, config)
    return UnlearningResult(request, page.prompts, page.scores, page.chosen, models, selected)


def judging_key(key: jax.Array) -> jax.Array:
    """The key by which a request's candidate prompts are judged, of that by which it is answered."""
    judging, _ = jax.random.split(jax.random.clone(key))
    return judging


def answer_drawn(
    generate: Generate,
    prompts: Floats,
    request: UnlearningRequest,
    validation: tuple[jax.Array, jax.Array],
    key: jax.Array,
    config: RequestConfig,
) -> UnlearningResult:
    """N models, each with a prompt of its own, row i of the result's prompts; a few are selected as by `answer`.

    Prompts are drawn without replacement while there are any; none is judged, so the score of each is that of its model.

    Args:
      generate: the hypernetwork.
      prompts: [C, c], to draw from.
      request: the classes to forget.
      validation: images [n, D] and labels [n].
      key: a typed key.
      config: numbers of samples.
    """
    order_key, sample_key = jax.random.split(key)
    rounds = jax.random.split(order_key, -(-config.samples // len(prompts)))
    rows = jax.vmap(lambda each: jax.random.permutation(each, len(prompts)))(rounds).ravel()[: config.samples]
    drawn = prompts[np.asarray(rows)]  # [N, c]
    models = generate(jax.random.split(sample_key, config.samples), jnp.asarray(drawn))
    judged = judge(models, list(request.positions), validation, config.forget_tolerance)
    selected = rank(judged, config.num_selected)
    return UnlearningResult(request, drawn, judged[0], int(selected[0]), models, selected)


def _validate_classes(name: str, labels: Sequence[int], classes: Sequence[int]) -> None:
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise HyperForgetError(f"{name} names class {unknown[0]}, the dataset has {_set(classes)}: choose among these")
    if len(set(labels)) < len(labels):
        raise HyperForgetError(f"{name} {_set(labels)} names a class twice: name each once")


def _set(classes: Sequence[int]) -> str:
    return "{" + ", ".join(str(label) for label in classes) + "}"
