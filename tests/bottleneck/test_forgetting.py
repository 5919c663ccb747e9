"""Masking and deletion: whole classes go, nothing comes back, requests compose."""

from collections import Counter
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.bottleneck import forgetting, model, train
from hyperforget_jax.bottleneck.model import Bottleneck
from hyperforget_jax.errors import HyperForgetError
from tests.bottleneck.conftest import CONFIG, Problem

pytestmark = pytest.mark.usefixtures("programs")


def accuracy(bottleneck: Bottleneck, embeddings: jax.Array, labels: jax.Array) -> float:
    return train.accuracy(bottleneck, train.Images(model.selections(bottleneck, embeddings, CONFIG), labels), CONFIG)


def of_class(problem: Problem, label: int) -> jax.Array:
    return jnp.asarray(np.asarray(problem.embeddings)[np.asarray(problem.labels) == label])


def test_hits_are_those_of_a_plain_count() -> None:
    chosen = np.random.default_rng(0).integers(0, 5, (3, 20, 2)).astype(np.int32)
    expected = [[Counter(own.ravel().tolist())[j] for j in range(5)] for own in chosen]
    np.testing.assert_array_equal(forgetting.counts(jnp.asarray(chosen), 5), expected)


def test_the_most_hit_pairs_are_taken_masked_and_unhit_ones_never() -> None:
    counted = jnp.array([[3, 0, 7], [5, 9, 5]], jnp.int32)
    masked = jnp.array([[False, False, False], [False, True, False]])
    taken = [np.flatnonzero(forgetting.most_hit(counted, masked, number)).tolist() for number in (1, 2, 3, 6)]
    assert taken == [[2], [2, 3], [2, 3, 5], [0, 2, 3, 5]]


@pytest.mark.parametrize("label", range(4))
def test_masking_every_pair_of_a_class_forgets_it_and_it_alone(problem: Problem, label: int) -> None:
    answer = forgetting.activations(problem.bottleneck, of_class(problem, label), CONFIG, None)
    own = problem.validation_labels == label
    assert accuracy(problem.bottleneck, problem.validation[own], problem.validation_labels[own]) > 0.9
    assert accuracy(answer.bottleneck, problem.validation[own], problem.validation_labels[own]) == 0.0
    assert accuracy(answer.bottleneck, problem.validation[~own], problem.validation_labels[~own]) > 0.9
    assert answer.newly_masked == int(answer.bottleneck.masked.sum())


def test_a_masked_pair_is_never_selected(problem: Problem) -> None:
    answer = forgetting.activations(problem.bottleneck, of_class(problem, 1), CONFIG, None)
    chosen = np.asarray(model.selections(answer.bottleneck, problem.embeddings, CONFIG))
    masked = np.asarray(answer.bottleneck.masked)
    assert masked.any()
    assert not np.take_along_axis(masked, chosen.reshape(len(masked), -1), 1).any()


@pytest.mark.parametrize("label", range(4))
def test_unmasking_after_deletion_brings_back_chance_at_most(problem: Problem, label: int) -> None:
    answer = forgetting.activations(problem.bottleneck, of_class(problem, label), CONFIG, None)
    opened = forgetting.unmask(answer.bottleneck)
    own = problem.labels == label
    assert accuracy(opened, problem.embeddings[own], problem.labels[own]) == 0.25  # all logits are zero
    own = problem.validation_labels == label
    assert accuracy(opened, problem.validation[own], problem.validation_labels[own]) <= 0.25


def test_all_examples_mask_what_all_activations_do(problem: Problem) -> None:
    images = of_class(problem, 2)
    by_activations = forgetting.activations(problem.bottleneck, images, CONFIG, None)
    for number in (None, len(images), 10_000):
        by_examples = forgetting.examples(jax.random.key(0), problem.bottleneck, images, CONFIG, number)
        np.testing.assert_array_equal(by_examples.bottleneck.masked, by_activations.bottleneck.masked)
        assert by_examples.flops == by_activations.flops


def test_few_examples_mask_at_most_their_own_pairs_and_more_mask_more(problem: Problem) -> None:
    images = of_class(problem, 2)
    masks = [
        np.asarray(forgetting.examples(jax.random.key(0), problem.bottleneck, images, CONFIG, n).bottleneck.masked)
        for n in (1, 5, 20)
    ]
    assert masks[0].sum() == CONFIG.codebooks * CONFIG.top_k
    assert all((few <= many).all() and few.sum() < many.sum() for few, many in pairwise(masks))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_requests_for_all_hit_pairs_compose(problem: Problem, order: tuple[int, int]) -> None:
    both = jnp.concatenate([of_class(problem, 0), of_class(problem, 1)])
    at_once = forgetting.activations(problem.bottleneck, both, CONFIG, None).bottleneck
    bottleneck = problem.bottleneck
    for label in order:
        bottleneck = forgetting.activations(bottleneck, of_class(problem, label), CONFIG, None).bottleneck
    np.testing.assert_array_equal(bottleneck.masked, at_once.masked)
    np.testing.assert_array_equal(bottleneck.values, at_once.values)


def test_a_second_request_masks_further_pairs(problem: Problem) -> None:
    images, bottleneck = of_class(problem, 0), problem.bottleneck
    for _ in range(3):
        answer = forgetting.activations(bottleneck, images, CONFIG, 5)
        assert answer.newly_masked == 5
        bottleneck = answer.bottleneck
    at_once = forgetting.activations(problem.bottleneck, images, CONFIG, 15).bottleneck
    np.testing.assert_array_equal(bottleneck.masked, at_once.masked)


def test_a_bottleneck_with_all_pairs_masked_answers_by_chance(problem: Problem) -> None:
    nothing = forgetting.mask(problem.bottleneck, jnp.ones_like(problem.bottleneck.masked))
    assert accuracy(nothing, problem.embeddings, problem.labels) == 0.25


def test_bad_requests_are_refused(problem: Problem) -> None:
    with pytest.raises(HyperForgetError, match=r"got embeddings \[3, 5\], expected \[images, 6\]"):
        forgetting.activations(problem.bottleneck, jnp.zeros((3, 5)), CONFIG, None)
    with pytest.raises(HyperForgetError, match="at least one image"):
        forgetting.activations(problem.bottleneck, jnp.zeros((0, 6)), CONFIG, None)
    with pytest.raises(HyperForgetError, match="N_a is 0: choose at least 1"):
        forgetting.activations(problem.bottleneck, jnp.zeros((3, 6)), CONFIG, 0)
    with pytest.raises(HyperForgetError, match="N_e is -1: choose at least 1"):
        forgetting.examples(jax.random.key(0), problem.bottleneck, jnp.zeros((3, 6)), CONFIG, -1)
