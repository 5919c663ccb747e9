"""Settings of JAX that reach every number: refused, or part of what identifies a run."""

import os

import jax

from hyperforget_jax.errors import HyperForgetError

REFUSED = {
    "jax_enable_x64": (False, "every draw and every sum would be another one"),
    "jax_disable_jit": (False, "every sum would be rounded in another order, and nothing would end in time"),
    "jax_debug_nans": (False, "NaN stands for what is not asked for, and for classes without an image"),
    "jax_debug_infs": (False, "infinity stands for what no loss can reach"),
    "jax_threefry_partitionable": (True, "every draw would be another one"),
    "jax_random_seed_offset": (0, "every draw would be another one"),
}
"""The only value that a setting may have, and why."""
DECIDING = ("jax_default_matmul_precision",)
"""Settings that may be chosen and decide numbers: they belong to the identity of a run, if they are chosen."""


def validate_jax() -> None:
    """Refuses settings of JAX with which results would be silently other ones, and a platform that is not there.

    Raises:
      HyperForgetError: names the setting, its value and the remedy.
    """
    for name, (usual, reason) in REFUSED.items():
        value = getattr(jax.config, name)
        if value != usual:
            raise HyperForgetError(f"{name.upper()} is {value}, with which {reason}: unset it, or set it to {usual}")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a platform has answered
        reason = " ".join(str(error).split("(")[0].split()).rstrip(".")
        asked = jax.config.values["jax_platforms"] or os.environ.get("JAX_PLATFORMS", "")
        raise HyperForgetError(
            f"JAX_PLATFORMS is {asked}, and this machine or its JAX has no such device{reason and f' ({reason})'}: "
            "set it to cpu, which is always there, or unset it"
        ) from error


def deciding_settings() -> dict[str, str]:
    """Chosen settings that decide numbers, by their names; usually none."""
    chosen = {name: getattr(jax.config, name) for name in DECIDING}
    return {name: str(value) for name, value in chosen.items() if value is not None}
