"""The linear fit equals scikit-learn's; hidden units are those of the classifier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hyperforget_jax import classifier
from hyperforget_jax.attacks.linear import fit, hidden_units

pytestmark = pytest.mark.usefixtures("programs")


@pytest.mark.parametrize("penalty", [0.3, 3.0])
def test_the_fit_equals_scikit_learns(penalty: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    features = rng.normal(labels[:, None] * [1.0, -1.0], 1.0, (60, 2)) * [1.0, 100.0] + [0.0, 7.0]
    layer = fit(jnp.asarray(features, jnp.float32), jnp.asarray(labels), 3, penalty, 500)
    standard = np.c_[(features - features.mean(0)) / features.std(0), np.ones(60)]
    theirs = LogisticRegression(C=penalty, fit_intercept=False, tol=1e-8, max_iter=1000).fit(standard, labels)
    ours = classifier.logits((layer,), jnp.asarray(features, jnp.float32))
    np.testing.assert_allclose(jax.nn.softmax(ours), theirs.predict_proba(standard), atol=2e-4)


def test_units_that_mirror_each_other_do_not_break_the_fit() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40)
    one = rng.normal(labels, 0.5)
    features = jnp.asarray(np.stack([one, -one, one, -one], axis=1), jnp.float32)
    layer = fit(features, jnp.asarray(labels), 2, 10.0, 500)
    accuracy = np.mean(np.asarray(classifier.logits((layer,), features)).argmax(1) == labels)
    assert accuracy == pytest.approx(np.mean((one > 0.5) == labels), abs=0.1)
    np.testing.assert_allclose(layer["w"][:, 0], -layer["w"][:, 1], atol=1e-3)


def test_a_constant_unit_has_no_weight() -> None:
    features = jnp.stack([jnp.linspace(-1.0, 1.0, 20), jnp.full(20, 0.0)], axis=1)
    layer = fit(features, (features[:, 0] > 0).astype(jnp.int32), 2, 1.0, 100)
    np.testing.assert_array_equal(layer["w"][:, 1], [0.0, 0.0])
    assert np.isfinite(np.asarray(layer["w"])).all()


def test_hidden_units_carry_the_logits() -> None:
    params = classifier.init(jax.random.key(0), (5, 4, 3, 2))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(7, 5)), jnp.float32)
    units = hidden_units(params, images)
    np.testing.assert_allclose(classifier.logits(params[-1:], units), classifier.logits(params, images), rtol=1e-5)
