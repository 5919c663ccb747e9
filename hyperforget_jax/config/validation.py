"""Which numbers a config may hold, as tables; what depends on images or on other modules is validated there."""

from collections.abc import Iterator
from typing import Any

from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError

UNIT_INTERVAL = (
    *("zoo.undersample_probability", "zoo.never_seen_probability", "zoo.keep_rate", "zoo.deletion_probability"),
    *("zoo.deletion_time", "zoo.selection_probability", "zoo.pivot_accuracy", "zoo.validation_share"),
    *("loader.reverse_probability", "loader.clean_share", "codec.whitening"),
    *("diffusion.class_dropout", "diffusion.kind_dropout", "diffusion.full_dropout"),
    *("training.beta2", "training.ema_decay", "training.untrained_share", "training.unrelated_share", "sampling.eta"),
    *("request.retain_quantiles", "request.forget_tolerance", "request.score_tolerance"),
    *("evaluation.alignment_quantiles", "evaluation.learned_share"),
)
"""Fields in [0, 1]."""
BELOW_ONE = ("zoo.pivot_accuracy", "zoo.validation_share", "training.beta2", "training.ema_decay")
"""Fields in [0, 1)."""
POSITIVE = (
    *("zoo.validation_share", "zoo.memory_gib", "training.learning_rate", "reference.learning_rate"),
    *("hypernetwork.loss_floor", "diffusion.min_snr_ceiling", "request.retain_factors", "sampling.temperature"),
)
"""Fields that must be above 0."""
NON_EMPTY = (
    *("classifier.hidden", "request.retain_quantiles", "request.trial_samples", "zoo.bin_edges"),
    *("evaluation.relearning_shots", "evaluation.relearning_steps"),
)
LABELS = ("data.classes", "task.pivots", "task.forget_sets", "task.purged", "zoo.held_out_sets")
"""Fields whose numbers are names of classes."""
ZERO_OR_MORE = (
    *("seed", "data.distillation_size", "zoo.min_learned", "zoo.min_per_combination", "zoo.max_added_blocks"),
    *("zoo.min_clean_runs", "hypernetwork.metric_class", "training.seed", "training.alignment_every"),
    *("evaluation.distribution_models",),
)
TWO_OR_MORE = (
    *("loader.loss_levels", "reference.seeds", "reference.clean_runs", "training.alignment_families"),
    *("evaluation.alignment_families", "evaluation.alignment_prompts"),
)
MINIMUM = dict.fromkeys(ZERO_OR_MORE, 0) | dict.fromkeys(TWO_OR_MORE, 2)
"""Least value of whole numbers, where it is not 1."""
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
    for name, value in flat.items():
        for number in value if isinstance(value, list) else [value]:
            if name not in LABELS and (expected := _expected(name, number)):
                raise HyperForgetError(f"{name} is {number}: choose {expected}")
    for contradicts, message in _relations(config, flat):
        if contradicts:
            raise HyperForgetError(message)


def _expected(name: str, number: Any) -> str:
    """What one number of a field should be; empty if it is."""
    if isinstance(number, int) and not isinstance(number, bool):
        minimum = MINIMUM.get(name, 1)
        return f"a whole number of at least {minimum}" if number < minimum else ""
    if not isinstance(number, float):
        return ""
    if not 0.0 <= number < float("inf"):
        return "a finite number of at least 0"
    if name in UNIT_INTERVAL and number > 1.0:
        return "a number from 0 to 1"
    if name in BELOW_ONE and number == 1.0:
        return "a number below 1"
    return "a number above 0" if name in POSITIVE and number == 0.0 else ""


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
