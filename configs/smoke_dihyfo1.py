"""smoke_dihyfo2 with DiHyFo-1: `hyperforget run --config smoke_dihyfo1`."""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import smoke_dihyfo2


def get_config() -> Config:
    """The same path with the learned optimiser."""
    base = smoke_dihyfo2.get_config()
    return replace(base, workdir="runs/smoke_dihyfo1", hypernetwork=replace(base.hypernetwork, kind="dihyfo1"))
