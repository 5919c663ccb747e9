"""Strict JAX in every test: no silent rank or dtype promotion, no key used twice; eight CPU devices, so that meshes exist."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from tests.compile_cache import compile_cache

STRICT = {"jax_numpy_rank_promotion": "raise", "jax_numpy_dtype_promotion": "strict", "jax_debug_key_reuse": True}
for name, value in STRICT.items():
    jax.config.update(name, value)  # type: ignore[no-untyped-call]

DEVICES = "--xla_force_host_platform_device_count"
if DEVICES not in os.environ.get("XLA_FLAGS", ""):  # read when the first computation starts
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {DEVICES}=8"


@pytest.fixture(scope="module")
def fast_compile() -> Iterator[None]:
    """Programs of the module are compiled in a third of the time and run slower: for programs that run once on little."""
    name = "jax_disable_most_optimizations"
    before = jax.config.values[name]
    jax.config.update(name, True)  # type: ignore[no-untyped-call]
    yield
    jax.config.update(name, before)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Programs of the module are compiled in fast_compile, once: the first run that needs one keeps it, the others read it back."""
    with compile_cache(tmp_path_factory.mktemp("programs")) as settings:
        yield settings


@pytest.fixture(scope="module")
def same_in_every_process(programs: dict[str, Any]) -> Iterator[None]:
    """The module's other processes share its programs, and tell no revision of git, which may change meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_DIR", "no/such/folder")
        for name, value in programs.items():
            patch.setenv(name.upper(), str(value))
        yield


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with MNIST's four IDX files: `mnist/` of the folder that HYPERFORGET_DATA names."""
    data = os.environ.get("HYPERFORGET_DATA")
    if not data:
        pytest.skip("HYPERFORGET_DATA is unset: name the folder that holds mnist/ with the four IDX files")
    return Path(data) / "mnist"
