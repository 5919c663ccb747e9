"""DiHyFo-2 on MNIST: the conditioned generator, a 784-7-10 classifier, forgettable {0, ..., 4}.

`hyperforget run --config mnist_dihyfo2 --data.dir DIR` takes about 95 minutes on two CPU cores beside other jobs: a third
for the zoo (that of mnist_zoo; `--zoo.folder` shares one), the rest for training.

Expect of 256 unselected models for {2}, {2, 3, 4} and {0, ..., 4}: mean forget accuracy at most 0.005, median retain accuracy within
0.02 of the reference models'; prompt alignment on classes 0 to 4 with a mean R^2 of at least 0.8 and a Pearson of at least 0.93.
"""

from dataclasses import replace

from hyperforget_jax.config import Config, HypernetworkConfig, TrainingConfig

from . import mnist_zoo


def get_config() -> Config:
    """The generator of the paper's second setting, at a size for two cores."""
    return replace(
        mnist_zoo.get_config(),
        workdir="runs/mnist_dihyfo2",
        hypernetwork=HypernetworkConfig(kind="dihyfo2", exposure=False),
        training=TrainingConfig(steps=6000, alignment_every=1000),
    )
