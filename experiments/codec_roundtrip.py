"""What a codec loses: class losses before and after encode-decode, for several basis sizes.

    python -m experiments.codec_roundtrip --data.dir DIR

Uses the MNIST-4 setting and its workdir's zoo (built if it is missing); prints a table and leaves `roundtrip.jsonl`.
"""

import sys
from dataclasses import replace

import jax
import numpy as np

from configs import mnist4_base
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.pipeline import training, zoo_report
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.weights.layout import unflatten_many

BASIS_SIZES = (32, 64, 96, 128, 192, 256)
CHECKPOINTS = 2000


def run(job: Run) -> None:
    """Measures |Δ log(loss + c)| per class and the loss of accuracy over held-out checkpoints."""
    config = job.config
    train_zoo, val_zoo = pipeline_zoo.make_zoo(job).split(config.zoo.runs, config.zoo.validation_share)
    some = val_zoo.spaced(CHECKPOINTS)
    models = unflatten_many(np.asarray(some.weights), job.sizes)
    rows = []
    for size in BASIS_SIZES:
        coder = training.fit_codec(job, train_zoo, replace(config.codec, kind="functional", basis_size=size))
        back = jax.jit(jax.vmap(lambda params, coder=coder: coder.decode(coder.encode(params))))(models)
        change, lost = zoo_report.changes(job, some, back)
        rows.append(
            {
                "basis_size": size,
                "checkpoints": len(some),
                "log_loss_change_median": float(np.median(change)),
                "log_loss_change_q95": float(np.quantile(change, 0.95)),
                "accuracy_lost": float(lost.mean()),
            }
        )
    artifacts.write_rows(job.folder / "roundtrip.jsonl", rows)
    job.console.print(listing(rows))


if __name__ == "__main__":
    sys.exit(run_experiment("codec_roundtrip", mnist4_base.get_config(), run, sys.argv[1:]))
