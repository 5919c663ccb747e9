"""The error of answers: zero for the same function, that of numpy otherwise; and how the objective weighs it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.config import CodecConfig, DiffusionConfig
from hyperforget_jax.diffusion import functional_loss, schedule
from hyperforget_jax.diffusion.conditioning import Condition
from hyperforget_jax.diffusion.dit import Transformer
from hyperforget_jax.diffusion.losses import denoising_loss
from hyperforget_jax.weights import codec, symmetry
from hyperforget_jax.weights.codec import Codec

pytestmark = pytest.mark.usefixtures("programs")
SIZES, COUNT = (6, 5, 3), 4
random = np.random.default_rng(0)
IMAGES = random.normal(size=(60, 6)).astype(np.float32)
LABELS = np.arange(60, dtype=np.int32) % 3
MODELS = jax.vmap(partial(classifier.init, sizes=SIZES))(jax.random.split(jax.random.key(1), 16))
PROBE = functional_loss.fit(MODELS, IMAGES, LABELS)


@pytest.fixture(scope="module")
def coder() -> Codec:
    return codec.fit(CodecConfig(basis_size=7), SIZES, MODELS, IMAGES, LABELS)


@pytest.fixture(scope="module")
def tokens(coder: Codec) -> jax.Array:
    return jax.vmap(coder.encode)(MODELS)


def logits(model: Any, images: Any) -> Any:
    """[n, K], by hand and centred."""
    (first, last) = jax.tree.map(lambda x: np.asarray(x, np.float64), model)
    scores = np.maximum(images @ first["w"].T + first["b"], 0.0) @ last["w"].T + last["b"]
    return scores - scores.mean(1, keepdims=True)


def of_index(index: int) -> Any:
    return jax.tree.map(lambda x: x[index], MODELS)


def test_every_class_has_as_many_images_and_each_its_own() -> None:
    assert PROBE.images.shape == (3, 20, 6)
    for label in range(3):
        np.testing.assert_array_equal(PROBE.images[label], IMAGES[label == LABELS])


def test_the_variance_is_that_of_centred_logits() -> None:
    every = np.stack([logits(of_index(i), IMAGES) for i in range(16)])
    np.testing.assert_allclose(PROBE.variance, every.var(), rtol=1e-4)


def test_the_same_function_has_no_error_whatever_its_weights(coder: Codec, tokens: jax.Array) -> None:
    """Units in another order: other tokens, the same answers."""
    order = jnp.array([3, 1, 4, 0, 2])
    moved = jax.vmap(lambda model: coder.encode(symmetry.permute(model, 0, order)))(MODELS)
    assert float(jnp.abs(moved - tokens).max()) > 0.1
    found = functional_loss.error(PROBE, coder, COUNT, jax.random.key(2), moved, tokens)
    np.testing.assert_allclose(found, 0.0, atol=1e-8)


def test_the_error_is_that_of_numpy(coder: Codec, tokens: jax.Array) -> None:
    """With every image drawn equally likely, the mean over many keys is that over all images."""
    other = jnp.roll(tokens, 1, axis=0)
    draws = jax.random.split(jax.random.key(3), 400)
    found = jax.vmap(lambda key: functional_loss.error(PROBE, coder, COUNT, key, other, tokens))(draws).mean(0)
    expected = [
        np.square(logits(of_index(i - 1), IMAGES) - logits(of_index(i), IMAGES)).mean() / PROBE.variance
        for i in range(16)
    ]
    np.testing.assert_allclose(found, expected, rtol=0.15)
    assert np.corrcoef(found, expected)[0, 1] > 0.99


def test_only_the_predicted_model_is_moved(coder: Codec, tokens: jax.Array) -> None:
    other = jnp.roll(tokens, 1, axis=0)
    slopes = jax.grad(
        lambda ours, theirs: functional_loss.error(PROBE, coder, COUNT, jax.random.key(4), ours, theirs).sum(), (0, 1)
    )(other, tokens)
    assert float(jnp.abs(slopes[0]).max()) > 0.0
    np.testing.assert_array_equal(slopes[1], 0.0)


@pytest.mark.parametrize("prediction", ["x0", "v"])
def test_the_objective_adds_the_error_where_noise_leaves_one_model(
    coder: Codec, tokens: jax.Array, prediction: Any
) -> None:
    """With an error of 1 whatever is predicted, the sum is the weight times the mean of min(SNR, 5) / 5."""
    silent = Transformer(lambda key: {}, lambda params, noisy, t, condition: jnp.zeros_like(noisy))
    config = DiffusionConfig(timesteps=50, prediction=prediction, functional_weight=3.0)
    process = schedule.make(config)
    many = jnp.tile(tokens, (256, 1, 1))
    nothing = jnp.zeros((len(many), 1))

    def loss(functional: Any) -> jax.Array:
        return denoising_loss(
            {},
            jax.random.key(6),
            many,
            Condition(nothing, nothing),
            transformer=silent,
            process=process,
            config=config,
            layout=coder.layout,
            functional=functional,
        )

    added = loss(lambda key, ours, theirs: jnp.ones(len(ours))) - loss(None)
    snr = np.asarray(process.alpha_bar / (1.0 - process.alpha_bar), np.float64)
    np.testing.assert_allclose(added, 3.0 * np.minimum(snr, 5.0).mean() / 5.0, rtol=0.05)
