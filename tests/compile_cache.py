"""Programs that tests compile once: who needs one first keeps it, the others read it back."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache


@contextlib.contextmanager
def compile_cache(folder: Path) -> Iterator[dict[str, Any]]:
    """Keeps every program in a folder, compiled in a third of the time to run slower, until the block ends.

    Args:
      folder: where the programs go.

    Yields:
      JAX's settings for it; their names in upper case are the variables that set them in another process.
    """
    settings = {
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: jax.config.values[name] for name in settings}
    _apply(settings)
    try:
        yield settings
    finally:
        _apply(before)


def _apply(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # otherwise it keeps the folder it was first used with
