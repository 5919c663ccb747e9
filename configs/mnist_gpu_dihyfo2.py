"""DiHyFo-2 on MNIST as mnist_drawn_dihyfo2, at a size for one GPU: more clean runs, two and a half times the steps.

`hyperforget train --config mnist_gpu_dihyfo2 --data.dir DIR`
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import mnist_drawn_dihyfo2


def get_config() -> Config:
    """The generator of MNIST with 256 clean runs for each of the 15 sets that are shown."""
    base = mnist_drawn_dihyfo2.get_config()
    return replace(
        base,
        workdir="runs/mnist_gpu_dihyfo2",
        zoo=replace(
            base.zoo,
            runs=3072,
            runs_per_block=512,
            snapshots=100,
            min_clean_runs=256,
            min_per_combination=0,
            memory_gib=32.0,
        ),
        loader=replace(base.loader, clean_share=0.4, memory_gib=32.0, threads=8, prefetch=32),
        training=replace(base.training, steps=18000, alignment_every=0, checkpoint_every=6000, log_every=200),
        distillation=replace(base.distillation, steps=3000),
    )
