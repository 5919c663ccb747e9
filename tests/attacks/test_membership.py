"""Models that remember images are found by every membership attack; models that never saw them are not."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.attacks import cmia, klom, margin, shadow
from hyperforget_jax.attacks.result import Images
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from tests.attacks.conftest import Problem
from tests.attacks.problems import FORGET, of_class, take

pytestmark = pytest.mark.usefixtures("programs")
CONFIG = replace(AttackConfig(), klom_models=16)


def forgotten_and_unseen(problem: Problem) -> tuple[Images, Images]:
    return of_class(problem.train, FORGET), of_class(problem.test, FORGET)


def test_a_margin_is_a_logit() -> None:
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 3, (2, 5, 4)), jnp.float32)
    labels = jnp.array([0, 3, 1, 2, 2])
    own = np.take_along_axis(np.asarray(jax.nn.softmax(logits)), np.asarray(labels)[None, :, None], 2)[..., 0]
    np.testing.assert_allclose(margin.image_margins(logits, labels, 100.0), np.log(own / (1 - own)), rtol=2e-4)
    far = jnp.array([[1e4, 0.0], [0.0, 1e4]], jnp.float32)
    np.testing.assert_array_equal(margin.image_margins(far, jnp.array([0, 0]), 100.0), [100.0, -100.0])


def test_margins_tell_remembered_images(memorised: Problem) -> None:
    sets = forgotten_and_unseen(memorised)
    known, never = (
        margin.margin_auc(each, memorised.reference, *sets, CONFIG) for each in (memorised.known, memorised.never_seen)
    )
    assert known.ours.min() > 0.9
    assert (known.position, never.position) == ("above", "inside")
    assert abs(never.value - 0.5) < 0.05
    assert abs(never.reference.mean() - 0.5) < 0.05
    assert known.z_score > 5 > abs(never.z_score)


def test_klom_tells_remembered_images(memorised: Problem) -> None:
    forgotten, _ = forgotten_and_unseen(memorised)
    reference = margin.margins(memorised.reference, forgotten, CONFIG)
    known, never = (
        klom.klom(margin.margins(each, forgotten, CONFIG), reference, CONFIG)
        for each in (memorised.known, memorised.never_seen)
    )
    assert (known.position, never.position) == ("above", "inside")


@pytest.mark.parametrize("density", ["gaussian", "kernel"])
def test_shadow_models_tell_remembered_images(memorised: Problem, density: shadow.Density) -> None:
    forgotten, _ = forgotten_and_unseen(memorised)
    out = margin.margins(memorised.reference, forgotten, CONFIG)
    known, never = (
        shadow.shadow_attack(margin.margins(each, forgotten, CONFIG), out, density, CONFIG)
        for each in (memorised.known, memorised.never_seen)
    )
    name = shadow.ATTACKS[density]
    assert known[f"{name}_auc"].value > 0.9
    assert known[f"{name}_balanced_accuracy"].value > 0.9
    assert known[f"{name}_tpr_at_0.01"].value > 0.9
    assert {result.position for result in known.values()} == {"above"}
    assert abs(never[f"{name}_auc"].value - 0.5) < 0.05
    assert abs(never[f"{name}_balanced_accuracy"].value - 0.5) < 0.05


def test_cmia_tells_models_that_know_a_class(clustered: Problem) -> None:
    train, test = clustered.train, clustered.test
    known, never = (
        cmia.cmia(each, clustered.reference, train, test, [FORGET], CONFIG)
        for each in (clustered.known, clustered.never_seen)
    )
    assert (known.position, never.position) == ("above", "inside")
    assert known.z_score > 1.5 > abs(never.z_score)


def test_cmia_does_not_see_the_forgotten_output(clustered: Problem) -> None:
    cut = (*clustered.known[:-1], jax.tree.map(lambda leaf: leaf.at[:, FORGET].set(0.0), clustered.known[-1]))
    whole, without = (
        cmia.cmia(take(each, slice(0, 3)), clustered.reference, clustered.train, clustered.test, [FORGET], CONFIG)
        for each in (clustered.known, cut)
    )
    np.testing.assert_array_equal(whole.ours, without.ours)


def test_the_neighbour_is_the_class_that_looks_alike(clustered: Problem) -> None:
    forgotten = of_class(clustered.train, FORGET)
    answers = np.asarray(classifier.logits_of_many(clustered.reference, forgotten[0])).argmax(-1)
    assert np.bincount(answers.ravel()).argmax() == 2  # as the clusters were made
    assert cmia.neighbour_classes(clustered.reference, forgotten[0], [FORGET], 2)[0] == 2


def test_what_cannot_be_attacked_is_refused(clustered: Problem) -> None:
    forgotten = of_class(clustered.train, FORGET)
    empty = forgotten[0][:0], forgotten[1][:0]
    broken = jax.tree.map(lambda leaf: leaf.at[0].set(jnp.nan), clustered.known)
    models, reference = clustered.known, clustered.reference
    with pytest.raises(HyperForgetError, match="a set of 0 images"):
        margin.margin_auc(models, reference, forgotten, empty, CONFIG)
    with pytest.raises(HyperForgetError, match="1 of 12 models with weights that are not finite"):
        margin.margins(broken, forgotten, CONFIG)
    with pytest.raises(HyperForgetError, match="150 training and 0 test images of output 3"):
        cmia.cmia(models, reference, clustered.train, of_class(clustered.test, 2), [FORGET], CONFIG)
    with pytest.raises(HyperForgetError, match="not finite"):
        cmia.cmia(broken, reference, clustered.train, clustered.test, [FORGET], CONFIG)
    with pytest.raises(HyperForgetError, match=r"forget set \[1, 2, 3\], which leaves 1 classes"):
        cmia.cmia(models, reference, clustered.train, clustered.test, [1, 2, FORGET], CONFIG)
