"""What gives samples away before any hypernetwork: clean runs that went through the codec, told from clean runs that did not.

    python -m experiments.codec_two_sample RUN

Fits the complete codec for several basis sizes on one half of the run's clean reference, sends the other half to tokens and back, with
the tail drawn anew, and asks a forest to tell it from the first. What it finds no hypernetwork on that codec can avoid. Neither the zoo nor
the hypernetwork is needed. Leaves `codec_two_sample.md` and `codec_two_sample.jsonl` in the run's workdir.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.errors import cli_errors
from hyperforget_jax.cli.job import RunOptions, open_finished
from hyperforget_jax.cli.main import set_up_process
from hyperforget_jax.metrics.two_sample import two_sample_test
from hyperforget_jax.pipeline.distribution import views
from hyperforget_jax.pipeline.reference import clean_reference
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report.console import listing
from hyperforget_jax.report.tables import braces, number, to_markdown
from hyperforget_jax.runtime import artifacts, prng
from hyperforget_jax.runtime.progress import track
from hyperforget_jax.unlearn.selection import class_weights
from hyperforget_jax.weights import codec, tail
from hyperforget_jax.weights.codec import Functional

BASIS_SIZES = (48, 96, 160)


@cli_errors
def main(arguments: Sequence[str]) -> int:
    """Measures; exit status 0 or 2."""
    _, run = open_finished(RunOptions, "codec_two_sample", arguments)
    halves = [jax.tree.map(lambda leaf, first=first: leaf[:, first::2], clean_reference(run)) for first in (0, 1)]
    rows = list[dict[str, Any]]()
    with track(run.console, "basis sizes", len(BASIS_SIZES), "sizes") as advance:
        for size in BASIS_SIZES:
            fitted = fit(run, halves[0], size)
            for index in range(len(run.forget_sets)):
                first, second = (jax.tree.map(lambda leaf, index=index: leaf[index], half) for half in halves)
                rows.append({"basis size": size, **told(run, fitted, index, first, second)})
            advance(1)
    artifacts.write_rows(run.folder / "codec_two_sample.jsonl", rows)
    texts = pd.DataFrame(rows).map(lambda value: number(value) if isinstance(value, float) else str(value))
    artifacts.write_text(run.folder / "codec_two_sample.md", f"{to_markdown(texts, ['forget'])}\n")
    run.console.print(listing(rows))
    return 0


def fit(run: Run, clean: Params, size: int) -> Functional:
    """The complete codec and its tail, fitted on clean runs: leaves [F, M, …], F the run's forget sets."""
    everything = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), clean)
    config = replace(run.config.codec, kind="complete", basis_size=size)
    images = run.learned_images
    made = codec.fit(config, run.sizes, everything, images.images, images.labels)
    assert isinstance(made, Functional)
    assert made.seen is not None
    groups = [
        (exposed(run, index), jax.tree.map(lambda leaf, index=index: np.asarray(leaf[index]), clean))
        for index in range(len(run.forget_sets))
    ]
    return replace(made, tail=tail.fit(made.first, np.append(made.seen.any(0), True), groups))


def exposed(run: Run, index: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The classes [K] that clean runs of a forget set have seen."""
    return ~np.isin(np.arange(run.sizes[-1]), run.forget_sets[index])


def told(run: Run, fitted: Functional, index: int, reference: Params, others: Params) -> dict[str, Any]:
    """AUC of a forest that tells models [M, …] that went through the codec from a reference, and what they lost of accuracy."""
    keys = jax.random.split(prng.stream(run.config.seed, f"codec_two_sample/{index}"), len(others[-1]["b"]))
    seen = jnp.asarray(exposed(run, index))
    back = jax.vmap(lambda key, params: fitted.fill(key, fitted.decode(fitted.encode(params)), seen))(keys, others)
    test, config = run.dataset.test, run.config.evaluation
    retain, _ = class_weights(test.labels, run.forget_sets[index], run.sizes[-1])
    scores = partial(classifier.class_scores_of_many, images=on_device(test).images, labels=on_device(test).labels)
    before, after = (float(np.median(np.asarray(scores(models)[1], np.float64) @ retain)) for models in (others, back))
    ours, theirs = views(run, back), views(run, reference)
    found = {
        f"AUC, {view.replace('_', ' ')}": two_sample_test(
            ours[view], theirs[view], "forest", trees=config.c2st_trees, permutations=0, seed=run.config.seed
        ).auc
        for view in theirs
    }
    return {"forget": braces(run.config.task.forget_sets[index]), "retain": before, "retain, back": after, **found}


if __name__ == "__main__":
    set_up_process()
    sys.exit(main(sys.argv[1:]))
