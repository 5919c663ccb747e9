"""Random keys by name: every stage draws from its own stream of the one seed."""

import zlib

import jax

IMPLEMENTATION = "threefry2x32"
"""Of the keys: the numbers of a seed are the same whatever JAX's default is."""


def stream(seed: int, name: str) -> jax.Array:
    """Root key of a named stream: `fold_in(key(seed), crc32(name))`.

    Streams of different names are independent, so a stage can be rerun, replaced or added without
    changing the numbers that any other stage draws.

    Args:
      seed: the run's seed.
      name: the stage that draws, such as `"zoo"` or `"forget-2-3"`.

    Returns:
      A typed key, shape ().
    """
    return jax.random.fold_in(jax.random.key(seed, impl=IMPLEMENTATION), zlib.crc32(name.encode()))
