"""Numbers out of range are refused by name."""

from dataclasses import replace
from typing import Any

import pytest

from hyperforget_jax.config import BottleneckConfig
from hyperforget_jax.config.bottleneck import validate_bottleneck
from hyperforget_jax.errors import HyperForgetError


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("codebooks", 0, "a whole number of at least 1"),
        ("seed", -1, "a whole number of at least 0"),
        ("key_decay", 1.0, "from 0 to below 1"),
        ("value_decay", float("nan"), "a finite number from 0 to below 1"),
        ("temperature", 0.0, "above 0"),
        ("learning_rate", float("inf"), "above 0"),
        ("top_k", 2000, "at most bottleneck.pairs"),
    ],
)
def test_bad_numbers_are_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(HyperForgetError, match=rf"bottleneck.{name} is {value}.*{expected}"):
        validate_bottleneck(replace(BottleneckConfig(), **{name: value}))


def test_defaults_and_the_papers_sizes_are_accepted() -> None:
    validate_bottleneck(BottleneckConfig())
    validate_bottleneck(BottleneckConfig(codebooks=256, pairs=4096))
