"""Nothing that is not finite is ever a complete artifact."""

from typing import Any

import jax
import numpy as np

from hyperforget_jax.errors import HyperForgetError


def validate_finite(what: str, arrays: Any, remedy: str) -> None:
    """Refuses models with a number that is not finite, before they become an artifact.

    Args:
      what: their name.
      arrays: a pytree of arrays.
      remedy: how such models come to be, and what to change.

    Raises:
      HyperForgetError: names them and the remedy.
    """
    if not all(np.isfinite(np.asarray(leaf, np.float32)).all() for leaf in jax.tree.leaves(arrays)):
        raise HyperForgetError(f"{what} have numbers that are not finite: {remedy}")
