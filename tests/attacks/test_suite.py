"""The suite as a whole: what each family catches, what it lets pass, what it leaves out, and that it repeats itself."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from hyperforget_jax.attacks.recovery import after_attacks
from hyperforget_jax.attacks.result import AttackResult
from hyperforget_jax.attacks.suite import FAMILIES, Suite, evenly, family_of, suite
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights.canonical import gauge_of_many
from tests.attacks.conftest import Problem
from tests.attacks.problems import FORGET, take, with_edited_output

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.slow]

CONFIG = AttackConfig(
    control_splits=20,
    two_sample_splits=10,
    two_sample_trees=20,
    linear_steps=100,
    relearning_shots=(5,),
    head_labels=(5,),
    rounding_bits=(4,),
)


@pytest.fixture(scope="module")
def prepared(clustered: Problem) -> Suite:
    original = jax.tree.map(lambda leaf: leaf[0], clustered.known)
    return suite(clustered.reference, original, clustered.train, clustered.test, [FORGET], CONFIG)


@pytest.fixture(scope="module")
def clean(prepared: Suite, clustered: Problem) -> dict[str, AttackResult]:
    """Found in twelve further models that never saw the class; every call attacks as many, so that programs are shared."""
    return prepared.attack(take(clustered.never_seen, slice(0, 12)))


def test_every_attack_belongs_to_one_family(clean: dict[str, AttackResult]) -> None:
    for attack in clean:
        assert [family for family, names in FAMILIES.items() if attack.startswith(names)] == [family_of(attack)]
    met = {family_of(attack) for attack in clean}
    assert met == {*FAMILIES} - {"margins", "generator"}  # KLoM needs more models, the generator is no model


def test_an_edited_output_layer_is_caught_by_five_families_and_models_that_never_saw_the_class_by_none(
    prepared: Suite, clustered: Problem, clean: dict[str, AttackResult]
) -> None:
    edited = prepared.attack(with_edited_output(clustered.known, clustered.train))
    caught = {family_of(name) for name, result in edited.items() if result.position != "inside"}
    assert caught >= {"neighbour classes", "shadow models", "recovery", "representation", "distribution"}
    assert set(edited) == set(clean)
    sizes = [[min(abs(each.z_score), 10.0) for each in found.values()] for found in (edited, clean)]
    assert np.median(sizes[1]) <= 1.5  # one draw of twelve models moves all attacks on groups together
    assert np.mean(sizes[0]) > 3 * np.mean(sizes[1])


def test_it_gives_what_each_attack_gives_by_itself(
    prepared: Suite, clustered: Problem, clean: dict[str, AttackResult]
) -> None:
    models = take(clustered.never_seen, slice(0, 12))
    alone = after_attacks(gauge_of_many(models), clustered.train, clustered.test, [FORGET], CONFIG)
    for name, values in alone.items():
        np.testing.assert_array_equal(clean[name].ours, values)


def test_attacks_on_groups_are_left_out_where_there_are_too_few_models(prepared: Suite, clustered: Problem) -> None:
    assert set(prepared.left_out(4)) == {"klom", "two_sample"}
    assert prepared.left_out(4)["klom"] == "klom needs 100 unlearned and 200 reference models, got 4 and 32"
    config = replace(CONFIG, klom_models=12, control_splits=2)
    found = replace(prepared, config=config).attack(take(clustered.never_seen, slice(0, 12)))
    assert "klom" in found


def test_models_are_taken_evenly(clustered: Problem) -> None:
    bias = np.asarray(evenly(clustered.reference, 4)[-1]["b"])
    np.testing.assert_array_equal(bias, np.asarray(clustered.reference[-1]["b"])[[0, 10, 21, 31]])
    assert evenly(clustered.reference, 32) is clustered.reference


def test_weights_that_are_not_finite_are_refused(prepared: Suite, clustered: Problem) -> None:
    *earlier, last = clustered.known
    broken = (*earlier, {"w": last["w"], "b": last["b"].at[0, 0].set(np.nan)})
    with pytest.raises(HyperForgetError, match="1 of 12 models with weights that are not finite"):
        prepared.attack(broken)


def test_one_reference_model_is_no_reference(clustered: Problem) -> None:
    original = jax.tree.map(lambda leaf: leaf[0], clustered.known)
    one = take(clustered.reference, slice(0, 1))
    with pytest.raises(HyperForgetError, match="got 1 reference models, expected at least 2"):
        suite(one, original, clustered.train, clustered.test, [FORGET], CONFIG)
