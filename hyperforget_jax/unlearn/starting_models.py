"""What DiHyFo-1 starts from: given models, or random ones."""

from collections.abc import Callable
from functools import partial

import jax

from hyperforget_jax import classifier
from hyperforget_jax.config import HypernetworkConfig
from hyperforget_jax.diffusion import targets
from hyperforget_jax.diffusion.hypernetwork import Generator, Start

Labelled = tuple[jax.Array, jax.Array]
"""Images [n, d] and labels [n] on the device."""


def metric_of(config: HypernetworkConfig, models: classifier.Params, split: Labelled) -> jax.Array:
    """What the hypernetwork is conditioned on [N, M], of N stacked models on a split."""
    return targets.observe(config, *classifier.class_scores_of_many(models, *split))


def random_start(keys: jax.Array, sizes: tuple[int, ...], config: HypernetworkConfig, split: Labelled) -> Start:
    """The random models that DiHyFo-1 starts from with keys [N], and their metric on a split."""
    inits = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)
    models = jax.vmap(partial(classifier.init, sizes=sizes))(inits)
    return Start(models, metric_of(config, models, split))


def with_random_start(
    generate: Generator, sizes: tuple[int, ...], config: HypernetworkConfig, split: Labelled
) -> Generator:
    """A generator that starts DiHyFo-1 from random models unless it is given others; DiHyFo-2 as it is.

    Args:
      generate: the hypernetwork.
      sizes: width of every layer of the classifier.
      config: which hypernetwork, and its metric.
      split: images and labels that the start's metric is measured on.
    """
    if config.kind == "dihyfo2":
        return generate

    def begin(
        keys: jax.Array, prompts: jax.Array, on_models: Callable[[int], None], start: Start | None = None
    ) -> classifier.Params:
        if start is None:
            start = random_start(keys, sizes, config, split)
        # the noise is not that of the initialisation
        return generate(jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys), prompts, on_models, start)

    return begin
