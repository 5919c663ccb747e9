"""The paper's DiHyFo-2 on MNIST-4: 1536 wide, 12 layers, 16 heads, raw tokens, condition tokens, DDPM (sections 3 and 4).

`hyperforget run --config mnist4_paper_dihyfo2 --data.dir DIR` (DiHyFo-1: `--hypernetwork.kind dihyfo1`)

Where the paper is silent the numbers are those of its parent, G.pt (arXiv 2209.12892); bfloat16 activations and the logarithm of
losses are ours. 361 million parameters (369 for DiHyFo-1): it needs a GPU and has not been trained, so there are neither hours nor
results to expect; `python -m experiments.benchmarks.hypernetwork` with this size and batch measures the steps per second of a device.
"""

from dataclasses import replace

from hyperforget_jax.config import (
    CodecConfig,
    Config,
    DiffusionConfig,
    HypernetworkConfig,
    LoaderConfig,
    SamplingConfig,
    TrainingConfig,
)

from . import mnist4_zoo


def get_config() -> Config:
    """The paper's hypernetwork on its first zoo."""
    return replace(
        mnist4_zoo.get_config(),
        workdir="runs/mnist4_paper_dihyfo2",
        loader=LoaderConfig(resample="none"),
        codec=CodecConfig(kind="raw", chunk_size=1000),
        hypernetwork=HypernetworkConfig(
            exposure=False,
            conditioning="tokens",
            hidden_size=1536,
            depth=12,
            num_heads=16,
            frequencies=128,
            max_frequency=2.0**14,
            dtype="bfloat16",
        ),
        diffusion=DiffusionConfig(
            schedule="linear",
            prediction="x0",
            weighting="uniform",
            functional_weight=0.0,
            class_dropout=0.0,
            kind_dropout=0.0,
        ),
        training=TrainingConfig(
            steps=200_000,
            batch_size=1024,
            learning_rate=4e-4,
            warmup_steps=5_000,
            weight_decay=0.1,
            beta2=0.999,
            clip_norm=0.75,
            ema_decay=0.9999,
            log_every=500,
            checkpoint_every=5_000,
            alignment_every=10_000,
            untrained_share=0.0,
            unrelated_share=0.0,
        ),
        sampling=SamplingConfig(sampler="ddpm", steps=1000, temperature=1.0),
    )
