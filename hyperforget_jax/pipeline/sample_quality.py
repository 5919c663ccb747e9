"""How good and how fast a sampler is: prompt alignment, accuracies of unselected models, seconds of a batch."""

import statistics
import time
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.diffusion.hypernetwork import Generator, Start
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import alignment
from hyperforget_jax.pipeline.alignment import Grid
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn import selection
from hyperforget_jax.unlearn.requests import Floats


def measure(run: Run, name: str, generate: Generator, grids: Mapping[int, Grid], prompts: Floats) -> dict[str, float]:
    """Samples for every forget set and follows every grid, all measured on test.

    Args:
      run: its config says how many models.
      name: what is measured, for the progress line and for errors; the random stream does not depend on it.
      generate: the sampler.
      grids: the sweep of every forgettable class, by its label.
      prompts: [S, K], class losses in nats, one prompt per forget set.

    Returns:
      `r2_2`, `pearson_2` (label), mean over families; `retain_2-3`, `forget_2-3` (forget set), median over unselected models;
      `seconds` of a batch of `models`, and `models_per_second`.

    Raises:
      HyperForgetError: a loss is not finite.
    """
    config, test, seconds = run.config, on_device(run.dataset.test), list[float]()
    samples, families = config.request.samples, config.evaluation.alignment_families
    noise = jax.random.split(prng.stream(config.seed, "alignment"), families)
    draws = jax.random.split(prng.stream(config.seed, "ablation"), len(prompts) * samples)
    targets = jnp.repeat(jnp.asarray(prompts), samples, axis=0)  # [S * N, K]
    timed = in_batches(generate, config.sampling.batch_size, seconds)
    total = len(draws) + families * sum(len(grid.prompts) for grid in grids.values())
    with track(run.console, name, total, "models") as advance:
        models = timed(draws, targets, advance)
        sweeps = {
            label: alignment.follow(run, grid, column, timed, jax.random.clone(noise), test, advance)
            for label, (column, grid) in alignment.by_position(run, grids).items()
        }
    values: dict[str, float] = {}
    for label, sweep in sweeps.items():
        reached = alignment.means(run, sweep)
        values |= {f"{metric}_{label}": reached[metric] for metric in ("r2", "pearson")}
    scores = np.asarray(classifier.class_scores_of_many(models, *test), np.float64)  # [2, S * N, K]
    accuracies = scores[1].reshape(len(prompts), samples, -1)  # [S, N, K]
    for labels, forget, each in zip(config.task.forget_sets, run.forget_sets, accuracies, strict=True):
        about = "-".join(map(str, labels))
        retained, forgotten = selection.class_weights(run.dataset.test.labels, forget, each.shape[1])
        values |= {f"retain_{about}": np.median(each @ retained), f"forget_{about}": np.median(each @ forgotten)}
    if not (np.isfinite(scores).all() and np.isfinite([*values.values()]).all()):
        raise HyperForgetError(f"{name}: models have losses that are not finite: raise training.steps")
    size, once = config.sampling.batch_size, statistics.median(seconds[1:])  # the first compiles
    measured = {key: float(value) for key, value in values.items()}
    return measured | {"seconds": once, "models": size, "models_per_second": size / once}


def in_batches(generate: Generator, size: int, seconds: list[float]) -> Generator:
    """The same models in batches of one size, so that only the first compiles; adds the seconds of each to a list."""

    def timed(
        keys: jax.Array, prompts: jax.Array, on_models: Callable[[int], None], start: Start | None = None
    ) -> Params:
        parts, count = [], len(keys)
        for first in range(0, count, size):
            rows = jnp.clip(jnp.arange(first, first + size), 0, count - 1)
            batch = keys[rows], prompts[rows], jax.tree.map(lambda leaf, rows=rows: leaf[rows], start)
            draws, targets, starts = jax.block_until_ready(batch)
            since = time.monotonic()
            parts.append(jax.block_until_ready(generate(draws, targets, lambda count: None, starts)))
            seconds.append(time.monotonic() - since)
            on_models(min(size, count - first))
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[:count], *parts)

    return timed
