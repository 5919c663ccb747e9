"""A run that takes seconds, and prints on paper rather than on the screen."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from configs import smoke_dihyfo2
from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.pipeline.run import Run, start


def tiny(folder: Path, seed: int = 0) -> Config:
    """The whole path in seconds, but no comparison with clean runs: `with_distribution` adds it."""
    config = replace(smoke_dihyfo2.get_config(), seed=seed, workdir=str(folder))
    return replace(config, evaluation=replace(config.evaluation, distribution_models=0))


def with_distribution(config: Config) -> Config:
    """The same with the smoke run's comparison with clean runs."""
    return replace(config, evaluation=smoke_dihyfo2.get_config().evaluation)


def on_paper(config: Config) -> Run:
    """A run that prints on paper; its workdir is not claimed."""
    return start(config, Console(file=io.StringIO(), width=200), "python -m experiments.tiny")


def printed(config: Config, job: Callable[[Run], None]) -> str:
    """Claims the workdir, works, and returns what it printed."""
    run = on_paper(config)
    workdir.acquire_workdir(config)
    job(run)
    paper = run.console.file
    assert isinstance(paper, io.StringIO)
    return paper.getvalue()
