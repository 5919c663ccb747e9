"""CKA and probes by hand; hidden units that know a class are told from those that never saw it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from hyperforget_jax.attacks.representation import linear_cka, linear_probe, nearest_neighbours, read_hidden_units
from hyperforget_jax.attacks.result import AttackResult
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import AttackConfig
from hyperforget_jax.errors import HyperForgetError
from tests.attacks.conftest import Problem
from tests.attacks.problems import FORGET, of_class, take, with_edited_output

pytestmark = pytest.mark.usefixtures("programs")
CONFIG = AttackConfig()


def test_rotated_scaled_and_shifted_units_are_alike() -> None:
    rng = np.random.default_rng(0)
    units = rng.normal(size=(1, 50, 6))
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(linear_cka(units, 3 * units @ rotation + 5), [[1.0]], rtol=1e-12)


def test_cka_by_hand_and_of_independent_units() -> None:
    first = np.array([[[1.0], [-1.0], [1.0], [-1.0]]])
    second = np.array(
        [[[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]], [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]]
    )
    # Against two orthogonal units, one of which is the first: 16 / (4 sqrt(16 + 16)).
    np.testing.assert_allclose(linear_cka(first, second), [[0.0, 1 / np.sqrt(2)]], atol=1e-12)
    assert linear_cka(first, np.zeros((1, 4, 3))).item() == 0.0
    rng = np.random.default_rng(0)
    assert linear_cka(rng.normal(size=(1, 5000, 3)), rng.normal(size=(1, 5000, 3))).item() < 0.01


def test_pairs_equal_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 20, 4)), rng.normal(size=(2, 20, 5))
    alone = [[linear_cka(x[None], y[None]).item() for y in second] for x in first]
    np.testing.assert_allclose(linear_cka(first, second), alone, rtol=1e-10)


def test_nearest_neighbours_equal_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    fitted, tested = rng.normal(labels[:, None], 1.0, (80, 3)), rng.normal(0.5, 1.0, (40, 3))
    mean, spread = fitted.mean(0), fitted.std(0)
    theirs = KNeighborsClassifier(5).fit((fitted - mean) / spread, labels).predict((tested - mean) / spread)
    units = (jnp.asarray(each[None], jnp.float32) for each in (fitted, tested))
    np.testing.assert_array_equal(nearest_neighbours(next(units), jnp.asarray(labels), next(units), 5)[0], theirs)


def test_a_probe_reads_what_is_linear() -> None:
    points = np.random.default_rng(0).normal(size=(1, 200, 3)).astype(np.float32)
    linear, ring = points[0, :, 0] > 0.1, (points[0] ** 2).sum(1) > 2
    for labels, low, high in ((linear, 0.95, 1.0), (ring, 0.0, 0.75)):
        answers = linear_probe(jnp.asarray(points), jnp.asarray(labels.astype(np.int32)), jnp.asarray(points), 1.0, 200)
        assert low <= np.mean(np.asarray(answers)[0] == labels) <= high


def audited(problem: Problem, models: Params) -> dict[str, AttackResult]:
    original = jax.tree.map(lambda leaf: leaf[0], problem.known)
    return read_hidden_units(models, problem.reference, original, problem.train, problem.test, [FORGET], CONFIG)


def test_hidden_units_that_know_the_class_are_found(clustered: Problem) -> None:
    hidden = with_edited_output(clustered.known, clustered.train)
    edited, never = (audited(clustered, each) for each in (hidden, clustered.never_seen))
    assert {name: edited[name].position for name in ("linear_probe", "knn")} == {
        "linear_probe": "above",
        "knn": "above",
    }
    assert edited["cka_original"].ours[0] == pytest.approx(1.0)  # its hidden layer is the original's
    assert edited["cka_reference"].value < never["cka_reference"].value
    assert {result.position for result in never.values()} == {"inside"}


def test_what_cannot_be_audited_is_refused(clustered: Problem) -> None:
    models, reference, train, test = (
        take(clustered.known, slice(0, 2)),
        clustered.reference,
        clustered.train,
        clustered.test,
    )
    original = jax.tree.map(lambda leaf: leaf[0], models)
    with pytest.raises(HyperForgetError, match="0 of 150 test images of the forget set"):
        read_hidden_units(models, reference, original, train, of_class(test, 0), [FORGET], CONFIG)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, models)
    with pytest.raises(HyperForgetError, match="2 of 2 models with weights that are not finite"):
        read_hidden_units(broken, reference, original, train, test, [FORGET], CONFIG)
