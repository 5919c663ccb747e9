"""How well the reference is trained: retain accuracy of reference models on validation, for several settings.

    python -m experiments.reference_tuning --data.dir DIR

A weak reference flatters every unlearning method. Uses the MNIST-4 setting; prints a table and leaves
`tune_reference.jsonl` in the workdir. `configs/mnist4_base.py` takes one of the best (docs/lab_notes.md).
"""

import itertools
import sys
from dataclasses import replace

import jax
import numpy as np

from configs import mnist4_base
from hyperforget_jax import classifier
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.metrics.accuracy import accuracy
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report.console import listing
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.reference import retrain

EPOCHS = (25.0, 50.0)
BATCH_SIZES = (64, 256)
LEARNING_RATES = (2e-3, 6e-3)


def run(job: Run) -> None:
    """Retrains reference models per setting; the same seeds for all."""
    config = job.config
    validation, rows = job.dataset.validation, []
    settings = list(itertools.product(EPOCHS, BATCH_SIZES, LEARNING_RATES))
    with track(job.console, "references", len(settings), "settings") as advance:
        for epochs, batch_size, rate in settings:
            setting = replace(config.reference, epochs=epochs, batch_size=batch_size, learning_rate=rate)
            key = prng.stream(config.seed, "tune_reference")
            reference = retrain(key, on_device(job.dataset.train), job.forget_sets, job.sizes, setting)
            for index, forget in enumerate(job.forget_sets):
                models = jax.tree.map(lambda leaf, index=index: leaf[index], reference)
                predictions = classifier.logits_of_many(models, validation.images).argmax(-1)
                retained = accuracy(predictions, validation.labels, ~np.isin(validation.labels, forget))
                low, median, high = np.quantile(retained, (0.05, 0.5, 0.95))
                about = {"epochs": epochs, "batch_size": batch_size, "learning_rate": rate}
                asked = {"forget_set": list(config.task.forget_sets[index])}
                rows.append({**about, **asked, "q05": low, "median": median, "q95": high})
            advance(1)
    artifacts.write_rows(job.folder / "tune_reference.jsonl", rows)
    job.console.print(listing(rows))


if __name__ == "__main__":
    sys.exit(run_experiment("reference_tuning", mnist4_base.get_config(), run, sys.argv[1:]))
