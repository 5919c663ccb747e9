"""One folder of runs with every target of a small paper, for all tests of this folder."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from experiments import all_forget_sets, generator_baselines, gpt, training_seeds
from hyperforget_jax.pipeline import report
from hyperforget_jax.pipeline.run_folder import FinishedRun, RunFolder
from tests.compile_cache import compile_cache
from tests.small_paper import PICTURES, Finished, one_number, paper, settings


@pytest.fixture(scope="package", autouse=True)
def few(compiled: Path) -> Iterator[None]:
    """Fast compilation, few rivals, one further seed, no pictures in a run's own page; references in more groups than one."""
    with compile_cache(compiled), pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_baselines, "MODELS", 8)
        patch.setattr(training_seeds, "SEEDS", (1,))
        patch.setattr(report, "draw", lambda *measured: {})
        patch.setattr(all_forget_sets, "SETS_PER_BLOCK", 2)
        patch.setattr(gpt, "get_config", one_number)
        yield


@pytest.fixture(scope="package")
def finished(few: None, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Every target of MNIST-4, from nothing; tests leave the folder as it is."""
    folder = tmp_path_factory.mktemp("paper") / "runs"
    status, told, error = paper(*PICTURES, "--runs", str(folder))
    assert (status, error) == (0, "")
    return Finished(folder, told)


@pytest.fixture(scope="package")
def finished_runs(finished: Finished) -> dict[str, FinishedRun]:
    """The finished runs, by hypernetwork."""
    console = Console(file=io.StringIO())
    return RunFolder(finished.folder, settings(), [], console, "python -m experiments.reproduce").of("mnist4")
