"""A student: what it minimises is zero where it should be, and what it is judged on is what prompts are about."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier, data
from hyperforget_jax.config import (
    CodecConfig,
    Config,
    DataConfig,
    DiffusionConfig,
    DistillationConfig,
    HypernetworkConfig,
    SamplingConfig,
)
from hyperforget_jax.diffusion import conditioning, distillation, dit, samplers, serialization
from hyperforget_jax.diffusion.conditioning import Dropout
from hyperforget_jax.diffusion.distillation import Distillation, Images, Lesson
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Student, generator
from hyperforget_jax.diffusion.lessons import batches
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.weights import codec

pytestmark = pytest.mark.usefixtures("programs")
SIZES = (5, 3, 4)
CONFIG = HypernetworkConfig(hidden_size=8, depth=1, num_heads=2, mlp_ratio=1, frequencies=2)
DIFFUSION = DiffusionConfig(timesteps=20)
SAMPLING = SamplingConfig(steps=5, batch_size=6, temperature=0.5)
RANDOM = np.random.default_rng(0)
LOSSES = np.exp(RANDOM.normal(-1.0, 1.0, size=(50, 4))).astype(np.float32)
IMAGES = RANDOM.random((40, 5)).astype(np.float32)
LABELS = np.arange(40, dtype=np.int32) % 4
NO_DROPOUT = Dropout(0.0, 0.0, 0.0, (4,))


@pytest.fixture(scope="module")
def teacher() -> Hypernetwork:
    """One with random parameters."""
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(0), 30))
    coder = codec.fit(CodecConfig(basis_size=6), SIZES, models, IMAGES, LABELS)
    transformer = dit.make(CONFIG, DIFFUSION, coder.layout, SIZES[-1], SIZES[-1])
    shapes = jax.eval_shape(transformer.init, jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.asarray(RANDOM.normal(0, 0.3, x.shape), jnp.float32), shapes)
    return Hypernetwork(params, transformer, coder, conditioning.fit(LOSSES, 1e-3), DIFFUSION)


def lesson(teacher: Hypernetwork, sampling: SamplingConfig) -> Lesson:
    return distillation.lesson(
        teacher, sampling, NO_DROPOUT, jax.random.key(1), jnp.asarray(LOSSES[:6]), None, jnp.ones(6, bool)
    )


def judged(teacher: Hypernetwork) -> Images:
    return Images(jnp.asarray(IMAGES), jnp.asarray(LABELS), jnp.ones(4), jnp.zeros(4))


def test_one_that_takes_the_teachers_steps_has_nothing_to_learn_from_its_tokens(teacher: Hypernetwork) -> None:
    few = samplers.few_steps(3, SAMPLING)
    objective = Distillation(teacher, few, judged(teacher), DistillationConfig(loss_weight=0.0))
    key, params = jax.random.key(2), objective.init(jax.random.key(3))
    assert float(objective.loss(params, key, lesson(teacher, few))) < 1e-10
    assert float(objective.loss(params, jax.random.clone(key), lesson(teacher, SAMPLING))) > 1e-3


def test_one_that_reaches_the_losses_asked_for_has_nothing_to_learn_from_them(teacher: Hypernetwork) -> None:
    few = samplers.few_steps(3, SAMPLING)
    objective = Distillation(teacher, few, judged(teacher), DistillationConfig(loss_weight=1.0))
    taught = lesson(teacher, few)
    models = jax.vmap(teacher.codec.decode)(taught.tokens)
    reached, _ = classifier.class_scores_of_many(models, jnp.asarray(IMAGES), jnp.asarray(LABELS))  # [B, K]
    met = taught._replace(
        condition=taught.condition._replace(target=conditioning.standardise(teacher.condition, reached))
    )
    key = jax.random.key(2)
    # the same noise and condition but for the target: the tokens change, so only the distance to what they reach is left at zero
    params = teacher.params
    frozen = replace(objective, teacher=replace(teacher, transformer=Unmoved(teacher, taught)))
    assert float(frozen.loss(params, key, met)) < 1e-8
    missed = met._replace(condition=met.condition._replace(target=met.condition.target.at[:, 1].add(2.0)))
    assert float(frozen.loss(params, jax.random.clone(key), missed)) == pytest.approx(4.0 / 4, rel=1e-4)
    unasked = missed._replace(condition=missed.condition._replace(asked=missed.condition.asked.at[:, 1].set(0.0)))
    assert float(frozen.loss(params, jax.random.clone(key), unasked)) < 1e-8


class Unmoved:
    """A transformer that always answers with the tokens of a lesson, whatever is asked."""

    def __init__(self, teacher: Hypernetwork, taught: Lesson) -> None:
        self.tokens = taught.tokens

    def apply(self, *_: object) -> jax.Array:
        """Those tokens, which are x_0."""
        return self.tokens


def test_class_losses_are_those_of_the_classifier_and_no_gradient_goes_through_a_class_without_images() -> None:
    model = classifier.init(jax.random.key(0), SIZES)
    images, labels = jnp.asarray(IMAGES), jnp.asarray(LABELS)
    found = distillation.class_losses(model, images, labels)
    np.testing.assert_allclose(found, classifier.class_scores(model, images, labels)[0], rtol=1e-5)
    few = labels != 2
    gradient = jax.grad(lambda model: distillation.class_losses(model, images[few], labels[few]).sum())(model)
    assert float(distillation.class_losses(model, images[few], labels[few])[2]) == 0.0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_losses_on_other_images_are_translated_to_those_on_validation() -> None:
    """Planted: on validation the standardised logarithm is 0.5 x + 0.3 of that on these images, but for the third class, 2 x - 1."""
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(0), 64))
    condition = conditioning.fit(LOSSES, 1e-3)
    images, labels = jnp.asarray(IMAGES), jnp.asarray(LABELS)
    here = conditioning.standardise(condition, classifier.class_scores_of_many(models, images, labels)[0])
    slope, offset = np.array([0.5, 0.5, 2.0, 0.5]), np.array([0.3, 0.3, -1.0, 0.3])
    standard = np.asarray(here, np.float64) * slope + offset
    there = np.exp(standard * np.asarray(condition.std) + np.asarray(condition.mean)) - np.asarray(condition.floor)
    found = distillation.calibrate(condition, models, there, images, labels)
    np.testing.assert_allclose(found.slope, slope, rtol=1e-3)
    np.testing.assert_allclose(found.offset, offset, rtol=1e-3, atol=1e-3)


def test_what_is_not_wholly_asked_is_dropped_and_what_is_stays(teacher: Hypernetwork) -> None:
    whole = jnp.arange(6) < 3
    made = distillation.lesson(
        teacher, SAMPLING, Dropout(1.0, 0.0, 0.0, (4,)), jax.random.key(1), jnp.asarray(LOSSES[:6]), None, whole
    )
    assert made.condition.asked.tolist() == [[1.0] * 4] * 3 + [[0.0] * 4] * 3
    np.testing.assert_array_equal(made.condition.target[3:], 0.0)


def test_batches_of_a_step_do_not_depend_on_where_one_starts(teacher: Hypernetwork) -> None:
    lessons = jax.tree.map(np.asarray, lesson(teacher, SAMPLING))
    straight, later = (batches(lessons, 5, 4, step) for step in (0, 2))
    next(straight), next(straight)
    jax.tree.map(np.testing.assert_array_equal, next(straight), next(later))


def test_a_student_samples_in_its_own_steps_also_when_saved(teacher: Hypernetwork, tmp_path: Path) -> None:
    other = jax.tree.map(lambda x: x + 0.1, teacher.params)
    taught = replace(teacher, student=Student(other, 2))
    keys, prompts = jax.random.split(jax.random.key(1), 3), jnp.asarray(LOSSES[:3])
    found = generator(taught, SAMPLING)(keys, prompts, lambda made: None)
    alone = replace(teacher, params=other)
    steps = samplers.few_steps(2, SAMPLING)
    expected = generator(alone, steps)(jax.random.clone(keys), prompts, lambda made: None)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    serialization.save(taught, tmp_path)
    loaded = serialization.load(tmp_path, CONFIG, DIFFUSION)
    again = generator(loaded, SAMPLING)(jax.random.clone(keys), prompts, lambda made: None)
    jax.tree.map(np.testing.assert_array_equal, again, found)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, teacher.params)


def test_a_student_needs_images_of_every_class_and_class_losses() -> None:
    config = Config(data=DataConfig(name="digits"), distillation=DistillationConfig(steps=1))
    dataset = data.load(config.data)
    with pytest.raises(HyperForgetError, match=r"data.distillation_size 0 holds out no image of class 0 .* raise it"):
        distillation.validate_distillation(config, dataset)
    distillation.validate_distillation(replace(config, distillation=DistillationConfig(steps=0)), dataset)
    some = data.load(replace(config.data, distillation_size=100))
    distillation.validate_distillation(config, some)
    one = replace(config, hypernetwork=HypernetworkConfig(metric="mean_loss"))
    with pytest.raises(HyperForgetError, match=r"hypernetwork.metric is mean_loss, and a student learns class losses"):
        distillation.validate_distillation(one, some)
