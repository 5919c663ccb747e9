"""What a config needs of the memory, at least, by arithmetic: what cannot fit is refused before any work, with the number that would."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import machine
from hyperforget_jax.weights.layout import num_weights

FLOAT = 4
"""Bytes of a number."""
TRAINING_STATE = 4
"""Parameters, their average and AdamW's two moments."""
KEPT_OF_A_BLOCK = 8
"""Activations of a token that the backward pass of a transformer block needs, in multiples of the hidden size; 1 with `remat`."""


class Need(NamedTuple):
    """Memory that grows with one field.

    Attributes:
      field: its name.
      value: what it is.
      each: bytes for each unit of it, or of its square.
      squared: whether the square counts.
    """

    field: str
    value: int
    each: float
    squared: bool = False

    @property
    def total(self) -> float:
        """Bytes."""
        return self.each * self.value ** (2 if self.squared else 1)

    def fitting(self, memory: float) -> int:
        """The greatest value that a memory has room for."""
        number = memory / self.each
        return int(math.sqrt(number) if self.squared else number)


def validate_resources(config: Config, sizes: Sequence[int]) -> None:
    """Refuses sizes whose arrays are larger than the memory of this machine.

    What is counted is certainly needed, so a config that passes may still need more than there is.

    Args:
      config: resolved.
      sizes: width of every layer of the classifier.

    Raises:
      HyperForgetError: names the field, what it needs, what there is, and the number that would fit.
    """
    memory = machine.memory_bytes()
    if memory is None:
        return
    for need in needs(config, sizes):
        if need.total > memory:
            raise HyperForgetError(
                f"{need.field} is {need.value}, which needs {need.total / 2**30:.1f} GiB of memory or more, this machine has "
                f"{memory / 2**30:.1f}: choose at most {max(1, need.fitting(memory))}"
            )


def needs(config: Config, sizes: Sequence[int]) -> Iterator[Need]:
    """What fields need, each with all others as they are."""
    model = num_weights(tuple(sizes)) * FLOAT
    hypernetwork, request, evaluation = config.hypernetwork, config.request, config.evaluation
    raw = config.codec.kind == "raw"
    tokens = -(-num_weights(tuple(sizes)) // config.codec.chunk_size) if raw else sum(sizes[1:-1])
    activation = 2 if hypernetwork.dtype == "bfloat16" else FLOAT
    token = tokens * hypernetwork.hidden_size * activation
    kept = token * hypernetwork.depth * (1 if hypernetwork.remat else KEPT_OF_A_BLOCK)
    matrices = hypernetwork.depth * (4 + 2 * hypernetwork.mlp_ratio)
    forget_sets = max(1, len(config.task.forget_sets))
    candidates = request.forget_levels * len(request.retain_quantiles) * len(request.retain_factors)
    yield Need("hypernetwork.hidden_size", hypernetwork.hidden_size, matrices * FLOAT * TRAINING_STATE, squared=True)
    yield Need("training.batch_size", config.training.batch_size, 2 * model + kept / config.training.grad_accum_steps)
    yield Need("sampling.batch_size", config.sampling.batch_size, model + 2 * token)
    yield Need("request.samples", request.samples, 2 * model)
    for samples in request.trial_samples[:1]:
        yield Need("request.trial_samples", samples, candidates * model)
    yield Need("reference.seeds", config.reference.seeds, forget_sets * 4 * model)
    if evaluation.distribution_models:
        yield Need("reference.clean_runs", config.reference.clean_runs, forget_sets * model)
    yield Need("evaluation.bootstrap", evaluation.bootstrap, 2 * 8 * request.samples)
    yield Need("evaluation.alignment_families", evaluation.alignment_families, evaluation.alignment_prompts * model)
    if hypernetwork.kind == "dihyfo1":
        yield Need("training.untrained", config.training.untrained, 2 * model)
    if config.distillation.steps:
        yield Need("distillation.lessons", config.distillation.lessons, 2 * model)
        yield Need("distillation.batch_size", config.distillation.batch_size, 2 * model + kept)
