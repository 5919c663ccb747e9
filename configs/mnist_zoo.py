"""The MNIST zoo: all ten classes, forgettable {0, ..., 4}, 25 epochs and 200 snapshots a run (section 4).

`hyperforget zoo --config mnist_zoo --data.dir DIR`

A 784-7-10 classifier (5,575 weights), pivots {5, ..., 9}, 32 combinations of high and low losses. The paper has 3.7 M checkpoints, 82 GB;
this is a size that two CPU cores make in half an hour. docs/zoo.md has the measured time, memory, size and coverage.
"""

from dataclasses import replace

from hyperforget_jax.config import ClassifierConfig, Config, DataConfig, TaskConfig, ZooConfig

from . import mnist4_base


def get_config() -> Config:
    """The setting of the paper's second zoo, at a size for two cores."""
    return replace(
        mnist4_base.get_config(),
        workdir="runs/mnist_zoo",
        data=DataConfig(name="mnist", classes=tuple(range(10)), validation_size=5000),
        task=TaskConfig(pivots=(5, 6, 7, 8, 9), forget_sets=((2,), (2, 3, 4), (0, 1, 2, 3, 4))),
        classifier=ClassifierConfig(hidden=(7,)),
        zoo=ZooConfig(
            runs=4096,
            runs_per_block=128,
            epochs=25.0,
            batch_size=256,
            snapshots=200,
            learning_rate=(3e-3, 1e-2),
            selection_probability=(0.6, 0.3),
            min_per_combination=2000,
        ),
    )
