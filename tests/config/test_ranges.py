"""Every number of a config has a range; its ends are allowed, what is beyond them is refused by name."""

from dataclasses import fields, replace
from typing import Any, get_type_hints

import pytest

from hyperforget_jax.config import (
    AttackConfig,
    BottleneckConfig,
    ComparisonConfig,
    Config,
    ScrubConfig,
    ShadowsConfig,
    flatten,
    ranges,
    validation,
)
from hyperforget_jax.config.attacks import validate_attacks
from hyperforget_jax.config.bottleneck import validate_bottleneck
from hyperforget_jax.config.ranges import Range
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import prng

TABLES = [ranges.CONFIG, ranges.BOTTLENECK, ranges.ATTACKS, ranges.SCRUB, ranges.COMPARISON, ranges.SHADOWS]
LABELS = {"data.classes", "task.pivots", "task.forget_sets", "task.purged", "task.scrubbed", "zoo.held_out_sets"}
"""Names of classes, which are checked beside the data."""
NUMBERS = (int, float, int | None, float | None, tuple[int, ...], tuple[float, ...], tuple[float, float])


def numeric(config: Any, prefix: str = "") -> set[str]:
    """Names of the fields that hold numbers."""
    found, hints = set(), get_type_hints(type(config))
    for field in fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        if hasattr(value, "__dataclass_fields__"):
            found |= numeric(value, f"{name}.")
        elif hints[field.name] in NUMBERS:
            found.add(name)
    return found - LABELS


def test_every_number_of_every_config_has_a_range() -> None:
    assert numeric(Config()) == {*ranges.CONFIG}
    assert numeric(BottleneckConfig()) == {*ranges.BOTTLENECK}
    assert numeric(AttackConfig()) == {*ranges.ATTACKS}
    assert numeric(ScrubConfig()) == {*ranges.SCRUB}
    assert numeric(replace(ComparisonConfig(), attack=None)) == {*ranges.COMPARISON}  # type: ignore[arg-type]
    assert numeric(ShadowsConfig()) == {*ranges.SHADOWS}


@pytest.mark.parametrize("table", TABLES)
def test_ends_are_inside_unless_they_are_left_out_and_what_is_beyond_is_not(table: dict[str, Range]) -> None:
    for name, each in table.items():
        assert (each.low in each) != each.above, name
        assert (each.high in each) != each.below, name
        steps = (1, 1) if isinstance(each.low, int) else (1e-9, each.high * 1e-9)
        beyond = [each.low - steps[0], each.high + steps[1], -1, float("nan"), float("inf"), -float("inf"), 10**400]
        assert [number for number in beyond if number in each] == [], name
        assert "1" not in each
        assert (0.5 in each) != isinstance(each.low, int) or not each.low <= 0.5 <= each.high, name


def changed(name: str, value: Any) -> Config:
    """The default with one number, in place of all if the field holds several."""
    section, _, field = name.rpartition(".")
    config = Config()
    holder = getattr(config, section) if section else config
    several = isinstance(getattr(holder, field), tuple)
    part = replace(holder, **{field: (value,) * len(getattr(holder, field)) if several else value})
    return replace(config, **{section: part}) if section else part


@pytest.mark.parametrize("name", ranges.CONFIG)
def test_a_number_out_of_range_is_refused_in_one_line_with_the_range(name: str) -> None:
    each = ranges.CONFIG[name]
    for number in (each.low if each.above else each.low - 1, each.high if each.below else each.high * 10 + 1, 10**20):
        with pytest.raises(HyperForgetError) as refusal:
            validation.validate_config(changed(name, number))
        assert str(refusal.value) == f"{name} is {number}: choose {each}"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("seed", seed) for seed in (-1, 2**32, 2**63, 2**64)),
        *(("reference.epochs", 0.0), ("hypernetwork.max_frequency", 0.0), ("training.clip_norm", 0.0)),
        *(("reference.learning_rate", 1e30), ("zoo.learning_rate", 1e20), ("training.batch_size", 10**8)),
        *((name, 10**9) for name in ("request.samples", "evaluation.bootstrap", "hypernetwork.hidden_size")),
        *((name, 10**9) for name in ("training.steps", "sampling.batch_size")),
    ],
)
def test_what_once_failed_after_hours_or_was_taken_in_silence_is_refused(name: str, number: Any) -> None:
    with pytest.raises(HyperForgetError, match=rf"^{name} is [^\n]+: choose a "):
        validation.validate_config(changed(name, number))


@pytest.mark.parametrize("seed", [-1, 2**32, 2**63])
def test_a_stream_of_a_seed_that_would_be_another_one_is_refused(seed: int) -> None:
    with pytest.raises(HyperForgetError, match=rf"^seed is {seed}: choose a whole number of at least 0 and at most "):
        prng.stream(seed, "zoo")
    assert prng.stream(2**32 - 1, "zoo") != prng.stream(0, "zoo")


def test_the_attacks_and_the_bottleneck_are_checked_too() -> None:
    validate_attacks(AttackConfig())
    with pytest.raises(HyperForgetError, match=r"^attacks\.klom_bins is 0: choose a whole number of at least 2"):
        validate_attacks(replace(AttackConfig(), klom_bins=0))
    with pytest.raises(HyperForgetError, match=r"^attacks\.rounding_bits is 99: choose a whole number"):
        validate_attacks(replace(AttackConfig(), rounding_bits=(8, 99)))
    with pytest.raises(HyperForgetError, match=r"^scrub\.steps is 0: choose a whole number of at least 1"):
        ranges.validate_settings(ScrubConfig(steps=0), ranges.SCRUB, "scrub")
    with pytest.raises(HyperForgetError, match=r"^bottleneck\.seed is 4294967296: choose"):
        validate_bottleneck(replace(BottleneckConfig(), seed=2**32))


def test_a_flat_config_has_a_value_for_every_range() -> None:
    assert {*ranges.CONFIG} <= {*flatten(Config())}
