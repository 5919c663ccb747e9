"""DiHyFo-2 on digits: classes {0, 1, 2, 3}, a 64-3-4 classifier, pivots {0, 1}.

`hyperforget run --config digits4_dihyfo2` (also `hyperforget quickstart`) takes 7 minutes on two CPU cores beside other jobs, and 1.5 GB.

Every model has a prompt drawn from clean runs; the best prompt is answered and measured beside it as `dihyfo2_best`.

Expect of 256 unselected models per forget set: mean forget accuracy at most 0.005, median retain accuracy within 0.02 of the reference
models'. docs/results.md has the measured numbers with date and machine.
"""

from hyperforget_jax.config import (
    CodecConfig,
    Config,
    HypernetworkConfig,
    LoaderConfig,
    ReferenceConfig,
    TrainingConfig,
    ZooConfig,
)


def get_config() -> Config:
    """Four digits, everything small enough for minutes."""
    return Config(
        workdir="runs/digits4_dihyfo2",
        zoo=ZooConfig(
            runs=2048,
            runs_per_block=256,
            epochs=100.0,
            batch_size=32,
            snapshots=40,
            learning_rate=(3e-3, 2e-2),
            min_clean_runs=256,
        ),
        loader=LoaderConfig(clean_share=0.5),
        codec=CodecConfig(basis_size=48),
        hypernetwork=HypernetworkConfig(hidden_size=96, depth=4),
        training=TrainingConfig(steps=4000, batch_size=256),
        reference=ReferenceConfig(epochs=200.0, batch_size=32, learning_rate=3e-3),
    )
