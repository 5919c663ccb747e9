"""DiHyFo-1 on MNIST: the learned optimiser and de-optimiser, a 784-7-10 classifier, forgettable {0, ..., 4}.

`python -m experiments.pipeline --config mnist_dihyfo1 --data.dir DIR`

Its examples start where those of mnist4_dihyfo1 do.
"""

from dataclasses import replace

from configs import mnist4_dihyfo1, mnist_dihyfo2
from hyperforget_jax.config import Config


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
