"""What the hypernetworks of the ablation have in common: DiHyFo-2 on MNIST-4 (784-2-4); `experiments.ablation` varies the rest.

`python -m experiments.ablation --data.dir DIR` takes an hour on two CPU cores beside other jobs: one zoo, four trainings, 32 cells.

Chunks of 157 cut the 1,568 weights of layer 1 into ten tokens. A cell samples three batches of 60 models: 6 families x 10 prompts for
each of the two classes, and 20 models for each of the three forget sets. docs/hypernetworks.md has the measured numbers.
"""

from dataclasses import replace

from hyperforget_jax.config import (
    CodecConfig,
    Config,
    DiffusionConfig,
    EvaluationConfig,
    HypernetworkConfig,
    RequestConfig,
    SamplingConfig,
    TrainingConfig,
)

from . import mnist4_base


def get_config() -> Config:
    """Small trainings; conditions are dropped in training, so that guidance is possible."""
    return replace(
        mnist4_base.get_config(),
        workdir="runs/ablation",
        codec=CodecConfig(kind="functional", basis_size=128, chunk_size=157),
        hypernetwork=HypernetworkConfig(exposure=False, hidden_size=192, depth=4),
        diffusion=DiffusionConfig(class_dropout=0.1, kind_dropout=0.0, full_dropout=0.1),
        training=TrainingConfig(steps=1500, batch_size=256),
        sampling=SamplingConfig(batch_size=60, temperature=1.0),
        request=RequestConfig(
            prompts="best", samples=20, forget_levels=1, retain_quantiles=(0.05,), retain_factors=(1.0,)
        ),
        evaluation=EvaluationConfig(alignment_prompts=10, alignment_families=6),
    )
