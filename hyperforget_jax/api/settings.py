"""From the arguments of the interface to configs and runs."""

import dataclasses
import difflib
import math
from dataclasses import replace
from typing import Any, TypeVar

from hyperforget_jax.config import Config, ReferenceConfig, ZooConfig, validation
from hyperforget_jax.data import Dataset
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run, run_on
from hyperforget_jax.report.console import make_console

USUAL_STEPS = 4000
"""Optimiser steps of one classifier where the number of epochs is left open."""
Settings = TypeVar("Settings", ZooConfig, ReferenceConfig)


def run_of(config: Config, data: Dataset, progress: bool) -> Run:
    """A run of the pipeline on a dataset in hand, its progress on stderr.

    Raises:
      HyperForgetError: a number that no setting can mean, or that this dataset does not allow.
    """
    validation.validate_config(config)
    return run_on(config, data, make_console(stderr=True, quiet=not progress), "hyperforget_jax")


def with_usual_epochs(given: dict[str, Any], usual: Settings, data: Dataset) -> dict[str, Any]:
    """Settings with the epochs that give the usual number of steps, unless they are among them."""
    batch_size = given.get("batch_size", usual.batch_size)
    steps = max(1, len(data.train.labels) // batch_size)
    return {"epochs": float(math.ceil(USUAL_STEPS / steps)), **given}


def changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Settings with some fields changed, each of which must exist."""
    names = [item.name for item in dataclasses.fields(settings)]
    for name in changes:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose of {', '.join(names)}"
            raise HyperForgetError(f"{name} is no field of {type(settings).__name__}: {hint}")
    return replace(settings, **changes)
