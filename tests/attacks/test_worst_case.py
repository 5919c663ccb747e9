"""The exhaustive search finds a planted worst set, scores each set once, and compiles one program."""

from dataclasses import replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.attacks.worst_case import allowed_sets, worst_case
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError

CONFIG = replace(AttackConfig(), sets_at_once=4)
WEIGHTS = jnp.array([0.0, 1.0, -2.0, 3.0])


def test_sets_by_hand() -> None:
    assert allowed_sets((2, 3), 4) == ((2,), (3,), (2, 3))
    assert allowed_sets((0, 1), 2) == ((0,), (1,))  # no set of all classes
    assert len(allowed_sets(range(10), 10)) == 2**10 - 2


@pytest.mark.parametrize(("worst", "expected", "value"), [("highest", (1, 3), 4.0), ("lowest", (2,), -2.0)])
def test_the_worst_set_is_found(worst: Literal["highest", "lowest"], expected: tuple[int, ...], value: float) -> None:
    traced = []

    def score(mask: jax.Array) -> jax.Array:
        traced.append(mask.shape)
        return jnp.where(mask, WEIGHTS, 0.0).sum()

    sets = allowed_sets((1, 2, 3), 4)
    found = worst_case(jax.jit(jax.vmap(score)), sets, 4, worst, CONFIG)
    assert (found.forget_set, found.value) == (expected, value)
    assert found.forget_sets == sets
    np.testing.assert_allclose(found.values, [float(WEIGHTS[np.array(each)].sum()) for each in sets])
    assert traced == [(4,)]  # 7 sets in two calls of 4


def test_what_has_no_worst_case_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="0 forget sets"):
        worst_case(lambda masks: np.zeros(len(masks)), [], 4, "highest", CONFIG)
    with pytest.raises(HyperForgetError, match=r"forget set \[2\] is not finite"):
        worst_case(lambda masks: np.where(masks[:, 2], np.nan, 0.0), [(1,), (2,)], 4, "highest", CONFIG)
