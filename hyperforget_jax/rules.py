"""Which numbers a config may hold; what a field protects elsewhere is checked there."""

from hyperforget_jax.config import Config, flatten
from hyperforget_jax.errors import HyperForgetError

SHARES = (
    "probability",
    "share",
    "accuracy",
    "tolerance",
    "quantiles",
    "decay",
    "beta2",
    "keep_rate",
    "deletion_time",
)
"""Fields whose name ends so lie in [0, 1]."""
LABELS = ("data.classes", "task.pivots", "task.forget_sets")
AT_LEAST = {
    "seed": 0,
    "reference.seeds": 2,
    "evaluation.alignment_families": 2,
    "evaluation.alignment_prompts": 2,
}
"""Whole numbers whose least value is not 1: a cloud or a spread needs two."""
RANGES = ("zoo.learning_rate", "zoo.keep_rate", "zoo.deletion_time", "evaluation.alignment_quantiles")
"""Pairs of which the first is the smaller."""
LOGARITHMIC = ("zoo.learning_rate", "zoo.keep_rate")
"""Pairs between which a logarithm is drawn."""


def check(config: Config) -> None:
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
    for name in ("classifier.hidden", "request.retain_quantiles"):
        if not flat[name]:
            raise HyperForgetError(f"{name} is empty: give at least one number")
    if config.request.best > config.request.samples:
        raise HyperForgetError(
            f"request.best is {config.request.best}, request.samples {config.request.samples}: select at most as many"
        )
    for name, value in flat.items():
        numbers = [value] if not isinstance(value, list) else value
        least = AT_LEAST.get(name, 1)
        for number in numbers if name not in LABELS else []:
            if isinstance(number, int) and not isinstance(number, bool) and number < least:
                raise HyperForgetError(f"{name} is {number}: choose a whole number of at least {least}")
            if isinstance(number, float) and not 0.0 <= number < float("inf"):
                raise HyperForgetError(f"{name} is {number}: choose a finite number of at least 0")
            if isinstance(number, float) and name.endswith(SHARES) and number > 1.0:
                raise HyperForgetError(f"{name} is {number}: choose a number from 0 to 1")
