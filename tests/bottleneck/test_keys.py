"""Nearest keys by scipy's distances, vector quantisation by a plain loop."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hyperforget_jax.bottleneck import keys
from hyperforget_jax.bottleneck.keys import Averages, Codebooks
from hyperforget_jax.config import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError

pytestmark = pytest.mark.usefixtures("programs")

CODEBOOKS = Codebooks(keys.projections(jax.random.key(0), 3, 7, 4), jax.random.normal(jax.random.key(1), (3, 20, 4)))
EMBEDDINGS = jax.random.normal(jax.random.key(2), (50, 7))
NONE = jnp.zeros((3, 20), bool)


def by_scipy(masked: np.ndarray, top_k: int) -> np.ndarray:
    """The nearest keys [C, N, k] in double precision."""
    found = []
    for projection, table, hidden in zip(*(np.asarray(each) for each in (*CODEBOOKS, masked)), strict=True):
        apart = cdist(np.asarray(EMBEDDINGS, np.float64) @ projection, table)
        found.append(np.argsort(np.where(hidden, np.inf, apart), 1)[:, :top_k])
    return np.array(found)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_nearest_unmasked_keys_are_scipys(top_k: int, share: float) -> None:
    masked = jax.random.uniform(jax.random.key(3), (3, 20)) < share
    found = keys.select(CODEBOOKS, EMBEDDINGS, masked, top_k=top_k, block=16)
    np.testing.assert_array_equal(found, by_scipy(np.asarray(masked), top_k))
    assert not np.take_along_axis(np.asarray(masked), np.asarray(found).reshape(3, -1), 1).any()


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_blocks_of_any_size_give_the_same_selections(block: int) -> None:
    found = keys.select(CODEBOOKS, EMBEDDINGS, NONE, top_k=1, block=block)
    np.testing.assert_array_equal(found, by_scipy(np.asarray(NONE), 1))


def test_equally_near_keys_are_taken_in_order() -> None:
    twins = jnp.array([[5.0, 5.0], [1.0, 0.0], [1.0, 0.0]])
    for top_k in (1, 2):
        found = keys.nearest(jnp.ones((1, 2)), twins, jnp.zeros(3, bool), top_k)
        np.testing.assert_array_equal(found, [[1, 2][:top_k]])


def test_projections_are_orthonormal_and_differ() -> None:
    gram = np.einsum("cij,cik->cjk", CODEBOOKS.projections, CODEBOOKS.projections)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(4), (3, 4, 4)), atol=1e-6)
    assert not np.allclose(CODEBOOKS.projections[0], CODEBOOKS.projections[1])


def test_a_step_equals_a_plain_loop() -> None:
    config = BottleneckConfig(key_decay=0.9, dead_share=0.0)
    rng = np.random.default_rng(0)
    points, uses, sums = rng.normal(size=(40, 3)), rng.uniform(1, 2, 6), rng.normal(size=(6, 3))
    after_uses, after_sums = 0.9 * uses, 0.9 * sums
    for point in points:
        near = np.argmin(((sums / uses[:, None] - point) ** 2).sum(1))
        after_uses[near] += 0.1
        after_sums[near] += 0.1 * point
    state = Averages(jnp.asarray(uses, jnp.float32), jnp.asarray(sums, jnp.float32))
    after = keys.step(jax.random.key(0), state, jnp.asarray(points, jnp.float32), config)
    np.testing.assert_allclose(after.uses, after_uses, rtol=1e-5)
    np.testing.assert_allclose(after.sums, after_sums, atol=1e-5)


def test_dead_keys_become_points_of_the_batch_with_the_mean_use() -> None:
    config = BottleneckConfig(key_decay=0.5, dead_share=0.5)
    points = jax.random.normal(jax.random.key(0), (30, 2))
    far = jnp.array([[0.0, 0.0], [1e3, 1e3]])
    after = keys.step(jax.random.key(1), Averages(jnp.full(2, 10.0), 10.0 * far), points, config)
    assert float(after.uses[0]) == 20.0  # half of 10 and half of 30
    assert float(after.uses[1]) == 12.5  # was 5
    restarted = after.sums[1] / after.uses[1]
    assert np.isclose(np.asarray(points), np.asarray(restarted)).all(1).any()


def test_learned_keys_quantise_better_than_random_points() -> None:
    config = BottleneckConfig(codebooks=2, pairs=16, subspace=3, key_steps=40, key_batch=200, key_decay=0.8)
    embeddings = jax.random.normal(jax.random.key(0), (400, 5))

    def error(found: Codebooks) -> float:
        apart = [
            cdist(embeddings @ projection, table).min(1)
            for projection, table in zip(found.projections, found.keys, strict=True)
        ]
        return float(np.square(apart).mean())

    learned = keys.learn(jax.random.key(1), embeddings, config)
    unmoved = keys.learn(jax.random.key(1), embeddings, replace(config, key_steps=1, key_decay=0.999, dead_share=0.0))
    assert error(learned) < 0.85 * error(unmoved)


def test_a_sub_space_above_the_embedding_is_refused() -> None:
    with pytest.raises(HyperForgetError, match=r"bottleneck.subspace is 8, embeddings have 7 dimensions"):
        keys.projections(jax.random.key(0), 2, 7, 8)
