"""Floating-point operations of a function: those of its matrix products, found by tracing it; loops count as often as they run."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from hyperforget_jax.errors import HyperForgetError


def of_products(function: Callable[..., Any], *arguments: Any) -> int:
    """Operations of all matrix products in one call: a product [m, k] x [k, n] has 2 m k n.

    Elementwise work, solves and random numbers are not counted; of the branches of a condition the most expensive is.

    Args:
      function: of arrays; it is traced, not run.
      arguments: arrays, or trees of arrays.

    Raises:
      HyperForgetError: a loop whose length the arguments decide has products in it.
    """
    return _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, inner = equation.primitive.name, [_of(each) for each in _programs(equation.params)]
        if name == "dot_general":
            total += _of_product(equation)
        elif name == "scan":
            total += equation.params["length"] * sum(inner)
        elif name == "while" and sum(inner):
            raise HyperForgetError(
                "a while loop with matrix products has no length known before it runs: count a function with fixed loops"
            )
        else:
            total += max(inner, default=0) if name == "cond" else sum(inner)
    return total


def _of_product(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)


def _programs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs among the parameters of an equation: of a call, a loop or the branches of a condition."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else [value]:
            closed = getattr(each, "jaxpr", each)
            if hasattr(closed, "eqns"):
                yield closed
