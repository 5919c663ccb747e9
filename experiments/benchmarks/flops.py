"""Floating-point operations of matrix products: 2 for a multiply and its add. Everything else counts as nothing."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params


def step(sizes: tuple[int, ...], batch_size: int) -> int:
    """FLOPs of one training step of one classifier.

    Layer 1 has a forward product and one for its weights' gradient, every deeper layer a third for the gradient of its input.

    Args:
      sizes: width of every layer.
      batch_size: B.
    """
    first, *deeper = (fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    return batch_size * (4 * first + 6 * sum(deeper))


def scoring(sizes: tuple[int, ...], images: int) -> int:
    """FLOPs of one classifier's forward pass on some images."""
    return 2 * images * sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))


def traced(function: Callable[..., Any], *arguments: Any) -> int:
    """FLOPs of the products in a function, from its trace; the body of a loop counts once."""
    return sum(_products(jax.make_jaxpr(function)(*arguments).jaxpr))


def _products(jaxpr: Any) -> Iterator[int]:
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            yield 2 * inner * math.prod(equation.outvars[0].aval.shape)
        for program in jaxprs_in_params(equation.params):
            yield from _products(program)
