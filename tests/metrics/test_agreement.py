"""Overlap and unlearning score, against brute force, scipy and values by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.agreement import (
    SMALLEST_PROBABILITY,
    Variant,
    overlap,
    pairs_without_self,
    unlearning_score,
)

VARIANTS: tuple[Variant, ...] = ("jsd", "jsd_nat", "badt_compat")
HARD = np.array([[[1.0, 0.0]]])
OTHER = np.array([[[0.0, 1.0]]])


def distributions(seed: int, shape: tuple[int, ...], sharpness: float = 3.0) -> NDArray[np.float64]:
    """Random softmax outputs in float64."""
    logits = sharpness * np.random.default_rng(seed).standard_normal(shape)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elements of the Kullback-Leibler divergence of positive distributions."""
    return p * np.log(p / q)


def test_overlap_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    predictions, references = rng.integers(5, size=(7, 31)), rng.integers(5, size=(3, 31), dtype=np.int32)
    member = rng.random(31) < 0.6
    expected = [[np.mean(a[member] == b[member]) for b in references] for a in predictions]
    result = overlap(predictions, jnp.asarray(references), member)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, expected)


def test_overlap_by_hand() -> None:
    predictions, references = np.array([[0, 1, 2, 3]]), np.array([[0, 1, 0, 3], [3, 2, 1, 0]])
    np.testing.assert_array_equal(overlap(predictions, references, np.ones(4, bool)), [[0.75, 0.0]])
    member = np.array([False, True, True, True])
    np.testing.assert_array_equal(overlap(predictions, references, member), [[2 / 3, 0.0]])


def test_overlap_of_an_empty_set_is_refused() -> None:
    with pytest.raises(HyperForgetError, match="0 images"):
        overlap(np.zeros((1, 3), int), np.zeros((1, 3), int), np.zeros(3, bool))


@pytest.mark.parametrize(("variant", "base"), [("jsd", 2.0), ("jsd_nat", np.e)])
def test_phi_equals_scipy(variant: Variant, base: float) -> None:
    p, q = distributions(0, (5, 13, 4)), distributions(1, (3, 13, 4))
    expected = [[1 - np.mean(jensenshannon(a, b, base=base, axis=-1) ** 2) for b in q] for a in p]
    np.testing.assert_allclose(unlearning_score(p, q, variant), expected, atol=1e-13)


def test_badt_compat_is_the_reversed_divergence_over_elements() -> None:
    p, q = distributions(0, (5, 13, 4)), distributions(1, (3, 13, 4))
    expected = np.empty((5, 3))
    for i, j in np.ndindex(5, 3):
        mixture = (p[i] + q[j]) / 2
        expected[i, j] = 1 - 0.5 * np.mean(kl(mixture, p[i]) + kl(mixture, q[j]))
    np.testing.assert_allclose(unlearning_score(p, q, "badt_compat"), expected, atol=1e-13)


def test_phi_of_opposite_models_by_hand() -> None:
    assert unlearning_score(HARD, OTHER, "jsd") == pytest.approx(0.0, abs=1e-15)
    assert unlearning_score(HARD, OTHER, "jsd_nat") == pytest.approx(1 - np.log(2), abs=1e-15)
    # Each of the two elements: m = 1/2, one logarithm is 0, the other that of the smallest probability.
    element = 0.5 * np.log(0.5) - 0.25 * np.log(SMALLEST_PROBABILITY)
    assert unlearning_score(HARD, OTHER, "badt_compat") == pytest.approx(1 - element, rel=1e-15)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_class_of_probability_zero_in_both_models_adds_nothing(variant: Variant) -> None:
    p, q = distributions(0, (2, 5, 3)), distributions(1, (2, 5, 3))
    silent = np.zeros((2, 5, 1))
    padded = unlearning_score(np.concatenate([p, silent], -1), np.concatenate([q, silent], -1), variant)
    elements = 4 / 3 if variant == "badt_compat" else 1.0  # that variant divides by n * K
    np.testing.assert_allclose(elements * (1 - padded), 1 - unlearning_score(p, q, variant), rtol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@given(seed=st.integers(0, 2**32 - 1), sharpness=st.floats(0.0, 30.0))
@settings(max_examples=15, deadline=None)
def test_phi_is_symmetric_bounded_and_one_with_itself(variant: Variant, seed: int, sharpness: float) -> None:
    p = distributions(seed, (4, 9, 3), sharpness)
    phi = unlearning_score(p, p, variant)
    np.testing.assert_allclose(phi, phi.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(phi), 1.0, atol=1e-12)
    assert (phi <= 1 + 1e-12).all()
    lowest = {"jsd": 0.0, "jsd_nat": 1 - np.log(2), "badt_compat": -np.inf}[variant]
    assert (phi >= lowest - 1e-12).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_outputs_of_a_model_give_the_same_score(variant: Variant) -> None:
    p, q = distributions(0, (3, 501, 10)), distributions(1, (2, 501, 10))
    in_single = unlearning_score(jnp.asarray(p, jnp.float32), q.astype(np.float32), variant)
    assert in_single.dtype == np.float64
    np.testing.assert_allclose(in_single, unlearning_score(p, q, variant), atol=5e-7)
    assert jnp.zeros(1).dtype == jnp.float32, "x64 stays off outside"


@pytest.mark.parametrize("variant", VARIANTS)
def test_many_models_equal_one_at_a_time(variant: Variant) -> None:
    p, q = distributions(0, (7, 11, 3)), distributions(1, (5, 11, 3))
    alone = [[unlearning_score(a[None], b[None], variant).item() for b in q[:2]] for a in p[:3]]
    np.testing.assert_allclose(unlearning_score(p, q, variant)[:3, :2], alone, atol=1e-13)


@pytest.mark.parametrize("variant", VARIANTS)
def test_nan_stays_visible(variant: Variant) -> None:
    p = distributions(0, (3, 4, 2))
    p[1, 2, 0] = np.nan
    np.testing.assert_array_equal(
        np.isnan(unlearning_score(p, p[[0, 2]], variant)), [[False] * 2, [True] * 2, [False] * 2]
    )


def test_pairs_without_self() -> None:
    np.testing.assert_array_equal(pairs_without_self(np.arange(9.0).reshape(3, 3)), [1.0, 2.0, 3.0, 5.0, 6.0, 7.0])
