"""The whole path in half a minute, for tests and to see that an installation works: four digits, bad models.

`hyperforget run --config smoke_dihyfo2`

Batches of 13 take one device of eight: programs for one compile faster.
"""

from hyperforget_jax.config import (
    CodecConfig,
    Config,
    DiffusionConfig,
    EvaluationConfig,
    HypernetworkConfig,
    ReferenceConfig,
    RequestConfig,
    SamplingConfig,
    TrainingConfig,
    ZooConfig,
)


def get_config() -> Config:
    """The smallest setting that has every kind of checkpoint the requests need."""
    return Config(
        workdir="runs/smoke_dihyfo2",
        zoo=ZooConfig(
            runs=32,
            runs_per_block=16,
            epochs=30.0,
            batch_size=64,
            snapshots=8,
            learning_rate=(1e-2, 2e-2),
            never_seen_probability=1.0,
            min_clean_runs=4,
        ),
        codec=CodecConfig(kind="functional", basis_size=8),
        hypernetwork=HypernetworkConfig(
            kind="dihyfo2", exposure=False, hidden_size=32, depth=1, num_heads=2, mlp_ratio=1, frequencies=4
        ),
        diffusion=DiffusionConfig(class_dropout=0.0, kind_dropout=0.0),
        training=TrainingConfig(
            steps=4,
            batch_size=13,
            warmup_steps=1,
            log_every=2,
            checkpoint_every=2,
            alignment_every=2,
            alignment_families=2,
        ),
        sampling=SamplingConfig(steps=3, temperature=0.7, batch_size=13),
        request=RequestConfig(
            prompts="best", samples=8, forget_levels=2, retain_quantiles=(0.5,), trial_samples=(2,), num_selected=2
        ),
        reference=ReferenceConfig(seeds=3, clean_runs=10, epochs=10.0, batch_size=64, learning_rate=1e-2),
        evaluation=EvaluationConfig(
            alignment_prompts=4,
            alignment_families=3,
            bootstrap=20,
            c2st_trees=5,
            c2st_permutations=2,
            relearning_shots=(5,),
            relearning_steps=(5, 10),
        ),
    )
