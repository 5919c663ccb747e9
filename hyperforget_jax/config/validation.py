"""How the numbers of a config go together; the range of each is in `ranges`, what depends on images or other modules is validated there."""

from collections.abc import Iterator
from typing import Any

from hyperforget_jax.config import Config, flatten, ranges
from hyperforget_jax.errors import HyperForgetError

NON_EMPTY = (
    *("classifier.hidden", "request.retain_quantiles", "request.trial_samples", "zoo.bin_edges"),
    *("evaluation.relearning_shots", "evaluation.relearning_steps"),
)
ORDERED_PAIRS = ("zoo.learning_rate", "zoo.keep_rate", "zoo.deletion_time", "evaluation.alignment_quantiles")
"""Ranges: the first number is at most the second."""
INDEPENDENT = {
    "data.standardise": False,
    "zoo.min_learned": 0,
    "zoo.loss_shift_threshold": None,
    "zoo.max_per_bin": None,
    "zoo.max_per_combination": None,
}
"""Values with which the images of a class have no say in what becomes of runs that never see it."""
INCREASING = ("zoo.bin_edges", "evaluation.relearning_steps")
LOG_UNIFORM = ("zoo.learning_rate", "zoo.keep_rate")
"""Ranges from which a value is drawn log-uniformly."""


def validate_config(config: Config) -> None:
    """Refuses a config with a number out of range or with fields that contradict each other.

    Raises:
      HyperForgetError: names the field, the number and the range.
    """
    flat = flatten(config)
    ranges.validate_ranges(flat, ranges.CONFIG)
    for contradicts, message in _relations(config, flat):
        if contradicts:
            raise HyperForgetError(message)


def _relations(config: Config, flat: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    """Whether fields contradict each other, and the message if they do."""
    for name in NON_EMPTY:
        yield not flat[name], f"{name} is empty: give at least one number"
    for name in ORDERED_PAIRS:
        yield flat[name] != sorted(flat[name]), f"{name} is {flat[name]}: put the smaller number first"
    for name in LOG_UNIFORM:
        yield flat[name][0] <= 0.0, f"{name} starts at {flat[name][0]}: choose a start above 0"
    for name in INCREASING:
        yield flat[name] != sorted(set(flat[name])), f"{name} are {flat[name]}: put them in increasing order"
    yield from _kept_nothing(config)
    models = config.evaluation.distribution_models
    yield (
        0 < models < 5,
        f"evaluation.distribution_models is {models}: choose at least 5, one for each fold of a two-sample test, or 0 for no test",
    )
    hypernetwork, num_classes = config.hypernetwork, len(config.data.classes)
    yield (
        hypernetwork.metric == "one_loss" and hypernetwork.metric_class >= num_classes,
        f"hypernetwork.metric_class is {hypernetwork.metric_class}: choose an output position below {num_classes}",
    )
    hidden_size, num_heads = hypernetwork.hidden_size, hypernetwork.num_heads
    yield (
        hidden_size % num_heads != 0,
        f"hypernetwork.num_heads {num_heads} do not divide hypernetwork.hidden_size {hidden_size}: choose a divisor",
    )
    batch_size, parts = config.training.batch_size, config.training.grad_accum_steps
    yield (
        batch_size % parts != 0,
        f"training.grad_accum_steps {parts} does not divide training.batch_size {batch_size}: choose a divisor",
    )
    weight = config.diffusion.functional_weight
    yield (
        config.diffusion.prediction == "epsilon" and weight > 0.0,
        f"diffusion.functional_weight is {weight}, but a model that epsilon predicts from pure noise answers at random: "
        "set it to 0, or predict x0 or v",
    )
    scale = config.sampling.guidance_scale
    yield (
        scale != 1.0 and config.diffusion.full_dropout == 0.0,
        f"sampling.guidance_scale is {scale}, but training never drops a whole condition: "
        "set diffusion.full_dropout, such as 0.1, or sampling.guidance_scale 1",
    )
    chunk_size = config.codec.chunk_size
    yield (
        config.codec.kind == "raw" and chunk_size >= hidden_size,
        f"codec.chunk_size is {chunk_size}: choose less than hypernetwork.hidden_size, {hidden_size}",
    )
    for name, independent in INDEPENDENT.items():
        yield (
            config.zoo.purgeable and flat[name] != independent,
            f"{name} is {flat[name]}, which lets the images of a class decide about runs that never see it: "
            f"set it to {independent}, or zoo.purgeable to False",
        )
    selected, samples = config.request.num_selected, config.request.samples
    yield (selected > samples, f"request.num_selected is {selected}, request.samples {samples}: select at most as many")
    starts = config.training.untrained_share + config.training.unrelated_share
    yield (
        starts > 1.0,
        f"training.untrained_share and training.unrelated_share add up to {starts:g}: choose shares of one whole",
    )


def _kept_nothing(config: Config) -> Iterator[tuple[bool, str]]:
    """Zoos without a checkpoint to learn from, as arithmetic tells before they are trained."""
    zoo = config.zoo
    held_out = zoo.runs - round(zoo.runs * (1.0 - zoo.validation_share))
    yield (
        held_out == 0,
        f"zoo.validation_share is {zoo.validation_share:g}, which holds none of {zoo.runs} runs out: choose at least "
        f"{1 / zoo.runs:.2g}, or raise zoo.runs",
    )
    yield (
        held_out == zoo.runs,
        f"zoo.validation_share is {zoo.validation_share:g}, which leaves none of {zoo.runs} runs to learn from: lower it, "
        "or raise zoo.runs",
    )
    yield (
        max(zoo.selection_probability) == 0.0 and zoo.loss_shift_threshold is None,
        "zoo.selection_probability is 0 from start to end and zoo.loss_shift_threshold None, so no checkpoint is kept: raise one of them",
    )
    yield (
        config.hypernetwork.kind == "dihyfo1" and zoo.snapshots < 2,
        f"zoo.snapshots is {zoo.snapshots}, but hypernetwork.kind dihyfo1 learns from two checkpoints of a run: choose at least 2",
    )
