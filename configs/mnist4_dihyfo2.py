"""DiHyFo-2 on MNIST-4: the conditioned generator, a 784-2-4 classifier, forgettable {2, 3}.

`hyperforget run --config mnist4_dihyfo2 --data.dir DIR` takes 15 minutes on two CPU cores and 2.7 GB.

Expect of 256 unselected models for {2}, {3} and {2, 3}: mean forget accuracy at most 0.005, median retain accuracy within 0.005 of the
reference models'; prompt alignment on classes 2 and 3 with a mean R^2 of at least 0.93 and a Pearson correlation of at least 0.97.
"""

from dataclasses import replace

from hyperforget_jax.config import Config, TrainingConfig

from . import mnist4_base


def get_config() -> Config:
    """The generator of the paper's first setting, at a size for two cores."""
    base = mnist4_base.get_config()
    return replace(
        base,
        workdir="runs/mnist4_dihyfo2",
        zoo=replace(base.zoo, runs=4096),
        hypernetwork=replace(base.hypernetwork, kind="dihyfo2"),
        training=TrainingConfig(steps=4000, alignment_every=500),
    )
