"""DiHyFo-2 on Fashion-MNIST-4: classes {0, 1, 2, 3}, a 784-2-4 classifier; nothing but the images differs from mnist4_dihyfo2.

`hyperforget run --config fashion4_dihyfo2 --data.dir DIR` takes 18 minutes on two CPU cores beside other jobs, and 2.3 GB.

Expect of 256 unselected models for {2}, {3} and {2, 3}: mean forget accuracy at most 0.005, median retain accuracy within 0.005 of the
reference models' or above it; prompt alignment on classes 2 and 3 with a mean R^2 of at least 0.93 and a Pearson of at least 0.97.
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import mnist4_dihyfo2


def get_config() -> Config:
    """The setting of mnist4_dihyfo2 on other images."""
    base = mnist4_dihyfo2.get_config()
    return replace(base, workdir="runs/fashion4_dihyfo2", data=replace(base.data, name="fashion_mnist"))
