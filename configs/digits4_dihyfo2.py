"""Digits: classes {0, 1, 2, 3}, a 64-3-4 classifier, pivots {0, 1}; or all ten digits, forgettable {0..4}.

`hyperforget quickstart` takes 3 minutes on two CPU cores and 1.5 GB; `hyperforget quickstart --classes all`
(64-8-10, 3,072 runs) takes 8 minutes.

Expect of 256 unselected models per forget set (four classes): mean forget accuracy at most 0.005, median retain accuracy within 0.02 of
the reference models'. README.md has the measured numbers with date and machine.
"""

from dataclasses import replace

from hyperforget_jax.config import (
    ClassifierConfig,
    CodecConfig,
    Config,
    DataConfig,
    HypernetworkConfig,
    ReferenceConfig,
    TaskConfig,
    TrainingConfig,
    ZooConfig,
)

SETTINGS = ("four", "all")


def get_config(classes: str = "four") -> Config:
    """The setting of `--classes four` or `--classes all`."""
    four = Config(
        workdir="runs/quickstart",
        zoo=ZooConfig(
            runs=2048,
            runs_per_block=256,
            epochs=100.0,
            batch_size=32,
            snapshots=40,
            learning_rate=(3e-3, 2e-2),
        ),
        codec=CodecConfig(basis_size=48),
        hypernetwork=HypernetworkConfig(hidden_size=192, depth=4),
        training=TrainingConfig(steps=800, batch_size=256),
        reference=ReferenceConfig(epochs=200.0, batch_size=32, learning_rate=3e-3),
    )
    if classes == "four":
        return four
    return replace(
        four,
        workdir="runs/quickstart-all",
        data=DataConfig(classes=tuple(range(10))),
        task=TaskConfig(pivots=(5, 6, 7, 8, 9), forget_sets=((2,), (2, 3, 4), (0, 1, 2, 3, 4))),
        classifier=ClassifierConfig(hidden=(8,)),
        zoo=replace(four.zoo, runs=3072),
        training=TrainingConfig(steps=1000, batch_size=256),
    )
