"""G.pt on digits: DiHyFo-1 with one number as its condition, four hypernetworks from one zoo of the quickstart's protocol (64-3-4).

`python -m experiments.gpt` takes about 4 minutes on two CPU cores and needs no download.
"""

from dataclasses import replace

from configs import digits4_dihyfo2
from hyperforget_jax.config import Config, HypernetworkConfig, LoaderConfig, TrainingConfig
from hyperforget_jax.pipeline.workdir import workdir_path, zoo_path


def get_config() -> Config:
    """What the four have in common; of the fields that `variants` sets, the last one's values."""
    base = digits4_dihyfo2.get_config("four")
    return replace(
        base,
        workdir="runs/gpt",
        zoo=replace(base.zoo, runs=1024),
        loader=LoaderConfig(resample="none"),
        hypernetwork=HypernetworkConfig(
            kind="dihyfo1", metric="one_loss", metric_class=2, hidden_size=128, depth=3
        ),
        sampling=replace(base.sampling, temperature=1.0),
        training=TrainingConfig(steps=800, batch_size=256, alignment_every=100),
    )


def variants(base: Config) -> dict[str, Config]:
    """The four by their folders in the workdir: they share its zoo, and differ in metric and re-balancing (`loader.resample`) alone."""
    zoo = replace(base.zoo, folder=str(zoo_path(base)))
    mean_loss = replace(base.hypernetwork, metric="mean_loss")
    changes = {
        "mean_loss": replace(base, hypernetwork=mean_loss),
        "mean_loss_balanced": replace(
            base, hypernetwork=mean_loss, loader=replace(base.loader, resample="losses")
        ),
        "mean_error": replace(base, hypernetwork=replace(base.hypernetwork, metric="mean_error")),
        "one_loss": base,
    }
    return {
        folder: replace(config, workdir=str(workdir_path(base) / folder), zoo=zoo)
        for folder, config in changes.items()
    }
