"""Which images a run uses: an image while its number, fixed by a word of the run and one of the image, is below its class's keep rate."""

import jax
import jax.numpy as jnp


def uniforms(run_word: jax.Array, image_words: jax.Array) -> jax.Array:
    """Numbers in [0, 1) of one run for some images; other runs, and other images, have other numbers.

    The two words are mixed by the finaliser of MurmurHash3, six operations a number: a table [R, N] would not fit the cache.

    Args:
      run_word: [], uint32.
      image_words: [B], uint32.

    Returns:
      [B], multiples of 2^-24.
    """
    mixed = image_words ^ run_word
    mixed = (mixed ^ (mixed >> 16)) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 13)) * jnp.uint32(0xC2B2AE35)
    return ((mixed ^ (mixed >> 16)) >> 8).astype(jnp.float32) * 2.0**-24


def used_shares(run_words: jax.Array, image_words: jax.Array, labels: jax.Array, rates: jax.Array) -> jax.Array:
    """Share [R, K] of each class's images that each run uses at given keep rates: exactly 0 if none, exactly 1 if all.

    Args:
      run_words: [R], uint32.
      image_words: [N], uint32, of the training images.
      labels: [N] int32.
      rates: [R, K], keep rates.
    """
    classes = rates.shape[-1]
    sizes = jnp.maximum(jnp.bincount(labels, length=classes), 1)  # [K]

    def of_run(run: tuple[jax.Array, jax.Array]) -> jax.Array:
        word, kept = run
        used = uniforms(word, image_words) < kept[labels]  # [N]
        counts = jnp.zeros(classes, jnp.int32).at[labels].add(used.astype(jnp.int32))  # [K]
        shares = counts.astype(jnp.float32) / sizes.astype(jnp.float32)
        return jnp.where(counts == sizes, 1.0, shares)  # whatever an accelerator's division makes of n / n

    return jax.lax.map(of_run, (run_words, rates))
