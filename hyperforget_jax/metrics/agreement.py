"""Agreement between unlearned and retrained models, for every pair of them: overlap and the unlearning score.

The ceiling of both is retrained against retrained: give the same models twice and drop the diagonal by `pairs_without_self`.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import entr
from jax.typing import ArrayLike
from numpy.typing import NDArray

from hyperforget_jax.errors import HyperForgetError

Variant = Literal["jsd", "jsd_nat", "badt_compat"]
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Probabilities below the smallest normal float32, 2^-126, have its logarithm in `badt_compat`."""


def overlap(predictions: ArrayLike, references: ArrayLike, member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of images to which two models give the same class (section A.4), for every pair.

    Args:
      predictions: [N, n], classes by argmax of the unlearned models.
      references: [M, n], those of the retrained models.
      member: [n], the images that count: those of the forget set, of the retain set, or all.

    Returns:
      [N, M], in [0, 1].

    Raises:
      HyperForgetError: the set has no image.
    """
    if not member.any():
        raise HyperForgetError("overlap got a set of 0 images: name classes that the split contains")
    ours, theirs = (np.asarray(each)[:, member] for each in (predictions, references))
    return np.stack([(theirs == each).mean(1, dtype=np.float64) for each in ours])


@jax.jit
def _jensen_shannon(probabilities: jax.Array, references: jax.Array) -> jax.Array:
    """Mean over images of H((p + q) / 2) - (H(p) + H(q)) / 2, in nats: [N, M].

    The logarithms have the precision of the input, all sums are in float64.
    """
    q = references.reshape(len(references), -1)  # [M, n * K]
    entropy_q = entr(q).sum(1, dtype=jnp.float64)  # [M]

    def against_all(p: jax.Array) -> jax.Array:
        entropy_p = entr(p).sum(dtype=jnp.float64)
        entropy_mixture = entr((p[None] + q) / 2).sum(1, dtype=jnp.float64)  # [M]
        return entropy_mixture - (entropy_p + entropy_q) / 2  # [M]

    divergences: jax.Array = jax.lax.map(against_all, probabilities.reshape(len(probabilities), -1))  # [N, M]
    return divergences / references.shape[1]


@jax.jit
def _bad_teaching(probabilities: jax.Array, references: jax.Array) -> jax.Array:
    """Mean over n * K elements of m log m - m (log p + log q) / 2, in nats: [N, M].

    The second term is (p + q) (log p + log q) / 4: two products of a matrix and a vector.
    """

    def log(values: jax.Array) -> jax.Array:
        return jnp.log(jnp.maximum(values, SMALLEST_PROBABILITY)).astype(jnp.float64)

    q = references.reshape(len(references), -1)  # [M, n * K]
    q64, log_q = q.astype(jnp.float64), log(q)
    self_q = (q64 * log_q).sum(1)  # [M]

    def against_all(p: jax.Array) -> jax.Array:
        p64, log_p = p.astype(jnp.float64), log(p)
        crossed = log_q @ p64 + q64 @ log_p + p64 @ log_p + self_q  # [M]
        entropy_mixture = entr((p[None] + q) / 2).sum(1, dtype=jnp.float64)  # [M]
        return -entropy_mixture - crossed / 4  # [M]

    divergences: jax.Array = jax.lax.map(against_all, probabilities.reshape(len(probabilities), -1))  # [N, M]
    return divergences / q.shape[1]


def unlearning_score(probabilities: ArrayLike, references: ArrayLike, variant: Variant) -> NDArray[np.float64]:
    """Unlearning score phi = 1 - JSD(p || q) (Equations 8-9), the mean over images, for every pair.

    With m = (p + q) / 2 and 0 log 0 = 0, the variants are

    - `jsd`: JSD = H(m) - (H(p) + H(q)) / 2 per image, base 2; phi is in [0, 1], but for rounding;
    - `jsd_nat`: the same in nats; phi is in [1 - log 2, 1];
    - `badt_compat`: (KL(m || p) + KL(m || q)) / 2 in nats over n*K elements, as the public code of arXiv
      2205.08096 computes it: reversed, a K-th of a mean over images, and unbounded. That code gives infinity
      or NaN where a probability is 0; here its logarithm is that of the smallest normal float32, about -87.

    Args:
      probabilities: [N, n, K], softmax outputs of the unlearned models on n images.
      references: [M, n, K], those of the retrained models.
      variant: which divergence.

    Returns:
      [N, M]; 1 for equal outputs.
    """
    with jax.enable_x64(True):
        p, q = jnp.asarray(probabilities), jnp.asarray(references)
        divergence = _bad_teaching(p, q) if variant == "badt_compat" else _jensen_shannon(p, q)
        return 1 - np.asarray(divergence / np.log(2) if variant == "jsd" else divergence)


def pairs_without_self(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores of ordered pairs of different models: the ceiling that retrained models set.

    Args:
      matrix: [M, M], every model against every model.

    Returns:
      [M * (M - 1)], the elements off the diagonal, row by row.
    """
    return matrix[~np.eye(len(matrix), dtype=bool)]
