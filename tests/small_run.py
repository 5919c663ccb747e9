"""A run that takes seconds, and prints on paper rather than on the screen."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from configs import smoke_dihyfo2
from hyperforget_jax.config import Config, DistillationConfig
from hyperforget_jax.pipeline import training, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.pretrained import Pretrained
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


def taught(folder: Path, kind: Literal["dihyfo1", "dihyfo2"] = "dihyfo2") -> Config:
    """A tiny run with a student that takes four steps of eight lessons."""
    config = tiny(folder)
    return replace(
        config,
        data=replace(config.data, distillation_size=100),
        hypernetwork=replace(config.hypernetwork, kind=kind),
        training=replace(config.training, checkpoint_every=2),
        sampling=replace(config.sampling, batch_size=32),
        distillation=DistillationConfig(steps=4, lessons=64, batch_size=8, lesson_steps=3),
    )


def trained(run: Run) -> Pretrained:
    """Makes its zoo and trains its hypernetwork."""
    workdir.acquire_workdir(run.config)
    zoo = pipeline_zoo.make_zoo(run)
    return training.train_hypernetwork(run, *zoo.split(run.config.zoo.runs, run.config.zoo.validation_share))
