"""The MNIST-4 zoo at the paper's scale: 1.9 M checkpoints, 25 epochs and 150 snapshots a run (section 4).

`hyperforget zoo --config mnist4_zoo --data.dir DIR`

Classes {0, 1, 2, 3}, a 784-2-4 classifier (1,582 weights), pivots {0, 1}. The paper keeps all 150 checkpoints of a run; here chance keeps
fewer of more runs, so that there are more solutions to learn from. docs/zoo.md has the measured time, memory, size and coverage.
"""

from dataclasses import replace

from hyperforget_jax.config import Config, ZooConfig

from . import mnist4_base


def get_config() -> Config:
    """The setting of the paper's first zoo."""
    return replace(
        mnist4_base.get_config(),
        workdir="runs/mnist4_zoo",
        zoo=ZooConfig(
            runs=31_744,
            runs_per_block=512,
            epochs=25.0,
            batch_size=256,
            snapshots=150,
            learning_rate=(3e-3, 1e-2),
            selection_probability=(0.6, 0.3),
            min_per_combination=10_000,
        ),
    )
