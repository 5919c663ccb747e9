"""DiHyFo-2 on all ten digits: a 64-8-10 classifier, forgettable {0, ..., 4}.

`hyperforget run --config digits_dihyfo2` (also `hyperforget quickstart --classes all`) takes 8 minutes on two CPU cores.

One best prompt, asked by losses alone, as in the paper. docs/results.md has the measured numbers with date and machine.
"""

from dataclasses import replace

from hyperforget_jax.config import ClassifierConfig, Config, DataConfig, TaskConfig, TrainingConfig

from . import digits4_dihyfo2


def get_config() -> Config:
    """The setting of digits4_dihyfo2 on ten classes, from more runs and with longer training."""
    base = digits4_dihyfo2.get_config()
    return replace(
        base,
        workdir="runs/digits_dihyfo2",
        data=DataConfig(classes=tuple(range(10))),
        task=TaskConfig(pivots=(5, 6, 7, 8, 9), forget_sets=((2,), (2, 3, 4), (0, 1, 2, 3, 4))),
        classifier=ClassifierConfig(hidden=(8,)),
        zoo=replace(base.zoo, runs=3072, min_clean_runs=32),
        loader=replace(base.loader, clean_share=0.0),
        codec=replace(base.codec, kind="functional"),
        hypernetwork=replace(base.hypernetwork, exposure=False, hidden_size=192),
        diffusion=replace(base.diffusion, class_dropout=0.0, kind_dropout=0.0),
        sampling=replace(base.sampling, temperature=0.7),
        request=replace(base.request, prompts="best"),
        training=TrainingConfig(steps=1000, batch_size=256),
    )
