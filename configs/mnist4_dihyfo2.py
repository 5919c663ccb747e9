"""DiHyFo-2 on MNIST-4: the conditioned generator, a 784-2-4 classifier, forgettable {2, 3}.

`python -m experiments.pipeline --config mnist4_dihyfo2 --data.dir DIR`
"""

from dataclasses import replace

from configs import mnist4
from hyperforget_jax.config import Config, HypernetworkConfig, TrainingConfig


def get_config() -> Config:
    """The generator of the paper's first setting, at a size for two cores."""
    base = mnist4.get_config()
    return replace(
        base,
        workdir="runs/mnist4_dihyfo2",
        zoo=replace(base.zoo, runs=4096),
        hypernetwork=HypernetworkConfig(kind="dihyfo2"),
        training=TrainingConfig(steps=4000, alignment_every=500),
    )
