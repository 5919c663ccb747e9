"""DiHyFo-1 on MNIST: the learned optimiser and de-optimiser, a 784-7-10 classifier, forgettable {0, ..., 4}.

`python -m experiments.pipeline --config mnist_dihyfo1 --data.dir DIR`
"""

from dataclasses import replace

from configs import mnist_zoo
from hyperforget_jax.config import Config, HypernetworkConfig, TrainingConfig


def get_config() -> Config:
    """The optimiser of the paper's second setting, at a size for two cores."""
    return replace(
        mnist_zoo.get_config(),
        workdir="runs/mnist_dihyfo1",
        hypernetwork=HypernetworkConfig(kind="dihyfo1"),
        training=TrainingConfig(steps=6000, alignment_every=1000),
    )
