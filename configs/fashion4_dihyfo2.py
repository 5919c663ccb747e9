"""DiHyFo-2 on Fashion-MNIST-4: classes {0, 1, 2, 3}, a 784-2-4 classifier; nothing but the images differs from mnist4_dihyfo2.

`python -m experiments.pipeline --config fashion4_dihyfo2 --data.dir DIR`
"""

from dataclasses import replace

from configs import mnist4_dihyfo2
from hyperforget_jax.config import Config


def get_config() -> Config:
    """The setting of mnist4_dihyfo2 on other images."""
    base = mnist4_dihyfo2.get_config()
    return replace(base, workdir="runs/fashion4_dihyfo2", data=replace(base.data, name="fashion_mnist"))
