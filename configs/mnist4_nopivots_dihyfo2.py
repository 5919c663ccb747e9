"""DiHyFo-2 on MNIST-4 without pivots: any of the four classes may be forgotten, 14 forget sets (paper, sections 6 and A.5).

`hyperforget run --config mnist4_nopivots_dihyfo2 --data.dir DIR` takes 40 minutes on two CPU cores beside other jobs.

A checkpoint is kept if it is good on one class at least, whichever. Expect of the selected models for every forget set a mean retain
accuracy within 0.01 of the reference models' median, and prompt alignment with a mean R^2 of at least 0.8 on every class.
"""

from dataclasses import replace
from itertools import chain, combinations

from hyperforget_jax.config import Config

from . import mnist4_dihyfo2


def get_config() -> Config:
    """The setting of mnist4_dihyfo2 with nothing that is safe from forgetting."""
    base = mnist4_dihyfo2.get_config()
    classes = base.data.classes
    subsets = chain.from_iterable(combinations(classes, size) for size in range(1, len(classes)))
    return replace(
        base,
        workdir="runs/mnist4_nopivots_dihyfo2",
        task=replace(base.task, pivots=(), forget_sets=tuple(subsets)),
        zoo=replace(base.zoo, min_learned=1, min_per_combination=2000),
    )
