"""Recovery finds models that only hide a class, and lets models pass that never saw it; every attack by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.attacks.recovery import (
    after_attacks,
    forget_accuracy,
    recover,
    refit_heads,
    round_weights,
    towards_prototypes,
)
from hyperforget_jax.attacks.result import AttackResult, Images
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.accuracy import accuracy
from tests.attacks.conftest import Problem
from tests.attacks.problems import FORGET, with_edited_output

pytestmark = pytest.mark.usefixtures("programs")
CONFIG = replace(
    AttackConfig(), relearning_shots=(5,), relearning_steps=(20, 40, 80), linear_steps=200, rounding_bits=(4,)
)
ON_HIDDEN_UNITS = ("relearn_5", "prototypical", "head_1", "head_5", "head_50")
"""Attacks that must find a model whose output layer alone was edited. Fine-tuning on retained images only pushes the class further away,
and rounding undoes no large edit."""


@pytest.fixture(scope="module")
def edited(clustered: Problem, programs: object) -> dict[str, AttackResult]:
    models = with_edited_output(clustered.known, clustered.train)
    assert forget_accuracy(models, clustered.test, [FORGET]).max() <= 0.01
    return recover(models, clustered.reference, clustered.train, clustered.test, [FORGET], CONFIG)


@pytest.fixture(scope="module")
def never_seen(clustered: Problem, programs: object) -> dict[str, AttackResult]:
    return recover(clustered.never_seen, clustered.reference, clustered.train, clustered.test, [FORGET], CONFIG)


def test_an_edit_of_the_output_layer_is_found(edited: dict[str, AttackResult]) -> None:
    assert {name: edited[name].position for name in ON_HIDDEN_UNITS} == dict.fromkeys(ON_HIDDEN_UNITS, "above")
    assert min(edited[name].z_score for name in ON_HIDDEN_UNITS) > 1.5


def test_models_that_never_saw_the_class_are_not(never_seen: dict[str, AttackResult]) -> None:
    assert {*never_seen} == {*ON_HIDDEN_UNITS, "relearn_retained", "rounded_4"}
    assert {name: result.position for name, result in never_seen.items()} == dict.fromkeys(never_seen, "inside")
    assert max(abs(result.z_score) for result in never_seen.values()) < 1


def ramp(scale: float, bias: float) -> Params:
    """One model of x >= 0: class 0 below 0.5, class 1 up to 2.5, class 2 above; its hidden unit is `scale` x."""
    hidden = {"w": jnp.array([[[scale]]]), "b": jnp.zeros((1, 1))}
    return (hidden, {"w": jnp.array([[[0.0], [4.0], [8.0]]]), "b": jnp.array([[2.0, 0.0, bias]])})


def ramp_images() -> Images:
    points = jnp.array([[0.0], [0.1], [0.9], [1.0], [1.1], [5.0], [6.0]])
    return points, jnp.array([0, 0, 1, 1, 1, 2, 2])


def test_fine_tuning_on_retained_images_heals_a_damaged_hidden_unit() -> None:
    config = replace(CONFIG, relearning_shots=(), head_labels=(), rounding_bits=(), relearning_steps=(50, 100, 200))
    images = ramp_images()
    damaged, never = ramp(0.3, -10.0), ramp(1.0, -100.0)
    assert forget_accuracy(ramp(1.0, -10.0), images, [2]).item() == 1.0
    before, without = (forget_accuracy(each, images, [2]).item() for each in (damaged, never))
    healed, pushed = (
        after_attacks(each, images, images, [2], config)["relearn_retained"].item() for each in (damaged, never)
    )
    assert (before, without, pushed) == (0.0, 0.0, 0.0)
    assert healed > 0.3


def test_rounding_by_hand() -> None:
    layer = {"w": jnp.array([[[7.0, -3.4, 0.6]], [[0.0, 0.0, 0.0]]]), "b": jnp.array([[14.0], [1.0]])}
    (rounded,) = round_weights((layer,), 4)  # steps of 1 and 2 for the first model
    np.testing.assert_allclose(rounded["w"], [[[7, -3, 1]], [[0, 0, 0]]], rtol=1e-6)
    np.testing.assert_allclose(rounded["b"], [[14], [1]], rtol=1e-6)
    (finer,) = round_weights((layer,), 8)
    step = 7 / 127
    np.testing.assert_allclose(finer["w"][0, 0], [7, -round(3.4 / step) * step, round(0.6 / step) * step], rtol=1e-6)


def test_rounding_undoes_an_edit_below_half_a_step() -> None:
    def models(
        weight: float,
    ) -> Params:  # the last unit is off; its weight sets the step of 4 bits to 1, of 8 to 7 / 127
        weights = jnp.array([[[0.0, 7.0], [3.0, 0.0], [weight, 0.0]]])
        hidden = {"w": jnp.array([[[1.0], [0.0]]]), "b": jnp.zeros((1, 2))}
        return (hidden, {"w": weights, "b": jnp.array([[1.0, 0.0, -7.0]])})

    images = jnp.array([[8.0], [9.0]]), jnp.array([2, 2])
    known, hidden, never = models(4.0), models(3.6), models(-4.0)
    found = [
        [
            forget_accuracy(each, images, [2]).item()
            for each in (model, round_weights(model, 8), round_weights(model, 4))
        ]
        for model in (known, hidden, never)
    ]
    assert found == [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


def test_a_prototype_by_hand() -> None:
    hidden = {"w": jnp.eye(2)[None], "b": jnp.zeros((1, 2))}
    last = {"w": jnp.array([[[3.0, 4.0], [0.0, 5.0], [-6.0, 0.0]]]), "b": jnp.array([[1.0, 3.0, -50.0]])}
    images, labels = jnp.array([[2.0, 0.0], [4.0, 0.0], [0.0, 9.0]]), jnp.array([2, 2, 0])
    _, moved = towards_prototypes((hidden, last), images, labels, (2,), 0.5)
    # The prototype points along the first unit; the retained class vectors have norm 5.
    np.testing.assert_allclose(moved["w"][0], [[3, 4], [0, 5], [-0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(moved["b"][0], [1, 3, 2], atol=1e-6)


def test_a_refitted_head_knows_classes_that_hidden_units_tell_apart(clustered: Problem) -> None:
    images, labels = clustered.train
    fitted = refit_heads(clustered.known, images, labels, 4, 1.0, 200)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, fitted[:-1], clustered.known[:-1]))
    predictions = np.asarray(classifier.logits_of_many(fitted, clustered.test[0])).argmax(-1)
    assert accuracy(predictions, clustered.test[1], np.ones(len(clustered.test[1]), bool)).min() > 0.9


def test_a_class_without_images_is_refused(clustered: Problem) -> None:
    for forget in ([FORGET, 7], []):
        with pytest.raises(HyperForgetError, match="recovery got no image"):
            recover(clustered.known, clustered.reference, clustered.train, clustered.test, forget, CONFIG)
