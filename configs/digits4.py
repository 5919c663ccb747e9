"""The hypernetwork that the package brings: `hyperforget unlearn digits4 --forget 2`.

`hyperforget run --config digits4` makes it again, `hyperforget pack runs/digits4 --out DIR` packs it. docs/pretrained.md has its figures.

Classes {0, 1, 2, 3}, a 64-3-4 classifier, pivots {0, 1}: `digits4_dihyfo2` with 64 clean runs a forget set as the reference, so that all of
it takes less than 2 MB.
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import digits4_dihyfo2


def get_config() -> Config:
    """Digits with classes 0 to 3, and a small reference."""
    config = digits4_dihyfo2.get_config()
    return replace(config, workdir="runs/digits4", reference=replace(config.reference, clean_runs=64))
