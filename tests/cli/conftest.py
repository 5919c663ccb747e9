"""A finished run, made once by the command for all tests of verbs that ask something of one."""

import shutil
from pathlib import Path

import pytest

from hyperforget_jax.cli import run
from tests.compile_cache import compile_cache


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, compiled: Path) -> Path:
    """The workdir of a tiny run whose config names {2} alone; tests leave it as it is, but for further requests."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = ["--config", "smoke_dihyfo2", "--task.forget-sets", "2", "--evaluation.distribution-models", "0"]
    with compile_cache(compiled):
        assert run.main([*arguments, "--workdir", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to damage."""
    folder: Path = shutil.copytree(finished, tmp_path / "copied")
    return folder
