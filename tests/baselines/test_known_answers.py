"""Settings at which a baseline is another one, or changes nothing."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from hyperforget_jax import classifier
from hyperforget_jax.baselines import bad_teacher, clean_pool, salun, steps, trw
from hyperforget_jax.baselines.boundary import BoundaryExpand, BoundaryShrink, nearest_wrong
from hyperforget_jax.baselines.clean_pool import DatamodelMatching, Retrieval, Soup
from hyperforget_jax.baselines.fine_tune import FineTune
from hyperforget_jax.baselines.l1_sparse import L1Sparse
from hyperforget_jax.baselines.laf import Laf
from hyperforget_jax.baselines.method import Method, Problem, answer
from hyperforget_jax.baselines.minimum_norm import MinimumNorm, extended
from hyperforget_jax.baselines.neggrad_plus import NegGradPlus
from hyperforget_jax.baselines.random_labels import RandomLabels
from hyperforget_jax.baselines.retrain import Retrain
from hyperforget_jax.baselines.salun import Salun
from hyperforget_jax.baselines.scrub import Scrub
from hyperforget_jax.baselines.ssd import Ssd, importances
from hyperforget_jax.baselines.unsir import Unsir
from hyperforget_jax.classifier import Params
from tests.baselines.conftest import SIZES, Case

pytestmark = pytest.mark.usefixtures("programs")
FEW = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
KEY = 5


def unlearned(method: Method, problem: Problem, original: Params) -> Params:
    keys = jax.random.split(jax.random.key(KEY), 1)
    models = answer(method, jax.tree.map(lambda leaf: leaf[None], original), problem, keys)
    return jax.tree.map(lambda leaf: leaf[0], models)


def own_key() -> jax.Array:
    return jax.random.split(jax.random.key(KEY), 1)[0]


@pytest.mark.parametrize(
    "other",
    [
        NegGradPlus(**FEW, retain_weight=1.0),
        L1Sparse(**FEW, alpha=0.0),
        Scrub(epochs=2, max_epochs=0, batch_size=16, learning_rate=0.01, alpha=0.0),
    ],
    ids=["NegGrad+ with a = 1", "l1-sparse without a penalty", "SCRUB without max steps and alpha 0"],
)
def test_it_is_fine_tuning(case: Case, other: Method) -> None:
    expected = unlearned(FineTune(**FEW), case.forgetting, case.original)
    chex.assert_trees_all_close(unlearned(other, case.forgetting, case.original), expected, rtol=1e-4, atol=1e-5)


def test_fine_tuning_moves_the_model(case: Case) -> None:
    moved = unlearned(FineTune(**FEW), case.forgetting, case.original)
    assert float(jnp.abs(moved[0]["w"] - case.original[0]["w"]).max()) > 1e-3


def test_without_forgotten_images_random_labels_are_fine_tuning(case: Case) -> None:
    expected = unlearned(FineTune(**FEW), case.nothing, case.original)
    chex.assert_trees_all_close(
        unlearned(RandomLabels(**FEW), case.nothing, case.original), expected, rtol=1e-4, atol=1e-5
    )


def test_salun_with_a_full_mask_is_random_labels_by_the_same_optimizer(case: Case) -> None:
    settings = {"epochs": 2, "batch_size": 16, "batches": 2, "learning_rate": 0.01, "weight_decay": 0.0}
    full = unlearned(Salun(**settings, share=1.0), case.forgetting, case.original)  # type: ignore[arg-type]
    labels = steps.random_labels(own_key(), case.labels, 3, True)
    params, momentum = case.original, jax.tree.map(jnp.zeros_like, case.original)
    gradient = jax.jit(jax.grad(salun.random_labels.loss(labels)))
    for number in range(steps.num_steps(case.forgetting, 2, 16)):
        found = gradient(params, steps.draw(case.forgetting, jnp.asarray(number), 16))
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, found)
        params = jax.tree.map(lambda p, m: p - 0.01 * m, params, momentum)
    chex.assert_trees_all_close(full, params, rtol=1e-4, atol=1e-5)


def test_salun_changes_the_salient_weights_alone(case: Case) -> None:
    settings = {"epochs": 1, "batch_size": 16, "batches": 2, "share": 0.3}
    moved = unlearned(Salun(**settings), case.forgetting, case.original)  # type: ignore[arg-type]
    mask = salun.salient(case.original, case.forgetting, 2, 16, 0.3)
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (moved, case.original, mask)]
    assert_allclose(flat[0][flat[2] == 0], flat[1][flat[2] == 0], rtol=0, atol=0)
    assert flat[2].sum() == round(0.3 * flat[2].size)
    assert not np.array_equal(flat[0], flat[1])


def test_bad_teacher_without_forgotten_images_is_distillation(case: Case) -> None:
    student, other = (classifier.init(key, SIZES) for key in jax.random.split(jax.random.key(0)))
    loss = bad_teacher.loss(case.original, other, 2.0)
    nothing, something = (steps.draw(each, jnp.asarray(0), 16) for each in (case.nothing, case.forgetting))
    scores = [classifier.scores(model, nothing.retained.columns) for model in (case.original, student)]
    assert_allclose(loss(student, nothing), steps.divergence(*scores, 2.0), rtol=1e-6)
    assert_allclose(loss(case.original, nothing), 0.0, atol=1e-6)
    assert float(loss(case.original, something)) > 0.1  # the incompetent teacher counts


@pytest.mark.parametrize("which", ["alpha", "empty"])
def test_ssd_changes_nothing_where_nothing_is_selected(case: Case, which: str) -> None:
    method, problem = (
        (Ssd(batches=4, alpha=float("inf")), case.forgetting)
        if which == "alpha"
        else (Ssd(batches=4, alpha=0.0), case.nothing)
    )
    chex.assert_trees_all_equal(unlearned(method, problem, case.original), case.original)


def test_ssd_with_alpha_0_multiplies_by_the_ratio_of_importances(case: Case) -> None:
    dampened = unlearned(Ssd(batches=4, batch_size=16, alpha=0.0, strength=0.5), case.forgetting, case.original)
    forgotten, retained = importances(case.original, case.forgetting, 4, 16)
    for new, old, f, r in zip(*map(jax.tree.leaves, (dampened, case.original, forgotten, retained)), strict=True):
        everything = (2 * r + f) / 3  # two of three images are retained
        ratio = np.minimum(np.divide(0.5 * everything, f, out=np.ones_like(f), where=np.asarray(f) > 0), 1.0)
        assert_allclose(new, np.where(f > 0, old * ratio, old), rtol=1e-4, atol=1e-6)


def test_a_soup_of_one_and_a_retrieval_of_one_are_that_run(case: Case) -> None:
    recipe = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}
    start = classifier.init(own_key(), SIZES)
    run = jax.tree.map(lambda leaf: leaf[0], clean_pool.runs(start, case.forgetting, 1, Soup(models=1, **recipe)))  # type: ignore[arg-type]
    chex.assert_trees_all_close(unlearned(Soup(models=1, **recipe), case.forgetting, case.original), run, rtol=1e-5)  # type: ignore[arg-type]
    of_none = jax.tree.map(lambda leaf: leaf[None], case.original)
    plain = answer(Retrain(**recipe), of_none, case.forgetting, jax.random.split(own_key(), 1))  # type: ignore[arg-type]
    retrieved = unlearned(Retrieval(models=1, **recipe), case.forgetting, case.original)  # type: ignore[arg-type]
    chex.assert_trees_all_close(retrieved, jax.tree.map(lambda leaf: leaf[0], plain), rtol=1e-5)


def test_retraining_ignores_the_forgotten_images(case: Case) -> None:
    noise = jnp.where((case.labels == 2)[:, None], 100.0, case.images)
    other = case.forgetting._replace(images=noise)
    recipe = Retrain(epochs=2, batch_size=16)
    chex.assert_trees_all_equal(
        unlearned(recipe, case.forgetting, case.original), unlearned(recipe, other, case.original)
    )


def test_trw_with_beta_0_is_plain_re_weighting(case: Case) -> None:
    batch = steps.minibatch(case.forgetting, jnp.arange(2, 96, 3))
    target = jax.nn.softmax(trw.tilted(case.original, batch, case.forgetting.forget, 0.0), axis=0)
    plain = (
        jax.nn.softmax(classifier.scores(case.original, batch.columns), axis=0) * jnp.array([1.0, 1.0, 0.0])[:, None]
    )
    assert_allclose(target, plain / plain.sum(0, keepdims=True), rtol=1e-5, atol=1e-7)


def test_trw_tilts_to_the_class_that_is_more_alike(case: Case) -> None:
    batch = steps.minibatch(case.forgetting, jnp.arange(2, 96, 3))
    similar = np.asarray(trw.class_similarity(case.original))[2, :2]
    odds = [
        np.subtract(*np.asarray(trw.tilted(case.original, batch, case.forgetting.forget, beta))[:2])
        for beta in (0.0, 3.0)
    ]
    assert_allclose(odds[1] - odds[0], np.full(32, 3.0 * np.subtract(*similar)), rtol=1e-4, atol=1e-5)


def test_unsir_without_impair_steps_is_fine_tuning(case: Case) -> None:
    settings = {"noise_steps": 1, "impair_steps": 0, "repair_steps": 12, "repair_rate": 0.01, "batch_size": 16}
    repaired = unlearned(Unsir(**settings), case.forgetting, case.original)  # type: ignore[arg-type]
    expected = unlearned(FineTune(**FEW), case.forgetting, case.original)  # 2 epochs of 96 / 16 steps
    chex.assert_trees_all_close(repaired, expected, rtol=1e-5)


def test_the_noise_of_unsir_is_taken_for_anything_but_its_label(case: Case) -> None:
    method, like = Unsir(noise_steps=60), steps.minibatch(case.forgetting, jnp.arange(2, 96, 3))
    noise = method.error_maximising(case.original, like, jax.random.key(0))
    assert float(clean_pool.accuracy(case.original, noise)) == 0.0
    assert float(clean_pool.accuracy(case.original, like)) == 1.0


def test_the_nearest_wrong_class_is_wrong_and_nearest(case: Case) -> None:
    batch = steps.minibatch(case.nothing, jnp.arange(96))
    chosen = np.asarray(nearest_wrong(case.original, batch, 0.0))
    scores = np.asarray(classifier.scores(case.original, batch.columns))
    assert (chosen != np.asarray(case.labels)).all()
    second = np.argsort(-scores, axis=0)[1]
    right = scores.argmax(0) == np.asarray(case.labels)
    assert_allclose(chosen[right], second[right])


def test_boundary_shrink_moves_forgotten_images_to_their_nearest_wrong_class(case: Case) -> None:
    method = BoundaryShrink(epochs=20, batch_size=32, learning_rate=0.05, reach=0.0)
    model = unlearned(method, case.forgetting, case.original)
    batch = steps.minibatch(case.nothing, jnp.arange(2, 96, 3))
    wanted = nearest_wrong(case.original, batch, 0.0)
    assert float((classifier.scores(model, batch.columns).argmax(0) == wanted).mean(dtype=jnp.float32)) >= 0.9
    same = unlearned(method, case.nothing, case.original)
    chex.assert_trees_all_equal(same, case.original)


def test_datamodel_matching_leaves_a_model_that_answers_as_the_clean_run(case: Case) -> None:
    recipe = {"epochs": 3, "batch_size": 32}
    method = DatamodelMatching(models=1, run_rate=0.02, learning_rate=0.01, **recipe)
    start = classifier.init(own_key(), SIZES)
    pool = clean_pool.runs(start, case.forgetting, 1, Retrieval(models=1, learning_rate=0.02, **recipe))
    run = jax.tree.map(lambda leaf: leaf[0], pool)
    same, moved = (unlearned(method, case.forgetting, each) for each in (run, case.original))
    wanted = centred_logits(run, case)
    apart = [float(jnp.square(centred_logits(each, case) - wanted).mean()) for each in (same, moved, case.original)]
    assert apart[0] < 0.01 * apart[2]  # Adam makes steps of rounding
    assert apart[1] < 0.7 * apart[2]


def centred_logits(params: Params, case: Case) -> jax.Array:
    logits = classifier.logits(params, case.images)
    return logits - logits.mean(1, keepdims=True)


def test_boundary_expand_without_steps_is_the_original(case: Case) -> None:
    same = unlearned(BoundaryExpand(epochs=0), case.forgetting, case.original)
    chex.assert_trees_all_equal(same, case.original)


def test_minimum_norm_is_the_ridge_regression_of_one_hot_labels(case: Case) -> None:
    method = MinimumNorm(images=200, ridge=1e-3, scale=1.0)
    model = unlearned(method, case.forgetting, case.original)
    batch = steps.draw(case.forgetting, jnp.asarray(0), 200).retained
    features = np.asarray(extended(classifier.activations(case.original, batch.columns)), np.float64).T
    penalty = 1e-3 * np.trace(features.T @ features) / features.shape[1]
    targets = np.eye(3)[np.asarray(batch.labels)]
    stacked = np.concatenate(
        [features, np.sqrt(penalty) * np.eye(features.shape[1])]
    )  # ridge as least squares on more rows
    expected = np.linalg.lstsq(stacked, np.concatenate([targets, np.zeros((features.shape[1], 3))]), rcond=None)[0].T
    found = np.concatenate([model[-1]["w"], model[-1]["b"][:, None]], axis=1)
    assert_allclose(found, expected, rtol=1e-2, atol=1e-3)
    assert_allclose(found[2], 0.0, atol=1e-6)  # no target of the forgotten class is 1
    chex.assert_trees_all_equal(model[:-1], case.original[:-1])


def test_laf_leaves_the_output_layer_and_moves_forgotten_features(case: Case) -> None:
    moved = unlearned(Laf(epochs=10, batch_size=16, learning_rate=0.01, away=0.3), case.forgetting, case.original)
    chex.assert_trees_all_equal(moved[-1], case.original[-1])
    columns = case.images.T
    apart = jnp.abs(classifier.activations(moved, columns) - classifier.activations(case.original, columns)).mean(0)
    assert float(apart[case.labels == 2].mean()) > 2 * float(apart[case.labels != 2].mean())


def test_random_labels_are_uniform_and_never_true_if_excluded() -> None:
    labels = jnp.asarray(np.arange(3000) % 3, jnp.int32)
    draw: Callable[[bool], np.ndarray] = lambda exclude: np.asarray(  # type: ignore[type-arg]  # noqa: E731
        steps.random_labels(jax.random.key(0), labels, 3, exclude)
    )
    assert (draw(True) != np.asarray(labels)).all()
    assert 0.29 < np.mean(draw(False) == np.asarray(labels)) < 0.38
