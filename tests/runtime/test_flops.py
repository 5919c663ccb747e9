"""Counts equal those by hand: products, batches, loops, gradients, branches."""

import jax
import jax.numpy as jnp
import pytest

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import flops

A, B = jnp.ones((3, 5), jnp.float32), jnp.ones((5, 7), jnp.float32)
ONE = 2 * 3 * 5 * 7


def test_a_product_a_batch_and_a_jitted_call() -> None:
    assert flops.of_products(jnp.matmul, A, B) == ONE
    assert flops.of_products(jax.jit(jnp.matmul), A, B) == ONE
    assert flops.of_products(jax.vmap(jnp.matmul), jnp.stack([A] * 4), jnp.stack([B] * 4)) == 4 * ONE
    assert flops.of_products(jnp.add, A, A) == 0


def test_loops_count_as_often_as_they_run() -> None:
    square = jnp.ones((5, 5), jnp.float32)
    each = 2 * 5 * 5 * 5

    def looped(x: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda state, _: (state @ x, None), x, length=11)[0]

    def nested(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 3, lambda _, state: looped(state), x)

    assert flops.of_products(looped, square) == 11 * each
    assert flops.of_products(nested, square) == 33 * each
    assert flops.of_products(lambda x: jax.lax.map(lambda row: row @ square, x), square) == each


def test_a_gradient_of_a_linear_layer_has_one_product_for_the_weights_besides_the_forward_one() -> None:
    def loss(weights: jax.Array) -> jax.Array:
        return jnp.square(A @ weights).sum()

    assert flops.of_products(jax.grad(loss), B) == 2 * ONE


def test_the_most_expensive_branch_counts() -> None:
    def branched(x: jax.Array) -> jax.Array:
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ B, lambda x: (x @ B) + (x @ B), x)

    assert flops.of_products(branched, A) == 2 * ONE


def test_a_loop_of_unknown_length_is_refused() -> None:
    def endless(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

    with pytest.raises(HyperForgetError, match="no length known before it runs"):
        flops.of_products(endless, jnp.eye(3, dtype=jnp.float32))
