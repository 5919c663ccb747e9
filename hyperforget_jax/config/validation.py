"""Which numbers a config may hold; what a field protects elsewhere is checked there."""

from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError

SHARES = (
    "zoo.undersample_probability",
    "zoo.never_seen_probability",
    "zoo.keep_rate",
    "zoo.deletion_probability",
    "zoo.deletion_time",
    "zoo.selection_probability",
    "zoo.pivot_accuracy",
    "zoo.validation_share",
    "loader.reverse_probability",
    "diffusion.class_dropout",
    "diffusion.full_dropout",
    "training.beta2",
    "training.ema_decay",
    "training.untrained_share",
    "training.unrelated_share",
    "sampling.eta",
    "request.retain_quantiles",
    "request.forget_tolerance",
    "request.score_tolerance",
    "evaluation.alignment_quantiles",
    "evaluation.learned_share",
)
"""Fields in [0, 1]."""
BELOW_ONE = ("zoo.pivot_accuracy", "zoo.validation_share", "training.beta2", "training.ema_decay")
"""Shares that must leave something."""
POSITIVE = (
    "zoo.validation_share",
    "training.learning_rate",
    "reference.learning_rate",
    "hypernetwork.loss_floor",
    "diffusion.min_snr_ceiling",
    "request.retain_factors",
    "sampling.temperature",
    "zoo.memory_gib",
)
"""Fields that must be above 0."""
LABELS = ("data.classes", "task.pivots", "task.forget_sets")
AT_LEAST = {
    "seed": 0,
    "zoo.min_learned": 0,
    "zoo.min_per_combination": 0,
    "zoo.max_added_blocks": 0,
    "loader.loss_levels": 2,
    "reference.seeds": 2,
    "evaluation.alignment_families": 2,
    "evaluation.alignment_prompts": 2,
    "hypernetwork.metric_class": 0,
    "training.seed": 0,
    "training.alignment_every": 0,
    "training.alignment_families": 2,
}
"""Whole numbers whose least value is not 1: reference models, a spread or levels need two."""
RANGES = ("zoo.learning_rate", "zoo.keep_rate", "zoo.deletion_time", "evaluation.alignment_quantiles")
"""Pairs of which the first is the smaller."""
LOGARITHMIC = ("zoo.learning_rate", "zoo.keep_rate")
"""Pairs between which a logarithm is drawn."""


def validate_config(config: Config) -> None:
    """Refuses numbers that no setting can mean.

    Raises:
      HyperForgetError: names the field, the number and the range.
    """
    flat = flatten(config)
    for name in RANGES:
        if flat[name] != sorted(flat[name]):
            raise HyperForgetError(f"{name} is {flat[name]}: put the smaller number first")
    for name in LOGARITHMIC:
        if flat[name][0] <= 0.0:
            raise HyperForgetError(f"{name} starts at {flat[name][0]}: choose a start above 0")
    if flat["zoo.bin_edges"] != sorted(set(flat["zoo.bin_edges"])):
        raise HyperForgetError(f"zoo.bin_edges are {flat['zoo.bin_edges']}: put them in increasing order")
    for name in ("classifier.hidden", "request.retain_quantiles", "zoo.bin_edges"):
        if not flat[name]:
            raise HyperForgetError(f"{name} is empty: give at least one number")
    metric, place = config.hypernetwork.metric, config.hypernetwork.metric_class
    if metric == "one_loss" and place >= len(config.data.classes):
        raise HyperForgetError(
            f"hypernetwork.metric_class is {place}: choose an output position below {len(config.data.classes)}"
        )
    width, heads = config.hypernetwork.hidden_size, config.hypernetwork.num_heads
    if width % max(heads, 1):
        raise HyperForgetError(
            f"hypernetwork.num_heads {heads} do not divide hypernetwork.hidden_size {width}: choose a divisor"
        )
    parts = config.training.grad_accum_steps
    if config.training.batch_size % max(parts, 1):
        raise HyperForgetError(
            f"training.grad_accum_steps {parts} does not divide training.batch_size {config.training.batch_size}: choose a divisor"
        )
    if config.diffusion.prediction == "epsilon" and config.diffusion.functional_weight:
        raise HyperForgetError(
            f"diffusion.functional_weight is {config.diffusion.functional_weight}, but a model that epsilon predicts from "
            "pure noise answers at random: set it to 0, or predict x0 or v"
        )
    if config.sampling.guidance_scale != 1.0 and config.diffusion.full_dropout == 0.0:
        raise HyperForgetError(
            f"sampling.guidance_scale is {config.sampling.guidance_scale}, but training never drops a whole condition: "
            "set diffusion.full_dropout, such as 0.1, or sampling.guidance_scale 1"
        )
    if config.codec.kind == "raw" and config.codec.chunk_size >= width:
        raise HyperForgetError(
            f"codec.chunk_size is {config.codec.chunk_size}: choose less than hypernetwork.hidden_size, {width}"
        )
    if config.request.num_selected > config.request.samples:
        raise HyperForgetError(
            f"request.num_selected is {config.request.num_selected}, request.samples {config.request.samples}: select at most as many"
        )
    for name, value in flat.items():
        numbers = [value] if not isinstance(value, list) else value
        least = AT_LEAST.get(name, 1)
        for number in numbers if name not in LABELS else []:
            if isinstance(number, int) and not isinstance(number, bool) and number < least:
                raise HyperForgetError(f"{name} is {number}: choose a whole number of at least {least}")
            if isinstance(number, float) and not 0.0 <= number < float("inf"):
                raise HyperForgetError(f"{name} is {number}: choose a finite number of at least 0")
            if name in SHARES and number > 1.0:
                raise HyperForgetError(f"{name} is {number}: choose a number from 0 to 1")
            if name in BELOW_ONE and number == 1.0:
                raise HyperForgetError(f"{name} is {number}: choose a number below 1")
            if name in POSITIVE and number == 0.0:
                raise HyperForgetError(f"{name} is {number}: choose a number above 0")
    starts = config.training.untrained_share + config.training.unrelated_share
    if starts > 1.0:
        raise HyperForgetError(
            f"training.untrained_share and training.unrelated_share add up to {starts:g}: choose shares of one whole"
        )
