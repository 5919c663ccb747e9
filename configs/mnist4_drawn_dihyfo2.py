"""DiHyFo-2 on MNIST-4, made to be distributed like clean runs: every model has a prompt of its own, exposure and age are asked for.

`hyperforget run --config mnist4_drawn_dihyfo2 --data.dir DIR` takes 18 minutes on two CPU cores beside CI. The paper's mode, one best
prompt, is answered and measured beside it as `dihyfo2_best`. Runs take all pixels, so that `hyperforget purge` can make the run clean.

Expect of 256 unselected models for {2}, {3} and {2, 3}: a random forest tells them from clean runs with AUC 0.76 / 0.86 / 0.65 on class
scores, 0.77 / 0.82 / 0.66 on outputs, 0.79 / 0.75 / 0.70 on canonical and 0.76 / 0.64 / 0.65 on raw weights (one best prompt: 0.97 to
1.00); disagreement 0.95 / 1.11 / 1.01 of the clean runs'; median retain accuracy within 0.005 of theirs; forget accuracy 0.0000.
docs/results/mnist4_drawn_dihyfo2.md has the measured numbers.
"""

from dataclasses import replace

from hyperforget_jax.config import Config

from . import mnist4_dihyfo2


def get_config() -> Config:
    """The generator of MNIST-4 with 512 clean runs for every forget set, and a codec that drops nothing."""
    base = mnist4_dihyfo2.get_config()
    return replace(
        base,
        workdir="runs/mnist4_drawn_dihyfo2",
        zoo=replace(base.zoo, runs_per_block=64, min_clean_runs=512, purgeable=True),
        loader=replace(base.loader, clean_share=0.5),
        codec=replace(base.codec, kind="complete", basis_size=48),
        hypernetwork=replace(base.hypernetwork, exposure=True),
        diffusion=replace(base.diffusion, class_dropout=0.1, kind_dropout=0.2),
        sampling=replace(base.sampling, temperature=1.0),
        request=replace(base.request, prompts="drawn"),
    )
