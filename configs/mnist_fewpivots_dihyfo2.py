"""DiHyFo-2 on MNIST with three pivots instead of five: any of {0, ..., 6} may be forgotten, 127 forget sets (paper, sections 6 and A.5).

`hyperforget run --config mnist_fewpivots_dihyfo2 --data.dir DIR` takes 80 minutes on two CPU cores beside other jobs.

128 combinations of high and low losses instead of 32, from half as many runs, and half the training: as far as two CPU cores carry. Expect
of the selected models a mean retain accuracy within 0.03 of the reference models' median.
"""

from dataclasses import replace

from hyperforget_jax.config import Config, TaskConfig

from . import mnist_dihyfo2


def get_config() -> Config:
    """The setting of mnist_dihyfo2 with 5 and 6 forgettable too."""
    base = mnist_dihyfo2.get_config()
    return replace(
        base,
        workdir="runs/mnist_fewpivots_dihyfo2",
        task=TaskConfig(
            pivots=(7, 8, 9), forget_sets=((2,), (2, 3, 4), (0, 1, 2, 3, 4), (5, 6), (0, 1, 2, 3, 4, 5, 6))
        ),
        zoo=replace(base.zoo, runs=2048, min_per_combination=400, min_clean_runs=8),
        training=replace(base.training, steps=3000),
    )
