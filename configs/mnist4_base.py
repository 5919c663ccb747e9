"""MNIST-4: classes {0, 1, 2, 3}, a 784-2-4 classifier (1,582 weights), pivots {0, 1} (section 4).

`hyperforget run --config mnist4_base --data.dir DIR` takes 15 minutes on two CPU cores and 3.4 GB; the other mnist4_* derive from it.

Expect of 256 unselected models for {2}, {3} and {2, 3}: mean forget accuracy at most 0.005, median retain accuracy within 0.01 of the
reference models'; prompt alignment on classes 2 and 3 with a mean R^2 of at least 0.8. docs/results.md has measured numbers.
"""

from hyperforget_jax.config import (
    ClassifierConfig,
    CodecConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    HypernetworkConfig,
    ReferenceConfig,
    RequestConfig,
    SamplingConfig,
    TrainingConfig,
    ZooConfig,
)


def get_config() -> Config:
    """The paper's first setting at a size for two cores, asked by losses alone and by one best prompt, as in the paper."""
    return Config(
        workdir="runs/mnist4_base",
        data=DataConfig(name="mnist", validation_size=5000),
        classifier=ClassifierConfig(hidden=(2,)),
        zoo=ZooConfig(
            runs=2048, runs_per_block=256, epochs=25.0, batch_size=256, snapshots=60, learning_rate=(3e-3, 1e-2)
        ),
        codec=CodecConfig(kind="functional", basis_size=128),
        hypernetwork=HypernetworkConfig(exposure=False),
        diffusion=DiffusionConfig(class_dropout=0.0, kind_dropout=0.0),
        training=TrainingConfig(steps=4000, batch_size=256),
        sampling=SamplingConfig(temperature=0.7),
        request=RequestConfig(prompts="best"),
        reference=ReferenceConfig(epochs=50.0, batch_size=64, learning_rate=2e-3),
    )
