"""DiHyFo-1 on MNIST-4: the learned optimiser and de-optimiser, a 784-2-4 classifier, forgettable {2, 3}.

`python -m experiments.pipeline --config mnist4_dihyfo1 --data.dir DIR`

`python -m experiments.update --config mnist4_dihyfo1 --data.dir DIR --model FILE.npz` then lets a model of yours forget and learn back.
"""

from dataclasses import replace

from configs import mnist4
from hyperforget_jax.config import Config, HypernetworkConfig


def get_config() -> Config:
    """The optimiser of the paper's first setting, at a size for two cores."""
    return replace(
        mnist4.get_config(),
        workdir="runs/mnist4_dihyfo1",
        hypernetwork=HypernetworkConfig(kind="dihyfo1"),
    )
