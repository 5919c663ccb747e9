"""G.pt on digits: DiHyFo-1 with one number as its condition, on a zoo of digits4_dihyfo2's protocol (64-3-4).

`python -m experiments.gpt` takes about 4 minutes on two CPU cores and needs no download; it trains four hypernetworks, which differ in
metric and re-balancing, from one zoo. docs/hypernetworks.md has the measured numbers.
"""

from dataclasses import replace

from hyperforget_jax.config import Config, HypernetworkConfig, LoaderConfig, TrainingConfig

from . import digits4_dihyfo2


def get_config() -> Config:
    """What the four have in common; of the fields that they differ in, the last one's values."""
    base = digits4_dihyfo2.get_config()
    return replace(
        base,
        workdir="runs/gpt",
        zoo=replace(base.zoo, runs=1024, min_clean_runs=32),
        loader=LoaderConfig(resample="none"),
        codec=replace(base.codec, kind="functional"),
        hypernetwork=HypernetworkConfig(
            kind="dihyfo1", metric="one_loss", metric_class=2, exposure=False, hidden_size=128, depth=3
        ),
        diffusion=replace(base.diffusion, class_dropout=0.0, kind_dropout=0.0),
        sampling=replace(base.sampling, temperature=1.0),
        request=replace(base.request, prompts="best"),
        training=TrainingConfig(steps=800, batch_size=256, alignment_every=100),
    )
