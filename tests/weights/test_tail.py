"""The tail: a linear world is found again, what was seen decides, a codec that drops nothing has none, and files keep it."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax.classifier import Params
from hyperforget_jax.config import CodecConfig
from hyperforget_jax.weights import basis, codec, tail

PIXELS, UNITS, CLASSES, KEPT = 12, 3, 4, 5
SIZES = (PIXELS, UNITS, CLASSES)
NOISE = np.random.default_rng(0)
IMAGES = (NOISE.random((200, PIXELS)) * np.linspace(2.0, 0.1, PIXELS)).astype(np.float32)
IMAGES[:, 3] = 0.0
LABELS = np.arange(200, dtype=np.int32) % CLASSES
LIT = np.append(IMAGES.any(0), True)
FIRST = basis.fit(IMAGES, KEPT)
EVERYTHING = np.ones(CLASSES, bool)
NOT_2 = np.array([True, True, False, True])


def models(seed: int, count: int = 4000, shift: float = 0.0, loud: float = 0.5) -> Params:
    """Random models; along what is dropped a weight is twice the outgoing weight of class 0, plus a shift, plus noise."""
    noise = np.random.default_rng(seed)
    outgoing = noise.normal(size=(count, CLASSES, UNITS))
    code = noise.normal(size=(count, UNITS, KEPT))
    incoming = code @ FIRST.decode.T.astype(np.float64)
    along = 2.0 * outgoing[:, 0, :, None] + shift + loud * noise.normal(size=(count, UNITS, len(rest())))
    incoming += along @ rest()
    arrays = ((incoming[..., :-1], incoming[..., -1]), (outgoing, noise.normal(size=(count, CLASSES))))
    return tuple({"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)} for w, b in arrays)


def rest() -> np.ndarray:
    """Directions of the lit inputs, orthogonal to the code: the last right singular vectors."""
    lit = np.flatnonzero(LIT)
    _, _, rows = np.linalg.svd(FIRST.encode.astype(np.float64)[:, lit])
    found = np.zeros((len(lit) - KEPT, PIXELS + 1))
    found[:, lit] = rows[KEPT:]
    return found


def cut(params: Params) -> Params:
    """Models as a codec leaves them: without what is dropped."""
    incoming = np.concatenate([params[0]["w"], params[0]["b"][..., None]], axis=2)
    kept = incoming @ FIRST.encode.T @ FIRST.decode.T
    return ({"w": jnp.asarray(kept[..., :-1]), "b": jnp.asarray(kept[..., -1])}, params[1])


def drawn(made: tail.Tail, params: Params, exposed: np.ndarray) -> np.ndarray:
    """What is drawn for every model, along `rest`: [M, H, R]."""
    keys = jax.random.split(jax.random.key(1), len(params[0]["b"]))
    found = jax.vmap(lambda key, one: made.draw(key, one, FIRST, jnp.asarray(exposed)))(keys, params)
    return np.asarray(found, np.float64) @ rest().T


@pytest.fixture(scope="module")
def known() -> tail.Tail:
    made = tail.fit(FIRST, LIT, [(EVERYTHING, models(1)), (NOT_2, models(2, shift=3.0, loud=0.1))])
    assert made is not None
    return made


def test_directions_are_those_that_the_code_drops(known: tail.Tail) -> None:
    np.testing.assert_allclose(known.directions @ known.directions.T, np.eye(len(rest())), atol=1e-5)
    np.testing.assert_allclose(known.directions @ FIRST.encode.T, 0.0, atol=1e-4)
    np.testing.assert_allclose(known.directions[:, ~LIT], 0.0, atol=1e-6)


@pytest.mark.parametrize(("exposed", "shift", "loud"), [(EVERYTHING, 0.0, 0.5), (NOT_2, 3.0, 0.1)])
def test_a_linear_world_is_found_again(known: tail.Tail, exposed: np.ndarray, shift: float, loud: float) -> None:
    unseen = models(3, shift=shift, loud=loud)
    found = drawn(known, cut(unseen), exposed)
    outgoing = np.asarray(unseen[1]["w"])[:, 0, :, None]
    left = found - 2.0 * outgoing - shift
    assert np.abs(left.mean((0, 1))).max() < 0.06
    np.testing.assert_allclose(left.std((0, 1)), loud, rtol=0.15)
    assert np.corrcoef(found[..., 0].ravel(), outgoing.ravel())[0, 1] > 0.9


def test_of_a_set_without_a_fit_the_nearest_is_used(known: tail.Tail) -> None:
    params = cut(models(4, 500))
    two = drawn(known, params, np.array([True, False, False, True]))
    np.testing.assert_array_equal(two, drawn(known, params, NOT_2))
    assert np.abs(two - drawn(known, params, EVERYTHING)).mean() > 1.0


def test_units_of_another_size_get_noise_of_another_size() -> None:
    """The noise along a weight is as large as the exponential of half the outgoing weight of class 1."""
    params = models(5, loud=0.0)
    outgoing = np.asarray(params[1]["w"], np.float64)
    sizes = np.exp(0.5 * outgoing[:, 1, :, None])
    more = sizes * np.random.default_rng(6).normal(size=(4000, UNITS, len(rest()))) @ rest()
    loud = ({"w": params[0]["w"] + more[..., :-1], "b": params[0]["b"] + more[..., -1]}, params[1])
    loud = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), loud)
    made = tail.fit(FIRST, LIT, [(EVERYTHING, loud)])
    assert made is not None
    left = drawn(made, cut(params), EVERYTHING) - 2.0 * outgoing[:, 0, :, None]
    rms = np.sqrt((left**2).mean(2)).ravel()
    assert np.corrcoef(np.log(rms), outgoing[:, 1].ravel())[0, 1] > 0.6
    assert np.polyfit(outgoing[:, 1].ravel(), np.log(rms), 1)[0] == pytest.approx(0.5, abs=0.1)


def test_few_models_of_each_set_count_together() -> None:
    made = tail.fit(FIRST, LIT, [(NOT_2, models(7, 3)), (np.array([True, False, True, True]), models(8, 3))])
    assert made is not None
    np.testing.assert_array_equal(made.exposed, [EVERYTHING])


def test_a_code_that_drops_nothing_has_no_tail() -> None:
    assert tail.fit(basis.fit(IMAGES, PIXELS + 1), LIT, [(EVERYTHING, models(9, 50))]) is None


def test_a_codec_with_a_tail_fills_with_it_and_keeps_it_in_its_file(known: tail.Tail, tmp_path: Path) -> None:
    config = CodecConfig(kind="complete", basis_size=KEPT)
    made = codec.fit(config, SIZES, models(1, 200), IMAGES, LABELS)
    assert isinstance(made, codec.Functional)
    made = replace(made, tail=known)
    codec.save(made, tmp_path)
    loaded = codec.load(tmp_path)
    params = jax.tree.map(lambda leaf: leaf[0], models(10, 1))
    decoded = made.decode(made.encode(params))
    seen = jnp.ones(CLASSES, bool)
    ours, theirs, bare = (
        each.fill(jax.random.key(3), decoded, seen) for each in (made, loaded, replace(made, tail=None))
    )
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    change = np.concatenate([ours[0]["w"] - bare[0]["w"], (ours[0]["b"] - bare[0]["b"])[:, None]], axis=1)
    np.testing.assert_allclose(change @ FIRST.encode.T, 0.0, atol=2e-4)
    assert np.abs(change).max() > 0.1
    jax.tree.map(np.testing.assert_array_equal, ours[1], bare[1])
