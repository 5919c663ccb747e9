"""Random keys by name: every stage draws from its own stream of the one seed."""

import zlib

import jax

from hyperforget_jax.errors import HyperForgetError

IMPLEMENTATION = "threefry2x32"
"""Of the keys: the numbers of a seed are the same whatever JAX's default is."""
BITS = 32
"""Of a seed that JAX uses; it drops the others in silence."""


def stream(seed: int, name: str) -> jax.Array:
    """Root key of a named stream: `fold_in(key(seed), crc32(name))`.

    Streams of different names are independent, so a stage can be rerun, replaced or added without
    changing the numbers that any other stage draws.

    Args:
      seed: the run's seed.
      name: the stage that draws, such as `"zoo"` or `"forget-2-3"`.

    Returns:
      A typed key, shape ().

    Raises:
      HyperForgetError: a seed of more than 32 bits, which would give the numbers of another one.
    """
    if not 0 <= seed < 2**BITS:
        raise HyperForgetError(f"seed is {seed}: choose a whole number of at least 0 and at most {2**BITS - 1}")
    return jax.random.fold_in(jax.random.key(seed, impl=IMPLEMENTATION), zlib.crc32(name.encode()))
