"""Every baseline on MNIST-4, by its default settings and by those of an equal-budget search on validation images.

    python -m experiments.baselines --data.dir DIR

The first forget set of the config, 784-2-4, 8 original models, 16 candidates a method. Prints a table and leaves `baselines.jsonl`
(every candidate) and `baselines.md` in the workdir. docs/baselines.md shows the table.
"""

import sys
import time
from typing import Any

import jax
import pandas as pd

from configs import mnist4_base
from hyperforget_jax import classifier
from hyperforget_jax.baselines import registry
from hyperforget_jax.baselines.method import Problem, answer, problem
from hyperforget_jax.baselines.retrain import Retrain
from hyperforget_jax.baselines.search import accuracies, search
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.job import run_experiment
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces, to_markdown
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track

SEEDS, CANDIDATES = 8, 16


def run(job: Run) -> None:
    """Originals, then for every method its default answer, the search, and the searched answer, on test images."""
    start, draws, own = (prng.stream(job.config.seed, f"baselines/{name}") for name in ("start", "draws", "own"))
    train, (num_classes, asked) = on_device(job.dataset.train), (job.sizes[-1], job.forget_sets[0])
    starts = jax.vmap(lambda key: classifier.init(key, job.sizes))(jax.random.split(start, SEEDS))
    keys = jax.random.split(own, SEEDS)
    of_all, of_set = (problem(draws, *train, forget, num_classes) for forget in ((), asked))
    originals = answer(Retrain(), starts, of_all, keys)
    table, candidates = [measured(job, "original", originals, of_set)], list[dict[str, Any]]()
    with track(job.console, "baselines", len(registry.METHODS), "methods") as advance:
        for name, kind in registry.METHODS.items():
            best, found = search(
                kind(), originals, of_set, keys, on_device(job.dataset.validation), CANDIDATES, job.config.seed
            )
            candidates += [{"method": name, "row": row} | each._asdict() for row, each in enumerate(found)]
            models = jax.block_until_ready(answer(best, originals, of_set, keys))
            began = time.monotonic()
            jax.block_until_ready(answer(best, originals, of_set, keys))
            seconds = (time.monotonic() - began) / SEEDS
            plain = measured(job, name, answer(kind(), originals, of_set, keys), of_set)
            searched = measured(job, name, models, of_set)
            chosen = ", ".join(f"{each.name} {getattr(best, each.name):.3g}" for each in kind.ranges)
            table.append(
                plain
                | {"retain, searched": searched["retain"], "forget, searched": searched["forget"]}
                | {"settings found": chosen, "seconds a model": f"{seconds:.3f}"}
            )
            advance(1)
    artifacts.write_rows(job.folder / "baselines.jsonl", candidates)
    caption = f"Forget {braces(job.config.task.forget_sets[0])}: accuracy on test images, mean of {SEEDS} models."
    frame = pd.DataFrame(table).fillna("")
    artifacts.write_text(
        job.folder / "baselines.md", f"{caption}\n\n{to_markdown(frame, ['method', 'settings found'])}"
    )
    job.console.print(listing(frame))


def measured(job: Run, name: str, models: Params, asked: Problem) -> dict[str, str]:
    """The cells of a method: mean retain and forget accuracy on test images."""
    stacked = jax.tree.map(lambda leaf: leaf[None], models)
    retain, forget = accuracies(stacked, on_device(job.dataset.test), asked.forget)
    return {"method": name, "retain": f"{retain[0]:.4f}", "forget": f"{forget[0]:.4f}"}


if __name__ == "__main__":
    sys.exit(run_experiment("baselines", mnist4_base.get_config(), run, sys.argv[1:]))
