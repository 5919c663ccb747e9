"""One small bottleneck on Gaussian clusters, trained once for each module that asks for it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.bottleneck import keys, model, train
from hyperforget_jax.config import BottleneckConfig

CONFIG = BottleneckConfig(codebooks=8, pairs=32, subspace=4, key_steps=20, key_batch=128, value_epochs=4, block=64)


class Problem(NamedTuple):
    """Images of four clusters, and a bottleneck that tells them apart."""

    embeddings: jax.Array
    labels: jax.Array
    validation: jax.Array
    validation_labels: jax.Array
    bottleneck: model.Bottleneck
    curve: tuple[float, ...]
    config: BottleneckConfig


@pytest.fixture(scope="module")
def problem() -> Problem:
    rng = np.random.default_rng(0)
    labels = np.arange(500, dtype=np.int32) % 4
    centres = 4 * rng.normal(size=(4, 6))
    embeddings = jnp.asarray(centres[labels] + rng.normal(size=(500, 6)), jnp.float32)
    codebooks = keys.learn(jax.random.key(0), embeddings[:400], CONFIG)
    start = model.init(codebooks, 4)
    chosen = model.selections(start, embeddings, CONFIG)
    parts = [train.Images(chosen[:, part], jnp.asarray(labels[part])) for part in (slice(400), slice(400, None))]
    fitted = train.fit(jax.random.key(1), start, *parts, CONFIG)
    halves = embeddings[:400], parts[0].labels, embeddings[400:], parts[1].labels
    return Problem(*halves, fitted.bottleneck, fitted.curve, CONFIG)
