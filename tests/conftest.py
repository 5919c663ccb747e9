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

os.environ["HYPERFORGET_COMPILE_CACHE"] = (
    "off"  # commands that tests start write nothing into the home of who runs them
)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all programs that tests keep for each other; pytest's workers share it, if there are several."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "programs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def programs(compiled: Path) -> Iterator[dict[str, Any]]:
    """Programs of the modules that ask for this are compiled once, in a third of the time, and run slower: for what runs on little."""
    with compile_cache(compiled) as settings:
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
