"""A guard holds prompts within bounds and nothing else; what it holds has no say; a scrub changes nothing where nothing is due."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.config import CodecConfig, DiffusionConfig, HypernetworkConfig, SamplingConfig
from hyperforget_jax.diffusion import conditioning, dit, scrubbing
from hyperforget_jax.diffusion.guard import Guard, hold
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, generator
from hyperforget_jax.diffusion.lessons import batches
from hyperforget_jax.diffusion.scrubbing import Scrubbing
from hyperforget_jax.weights import codec
from hyperforget_jax.weights.layout import flatten

pytestmark = pytest.mark.usefixtures("programs")
SIZES, NUM_CLASSES, CLASS = (5, 3, 4), 4, 2
COLUMNS = 2 * NUM_CLASSES + 1
INFINITE = np.full(COLUMNS, np.inf)
EXPOSURE = NUM_CLASSES + CLASS
SAMPLING = SamplingConfig(steps=2, batch_size=8)


def guard() -> Guard:
    """Class 2: a loss of at least 3 nats, usually 5, and no exposure."""
    least, most, usual = -INFINITE, INFINITE.copy(), np.full(COLUMNS, np.nan)
    least[CLASS], usual[CLASS] = 3.0, 5.0
    most[EXPOSURE] = usual[EXPOSURE] = 0.0
    return Guard(*(jnp.asarray(each, jnp.float32) for each in (least, most, usual)))


def prompts(random: np.random.Generator, count: int) -> np.ndarray:  # type: ignore[type-arg]
    losses = np.exp(random.normal(0.0, 1.5, (count, NUM_CLASSES)))
    return np.concatenate([losses, random.random((count, NUM_CLASSES + 1))], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def teacher() -> Hypernetwork:
    """Random parameters, none of them zero; its conditions are losses, exposures and age."""
    random = np.random.default_rng(0)
    config = HypernetworkConfig(hidden_size=8, depth=1, num_heads=2, mlp_ratio=1, frequencies=2)
    diffusion = DiffusionConfig(timesteps=20)
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(0), 30))
    images = random.random((40, 5)).astype(np.float32)
    setting = CodecConfig(kind="functional", basis_size=6)
    coder = codec.fit(setting, SIZES, models, images, np.arange(40, dtype=np.int32) % NUM_CLASSES)
    transformer = dit.make(config, diffusion, coder.layout, COLUMNS, NUM_CLASSES)
    shapes = jax.eval_shape(transformer.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.asarray(random.normal(0, 0.3, x.shape), jnp.float32), shapes)
    condition = conditioning.fit(prompts(random, 200), 1e-3)
    return Hypernetwork(params, transformer, coder, condition, diffusion)


def test_a_guard_moves_what_is_out_of_bounds_and_nothing_else() -> None:
    asked = prompts(np.random.default_rng(1), 6)
    asked[:, CLASS], asked[:, EXPOSURE] = [4.0, 0.1, np.nan, 3.0, 9.0, 2.9], [0.0, 1.0, np.nan, 0.0, 0.5, 0.0]
    asked[1, 0] = np.nan
    held = np.asarray(hold(guard(), jnp.asarray(asked)))
    np.testing.assert_allclose(held[:, CLASS], [4.0, 3.0, 5.0, 3.0, 9.0, 3.0])
    np.testing.assert_array_equal(held[:, EXPOSURE], 0.0)
    others = np.setdiff1d(np.arange(COLUMNS), [CLASS, EXPOSURE])
    np.testing.assert_array_equal(held[:, others], asked[:, others])
    np.testing.assert_array_equal(held[[0, 3]], asked[[0, 3]])  # these forget the class already
    np.testing.assert_array_equal(hold(None, jnp.asarray(asked)), asked)


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_what_is_asked_out_of_bounds_has_no_say_in_a_sample(teacher: Hypernetwork, scale: float) -> None:
    generate = generator(replace(teacher, guard=guard()), replace(SAMPLING, guidance_scale=scale))
    asked = prompts(np.random.default_rng(2), 8)
    asked[:, CLASS], asked[:, EXPOSURE] = 3.0, 0.0
    wanting = asked.copy()
    wanting[:, CLASS], wanting[:, EXPOSURE] = np.linspace(0.001, 2.9, 8), 1.0

    def made(values: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        keys = jax.random.split(jax.random.key(3), 8)
        return np.asarray(jax.vmap(flatten)(generate(keys, jnp.asarray(values), lambda count: None)))

    np.testing.assert_array_equal(made(asked), made(wanting))
    free = generator(teacher, replace(SAMPLING, guidance_scale=scale))
    keys = jax.random.split(jax.random.key(3), 8)
    unguarded = np.asarray(jax.vmap(flatten)(free(keys, jnp.asarray(wanting), lambda count: None)))
    assert np.abs(unguarded - made(wanting)).max() > 1e-3


def test_guidance_away_from_nothing_keeps_the_guard(teacher: Hypernetwork) -> None:
    """With all of a prompt open, what is asked and what guidance leads away from are the same guarded condition."""
    open_ = np.full((8, COLUMNS), np.nan, np.float32)

    def made(scale: float) -> np.ndarray:  # type: ignore[type-arg]
        generate = generator(replace(teacher, guard=guard()), replace(SAMPLING, guidance_scale=scale))
        keys = jax.random.split(jax.random.key(4), 8)
        return np.asarray(jax.vmap(flatten)(generate(keys, jnp.asarray(open_), lambda count: None)))

    np.testing.assert_allclose(made(1.0), made(4.0), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_nothing_is_to_be_learned_where_the_class_is_forgotten_already(teacher: Hypernetwork) -> None:
    random = np.random.default_rng(5)
    forgetting, wanting = prompts(random, 8), prompts(random, 8)
    forgetting[:, CLASS], forgetting[:, EXPOSURE] = 4.0, 0.0
    wanting[:, CLASS], wanting[:, EXPOSURE] = 0.01, 1.0
    objective = Scrubbing(teacher)

    def loss(asked: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]
        lessons = scrubbing.lesson(teacher, guard(), SAMPLING, jax.random.key(6), jnp.asarray(asked))
        value, gradient = jax.value_and_grad(objective.loss)(teacher.params, jax.random.key(7), lessons)
        return float(value), max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))

    assert loss(forgetting) == (0.0, 0.0)
    value, gradient = loss(wanting)
    assert value > 1e-4
    assert gradient > 1e-4


def test_batches_are_a_function_of_the_step() -> None:
    count = 20
    nothing = conditioning.Condition(jnp.zeros((count, 1)), jnp.zeros((count, 1)))
    lessons = scrubbing.Lesson(jnp.arange(count, dtype=jnp.float32)[:, None, None], nothing, nothing)
    first = batches(lessons, 1, 4, 0)
    next(first)
    np.testing.assert_array_equal(next(first).tokens, next(batches(lessons, 1, 4, 1)).tokens)
