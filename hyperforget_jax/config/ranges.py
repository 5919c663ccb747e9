"""The range of every number of a config: what it may mean, and what a machine can hold. Names of classes are checked beside the data.

Upper ends are beyond all that has been of use: they stop typing errors and what would end in NaN. Whether sizes fit together into memory
and disk is asked by `pipeline.resources` and `pipeline.workdir`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from hyperforget_jax.errors import HyperForgetError


@dataclass(frozen=True)
class Range:
    """Numbers from low to high.

    Attributes:
      low: least number.
      high: greatest number.
      above: whether the least number itself is left out.
      below: whether the greatest number itself is left out.
    """

    low: float
    high: float
    above: bool = False
    below: bool = False

    def __contains__(self, number: Any) -> bool:
        if not isinstance(number, Integral if isinstance(self.low, int) else Real):
            return False
        value: Any = number
        over = value > self.low if self.above else value >= self.low
        return bool(over and (value < self.high if self.below else value <= self.high))

    def __str__(self) -> str:
        """As a remedy says it."""
        if isinstance(self.low, int):
            return f"a whole number of at least {self.low} and at most {self.high}"
        start = f"above {self.low:g}" if self.above else f"from {self.low:g}"
        return f"a number {start} to {'below ' if self.below else ''}{self.high:g}"


SEED = Range(0, 2**32 - 1)
"""Keys are made of 32 bits: a greater seed would draw the numbers of another one."""
COUNT = Range(1, 2**31 - 1)
COUNT_OR_NONE = Range(0, 2**31 - 1)
STEPS = Range(1, 10**8)
SIZE = Range(1, 10**7)
SMALL = Range(1, 10**4)
SHARE = Range(0.0, 1.0)
SHARE_BELOW_ONE = Range(0.0, 1.0, below=True)
LEAST_SHARE = Range(0.0, 1.0, above=True)
POSITIVE = Range(0.0, 1e6, above=True)
WEIGHT = Range(0.0, 1e6)
ADAM = Range(0.0, 10.0, above=True)
"""Adam moves every weight by about its step size."""
ADAMW = Range(0.0, 1.0, above=True)

CONFIG: Mapping[str, Range] = {
    "seed": SEED,
    "data.validation_size": COUNT,
    "data.distillation_size": COUNT_OR_NONE,
    "classifier.hidden": Range(1, 10**5),
    "zoo.runs": COUNT,
    "zoo.runs_per_block": SIZE,
    "zoo.epochs": POSITIVE,
    "zoo.batch_size": COUNT,
    "zoo.snapshots": SIZE,
    "zoo.learning_rate": ADAM,
    "zoo.undersample_probability": SHARE,
    "zoo.never_seen_probability": SHARE,
    "zoo.keep_rate": SHARE,
    "zoo.deletion_probability": SHARE,
    "zoo.deletion_time": SHARE,
    "zoo.selection_probability": SHARE,
    "zoo.loss_shift_threshold": WEIGHT,
    "zoo.pivot_accuracy": SHARE_BELOW_ONE,
    "zoo.min_learned": Range(0, 10**4),
    "zoo.bin_edges": WEIGHT,
    "zoo.max_per_bin": COUNT,
    "zoo.max_per_combination": COUNT,
    "zoo.min_per_combination": COUNT_OR_NONE,
    "zoo.max_added_blocks": Range(0, 10**6),
    "zoo.min_clean_runs": Range(0, 10**6),
    "zoo.memory_gib": POSITIVE,
    "zoo.validation_share": Range(0.0, 1.0, above=True, below=True),
    "loader.loss_levels": Range(2, 10**5),
    "loader.clean_share": SHARE,
    "loader.reverse_probability": SHARE,
    "loader.memory_gib": WEIGHT,
    "loader.threads": Range(1, 1024),
    "loader.prefetch": SMALL,
    "codec.basis_size": Range(1, 10**5),
    "codec.whitening": SHARE,
    "codec.chunk_size": SIZE,
    "hypernetwork.metric_class": Range(0, 10**4),
    "hypernetwork.hidden_size": Range(1, 2**16),
    "hypernetwork.depth": Range(1, 1000),
    "hypernetwork.num_heads": Range(1, 2**16),
    "hypernetwork.mlp_ratio": Range(1, 64),
    "hypernetwork.frequencies": SMALL,
    "hypernetwork.max_frequency": Range(0.125, 1e6),
    "hypernetwork.loss_floor": Range(0.0, 10.0, above=True),
    "diffusion.timesteps": Range(1, 10**6),
    "diffusion.min_snr_ceiling": POSITIVE,
    "diffusion.functional_weight": WEIGHT,
    "diffusion.functional_images": Range(1, 10**5),
    "diffusion.class_dropout": SHARE,
    "diffusion.kind_dropout": SHARE,
    "diffusion.full_dropout": SHARE,
    "training.seed": SEED,
    "training.steps": STEPS,
    "training.batch_size": SIZE,
    "training.learning_rate": ADAMW,
    "training.warmup_steps": STEPS,
    "training.weight_decay": Range(0.0, 100.0),
    "training.beta2": SHARE_BELOW_ONE,
    "training.clip_norm": Range(1e-3, 1e6),
    "training.ema_decay": SHARE_BELOW_ONE,
    "training.log_every": STEPS,
    "training.checkpoint_every": STEPS,
    "training.grad_accum_steps": SIZE,
    "training.alignment_every": Range(0, 10**8),
    "training.alignment_families": Range(2, 10**5),
    "training.untrained_share": SHARE,
    "training.unrelated_share": SHARE,
    "training.untrained": SIZE,
    "distillation.steps": Range(0, 10**8),
    "distillation.sampling_steps": SMALL,
    "distillation.lessons": SIZE,
    "distillation.lesson_steps": SMALL,
    "distillation.batch_size": SIZE,
    "distillation.learning_rate": ADAMW,
    "distillation.loss_weight": WEIGHT,
    "sampling.steps": Range(1, 10**6),
    "sampling.eta": SHARE,
    "sampling.temperature": Range(0.0, 100.0, above=True),
    "sampling.guidance_scale": Range(0.0, 1000.0),
    "sampling.batch_size": SIZE,
    "request.samples": SIZE,
    "request.forget_levels": SMALL,
    "request.retain_quantiles": SHARE,
    "request.retain_factors": Range(0.0, 100.0, above=True),
    "request.forget_tolerance": SHARE,
    "request.trial_samples": SIZE,
    "request.trial_factor": SMALL,
    "request.trial_steps": Range(1, 10**6),
    "request.score_tolerance": SHARE,
    "request.num_selected": SIZE,
    "request.rounds": SMALL,
    "reference.seeds": Range(2, 10**6),
    "reference.clean_runs": Range(2, 10**6),
    "reference.epochs": POSITIVE,
    "reference.batch_size": COUNT,
    "reference.learning_rate": ADAM,
    "evaluation.alignment_prompts": Range(2, 10**4),
    "evaluation.alignment_families": Range(2, 10**5),
    "evaluation.alignment_quantiles": SHARE,
    "evaluation.alignment_epsilon": Range(0.0, 1.0, above=True),
    "evaluation.learned_share": SHARE,
    "evaluation.bootstrap": Range(1, 10**5),
    "evaluation.distribution_models": Range(0, 10**5),
    "evaluation.c2st_images": SIZE,
    "evaluation.c2st_trees": SMALL,
    "evaluation.c2st_permutations": SMALL,
    "evaluation.relearning_shots": SIZE,
    "evaluation.relearning_steps": STEPS,
}
"""Of the fields of `Config`; each number of a field that holds several."""

BOTTLENECK: Mapping[str, Range] = {
    "seed": SEED,
    "codebooks": Range(1, 10**5),
    "pairs": SIZE,
    "subspace": Range(1, 10**5),
    "top_k": SIZE,
    "temperature": POSITIVE,
    "key_decay": SHARE_BELOW_ONE,
    "key_steps": STEPS,
    "key_batch": SIZE,
    "dead_share": SHARE_BELOW_ONE,
    "value_epochs": Range(1, 10**6),
    "value_batch": SIZE,
    "learning_rate": POSITIVE,
    "value_decay": SHARE_BELOW_ONE,
    "patience": Range(1, 10**6),
    "block": SIZE,
}
"""Of the fields of `BottleneckConfig`."""

ATTACKS: Mapping[str, Range] = {
    "seed": SEED,
    "control_splits": Range(1, 10**5),
    "margin_clip": POSITIVE,
    "cmia_neighbours": SMALL,
    "cmia_images": SIZE,
    "cmia_penalty": POSITIVE,
    "klom_bins": Range(2, 10**5),
    "klom_floor": Range(0.0, 1.0, above=True, below=True),
    "klom_quantile": SHARE,
    "klom_models": SIZE,
    "false_positive_rates": LEAST_SHARE,
    "relearning_shots": SIZE,
    "relearning_steps": STEPS,
    "retained_shots": SIZE,
    "prototype_images": SIZE,
    "prototype_weight": SHARE,
    "head_labels": SIZE,
    "linear_penalty": POSITIVE,
    "linear_steps": STEPS,
    "rounding_bits": Range(1, 24),
    "probe_images": SIZE,
    "neighbours": SMALL,
    "sets_at_once": SIZE,
    "search_batch": SIZE,
    "search_restarts": SMALL,
    "search_rounds": SMALL,
    "search_elite": LEAST_SHARE,
    "search_width": POSITIVE,
    "search_least_width": POSITIVE,
    **dict.fromkeys(("attacked_models", "attacked_reference", "two_sample_models", "two_sample_trees"), SIZE),
    **dict.fromkeys(("shadow_images", "entropy_images", "klom_images", "two_sample_splits"), SIZE),
}
"""Of the fields of `AttackConfig`."""

SCRUB: Mapping[str, Range] = {
    "steps": STEPS,
    "batch_size": SIZE,
    "learning_rate": ADAMW,
    "lessons": SIZE,
    "lesson_steps": SMALL,
    "least_quantile": SHARE,
    "jitter": Range(0.0, 100.0),
}
"""Of the fields of `ScrubConfig`."""

COMPARISON: Mapping[str, Range] = {
    "models": Range(2, 10**6),
    "search_models": SIZE,
    "candidates": SMALL,
    "worst_models": SIZE,
}
"""Of the fields of `ComparisonConfig`, but for those of its attacks."""

SHADOWS: Mapping[str, Range] = {"systems": Range(2, 10**4), "samples": SIZE, "knowing": SIZE}
"""Of the fields of `ShadowsConfig`."""


def validate_ranges(flat: Mapping[str, Any], ranges: Mapping[str, Range], prefix: str = "") -> None:
    """Refuses a number out of its range.

    Args:
      flat: a flat config, as `config.flatten` gives it.
      ranges: of its numbers.
      prefix: before the fields' names in messages, such as "attacks.".

    Raises:
      HyperForgetError: names the field, the number and the range.
    """
    for name, range_ in ranges.items():
        for number in flat[name] if isinstance(flat[name], list) else [flat[name]]:
            if number is not None and number not in range_:
                infinite = isinstance(number, float) and not math.isfinite(number)
                expected = str(range_).replace("a number", "a finite number") if infinite else str(range_)
                raise HyperForgetError(f"{prefix}{name} is {number}: choose {expected}")


def validate_settings(config: Any, ranges: Mapping[str, Range], name: str) -> None:
    """Refuses a dataclass with a number out of its range; `name` stands before its fields in messages. Raises as `validate_ranges`."""
    values = {field: getattr(config, field) for field in ranges}
    flat = {field: list(value) if isinstance(value, tuple) else value for field, value in values.items()}
    validate_ranges(flat, ranges, f"{name}.")


def validate_share(name: str, share: float) -> None:
    """Refuses a share beyond 0 and 1; `name` is what it was given as."""
    if share not in SHARE:
        raise HyperForgetError(f"{name} is {share}: choose {SHARE}")


def validate_seed(name: str, seed: int) -> None:
    """Refuses a seed that would draw the numbers of another one; `name` is what it was given as."""
    if seed not in SEED:
        raise HyperForgetError(f"{name} is {seed}: choose {SEED}")
