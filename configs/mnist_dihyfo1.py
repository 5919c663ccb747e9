"""DiHyFo-1 on MNIST: the learned optimiser and de-optimiser, a 784-7-10 classifier, forgettable {0, ..., 4}.

`hyperforget run --config mnist_dihyfo1 --data.dir DIR` takes about 75 minutes on two CPU cores beside other jobs: 33 for the
zoo (that of mnist_dihyfo2; `--zoo.folder` shares one), 36 for training.

Expect of 256 unselected models for {2}, {2, 3, 4} and {0, ..., 4}: mean forget accuracy at most 0.005, median retain accuracy within
0.06 of the reference models'; prompt alignment on classes 0 to 4 with a mean R^2 of at least 0.8 and a Pearson of at least 0.93.

Its examples start where those of mnist4_dihyfo1 do.
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import mnist4_dihyfo1, mnist_dihyfo2


def get_config() -> Config:
    """The learned optimiser of the paper's second setting, at a size for two cores."""
    base, update = mnist_dihyfo2.get_config(), mnist4_dihyfo1.get_config()
    return replace(
        base,
        workdir="runs/mnist_dihyfo1",
        loader=update.loader,
        hypernetwork=update.hypernetwork,
        training=replace(
            base.training,
            steps=3000,
            untrained_share=update.training.untrained_share,
            unrelated_share=update.training.unrelated_share,
        ),
    )
