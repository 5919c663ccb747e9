"""DiHyFo-2 on MNIST: the conditioned generator, a 784-7-10 classifier, forgettable {0, ..., 4}.

`python -m experiments.pipeline --config mnist_dihyfo2 --data.dir DIR`
"""

from dataclasses import replace

from configs import mnist_zoo
from hyperforget_jax.config import Config, HypernetworkConfig, TrainingConfig


def get_config() -> Config:
    """The generator of the paper's second setting, at a size for two cores."""
    return replace(
        mnist_zoo.get_config(),
        workdir="runs/mnist_dihyfo2",
        hypernetwork=HypernetworkConfig(kind="dihyfo2"),
        training=TrainingConfig(steps=6000, alignment_every=1000),
    )
