"""The classifier against loops written by hand, scikit-learn's log loss, and its own lanes one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax  # type: ignore[import-untyped]
from sklearn.metrics import accuracy_score, log_loss

from hyperforget_jax import classifier

DEPTHS = [(12, 4), (12, 5, 4), (12, 5, 3, 4)]


def model(seed: int, sizes: tuple[int, ...]) -> classifier.Params:
    """A model whose biases are not zero."""
    params = classifier.init(jax.random.key(seed), sizes)
    noise = np.random.default_rng(seed)
    return tuple(
        {"w": layer["w"], "b": jnp.asarray(noise.normal(size=layer["b"].shape), jnp.float32)} for layer in params
    )


def images_and_labels(count: int, classes: int) -> tuple[jax.Array, jax.Array]:
    """Random images in [0, 1] and labels in which every class occurs."""
    noise = np.random.default_rng(0)
    labels = noise.permutation(np.arange(count) % classes)
    return jnp.asarray(noise.random((count, 12)), jnp.float32), jnp.asarray(labels, jnp.int32)


def logits_by_hand(params: classifier.Params, image: np.ndarray) -> np.ndarray:
    """One image through one model, unit by unit, in float64."""
    activations = [float(pixel) for pixel in image]
    for index, layer in enumerate(params):
        w, b = np.asarray(layer["w"], np.float64), np.asarray(layer["b"], np.float64)
        sums = [b[o] + sum(w[o, i] * x for i, x in enumerate(activations)) for o in range(len(b))]
        activations = sums if index == len(params) - 1 else [max(s, 0.0) for s in sums]
    return np.array(activations)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_init_has_he_bounds_and_zero_biases(sizes: tuple[int, ...]) -> None:
    params = classifier.init(jax.random.key(0), sizes)
    assert len(params) == len(sizes) - 1
    for layer, fan_in, fan_out in zip(params, sizes[:-1], sizes[1:], strict=True):
        assert layer["w"].shape == (fan_out, fan_in)
        assert layer["b"].shape == (fan_out,)
        assert layer["w"].dtype == layer["b"].dtype == jnp.float32
        assert np.all(np.abs(layer["w"]) <= np.sqrt(6 / fan_in))
        assert np.all(layer["b"] == 0)


def test_init_has_the_he_variance() -> None:
    (layer,) = classifier.init(jax.random.key(0), (100, 400))
    assert np.var(layer["w"]) == pytest.approx(2 / 100, rel=0.02)  # 40,000 draws: 0.45% standard error
    assert np.mean(layer["w"]) == pytest.approx(0.0, abs=0.003)


def test_init_is_decided_by_its_key() -> None:
    sizes = (12, 5, 4)
    first, again, other = (classifier.init(jax.random.key(seed), sizes) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert np.array_equal(a["w"], b["w"])
        assert not np.any(a["w"] == c["w"])


@pytest.mark.parametrize("sizes", DEPTHS)
def test_logits_equal_a_loop_by_hand(sizes: tuple[int, ...]) -> None:
    params, (images, _) = model(3, sizes), images_and_labels(8, 4)
    expected = np.stack([logits_by_hand(params, image) for image in np.asarray(images)])
    np.testing.assert_allclose(classifier.logits(params, images), expected, rtol=1e-5, atol=1e-5)


def test_scores_are_the_logits_features_first() -> None:
    params, (images, _) = model(3, (12, 5, 4)), images_and_labels(8, 4)
    found = classifier.scores(params, images.T)
    assert found.shape == (4, 8)
    np.testing.assert_allclose(found.T, classifier.logits(params, images), rtol=1e-6, atol=1e-6)


def test_the_cross_entropy_of_every_image_equals_scikit_learn() -> None:
    noise = np.random.default_rng(1)
    scores, labels = 3 * noise.normal(size=(4, 30)), noise.integers(0, 4, 30)
    found = classifier.cross_entropy(jnp.asarray(scores, jnp.float32), jnp.asarray(labels, jnp.int32))
    probabilities = softmax(scores.T, axis=1)
    expected = [log_loss([label], [row], labels=range(4)) for label, row in zip(labels, probabilities, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_cross_entropy_of_large_scores_is_finite() -> None:
    scores = jnp.array([[1e4, 1e4], [0.0, 0.0]])
    np.testing.assert_allclose(classifier.cross_entropy(scores, jnp.array([0, 1])), [0.0, 1e4])


@pytest.mark.parametrize("sizes", DEPTHS)
def test_class_scores_equal_scikit_learn(sizes: tuple[int, ...]) -> None:
    params, (images, labels) = model(4, sizes), images_and_labels(60, 4)
    losses, accuracies = classifier.class_scores(params, images, labels)
    scores = np.stack([logits_by_hand(params, image) for image in np.asarray(images)])
    for k in range(4):
        of_class = np.asarray(labels) == k
        truth, probabilities = np.asarray(labels)[of_class], softmax(scores[of_class], axis=1)
        assert losses[k] == pytest.approx(log_loss(truth, probabilities, labels=range(4)), rel=1e-5)
        assert accuracies[k] == pytest.approx(accuracy_score(truth, probabilities.argmax(1)), abs=1e-6)


def test_class_means_of_three_values_by_hand() -> None:
    means = classifier.class_means(jnp.array([1.0, 2.0, 6.0]), jnp.array([0, 1, 1]), 2)
    np.testing.assert_allclose(means, [1.0, 4.0], rtol=1e-6)


def test_a_class_without_images_is_nan_and_leaves_the_others_alone() -> None:
    params, (images, labels) = model(5, (12, 5, 4)), images_and_labels(20, 3)
    losses, accuracies = classifier.class_scores(params, images, labels)
    assert np.isnan([losses[3], accuracies[3]]).all()
    assert np.isfinite(losses[:3]).all()
    assert np.isfinite(accuracies[:3]).all()


def test_more_models_than_are_scored_at_once_are_scored_one_by_one_too() -> None:
    count, (images, labels) = classifier.MODELS_AT_ONCE + 3, images_and_labels(30, 4)
    keys = jax.random.split(jax.random.key(7), count)
    stacked = jax.vmap(classifier.init, in_axes=(0, None))(keys, (12, 5, 4))
    many_losses, many_accuracies = classifier.class_scores_of_many(stacked, images, labels)
    losses, accuracies = jax.vmap(classifier.class_scores, in_axes=(0, None, None))(stacked, images, labels)
    np.testing.assert_allclose(many_losses, losses, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(many_accuracies, accuracies, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sizes", DEPTHS)
def test_a_lane_equals_its_solo_run(sizes: tuple[int, ...]) -> None:
    models, (images, labels) = [model(seed, sizes) for seed in range(5)], images_and_labels(30, 4)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)
    many_logits = classifier.logits_of_many(stacked, images)
    many_losses, many_accuracies = classifier.class_scores_of_many(stacked, images, labels)
    assert many_logits.shape == (5, 30, 4)
    assert many_losses.shape == many_accuracies.shape == (5, 4)
    for lane, params in enumerate(models):
        losses, accuracies = classifier.class_scores(params, images, labels)
        np.testing.assert_allclose(many_logits[lane], classifier.logits(params, images), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(many_losses[lane], losses, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(many_accuracies[lane], accuracies, rtol=1e-6, atol=1e-6)


def test_class_scores_are_computed_in_full_precision_whatever_the_device_uses_by_default() -> None:
    models = classifier.init(jax.random.key(0), (5, 3, 2))
    images, labels = jnp.ones((4, 5), jnp.float32), jnp.array([0, 1, 0, 1], jnp.int32)
    program = str(jax.make_jaxpr(classifier.class_scores)(models, images, labels))
    products = program.count("dot_general[")
    assert products == 4  # two layers, and the means of losses and of hits
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products
