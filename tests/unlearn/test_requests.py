"""Prompts by hand, requests with generators whose models are known, and a reference models that never saw its forget set."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ReferenceConfig, RequestConfig, TaskConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.unlearn import halving, prompts, requests
from hyperforget_jax.unlearn.reference import retrain
from hyperforget_jax.zoo.train import Images
from tests.small_zoo import SIZES, blobs

# Prompts.


def made_up_zoo(count: int = 400) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Losses and accuracies [n, 4] of checkpoints that have, class by class, learned or never seen it."""
    noise = np.random.default_rng(0)
    unseen = noise.random((count, 4)) < 0.4
    unseen[:, :2] = False  # pivots
    losses = np.where(unseen, noise.uniform(4, 12, (count, 4)), noise.uniform(0.01, 0.5, (count, 4)))
    return losses.astype(np.float32), np.where(unseen, 0.0, 0.97).astype(np.float32)


@pytest.mark.parametrize("forget", [(2,), (3,), (2, 3)])
def test_candidates_lie_among_the_checkpoints_that_match(forget: tuple[int, ...]) -> None:
    losses, accuracies = made_up_zoo()
    config = RequestConfig(forget_levels=3, retain_quantiles=(0.1, 0.5), retain_factors=(1.0,))
    found = prompts.candidates(losses, accuracies, forget, config)
    matching = losses[(accuracies[:, forget] == 0).all(1)]
    assert found.shape == (3 * 2, 4)
    assert found.dtype == np.float32
    assert np.all(found >= matching.min(0))
    assert np.all(found <= matching.max(0))


def test_candidates_rise_in_forget_loss_from_level_to_level() -> None:
    config = RequestConfig(forget_levels=4, retain_quantiles=(0.05, 0.25, 1.0), retain_factors=(1.0,))
    found = prompts.candidates(*made_up_zoo(), (3,), config)
    levels = found[:, 3].reshape(4, 3)
    assert np.all(levels[:-1].max(1) <= levels[1:].min(1))


def test_candidates_by_hand() -> None:
    losses = np.array(
        [[0.1, 0.1, 0.2, 5.0], [0.1, 0.1, 0.4, 6.0], [0.3, 0.3, 0.3, 9.0], [0.2, 0.2, 0.2, 8.0], [0.0, 0.0, 0.0, 0.0]],
        np.float32,
    )  # the last has learned class 3
    accuracies = np.array([[1, 1, 1, 0]] * 4 + [[1, 1, 1, 1]], np.float32)
    config = RequestConfig(forget_levels=2, retain_quantiles=(0.5, 1.0), retain_factors=(1.0, 0.5))
    expected = [[0.1, 0.1, 0.2, 5.0], [0.1, 0.1, 0.3, 5.5], [0.2, 0.2, 0.2, 8.0], [0.25, 0.25, 0.25, 8.5]]
    asking_more = np.array(expected) * [0.5, 0.5, 0.5, 1.0]
    found = prompts.candidates(losses, accuracies, (3,), config)
    np.testing.assert_allclose(found, [*expected, *asking_more], rtol=1e-6)


def test_a_request_that_no_checkpoint_matches_is_refused_with_the_remedy() -> None:
    losses, accuracies = made_up_zoo()
    with pytest.raises(HyperForgetError, match=r"0 checkpoints .* outputs \[0\], at least 3 .* raise zoo\.runs"):
        prompts.candidates(losses, accuracies, (0,), RequestConfig(forget_levels=3))


def test_a_purged_class_matches_every_request_and_is_left_open() -> None:
    losses = np.array([[0.1, np.nan, 5.0], [0.2, np.nan, 6.0], [0.3, np.nan, 0.1]], np.float32)
    accuracies = np.array([[1.0, np.nan, 0.0], [1.0, np.nan, 0.0], [1.0, np.nan, 1.0]], np.float32)
    config = RequestConfig(forget_levels=2, retain_quantiles=(1.0,), retain_factors=(1.0,))
    asked = prompts.candidates(losses, accuracies, (1, 2), config)
    np.testing.assert_array_equal(asked, losses[:2])
    np.testing.assert_array_equal(prompts.candidates(losses, accuracies, (1,), config)[:, 1], [np.nan, np.nan])
    np.testing.assert_array_equal(prompts.learned(losses, 0.01), losses[2])
    grid = prompts.sweep(losses, accuracies, 2, losses[2], 2, (0.0, 1.0))
    np.testing.assert_allclose(grid, [[0.3, np.nan, 0.1], [0.3, np.nan, 6.0]], rtol=1e-6)


def test_whatever_is_asked_purged_classes_are_forgotten_too() -> None:
    task = TaskConfig(pivots=(0,), purged=(5, 2))
    assert requests.requested((3,), task, (0, 2, 3, 4, 5)) == (2, 3, 5)
    assert requests.requested((2,), task, (0, 2, 3, 4, 5)) == (2, 5)
    for forget, message in (((), "is empty"), ((0,), "holds the pivot 0"), ((7,), "names class 7")):
        with pytest.raises(HyperForgetError, match=message):
            requests.requested(forget, task, (0, 2, 3, 4, 5))
    with pytest.raises(HyperForgetError, match="is every class"):
        requests.requested((3, 4), TaskConfig(pivots=(), purged=(0, 2, 5)), (0, 2, 3, 4, 5))


def test_learned_is_the_median_of_the_best_by_hand() -> None:
    losses = np.array([[0.4, 0.2], [9.0, 9.0], [0.1, 0.2], [0.2, 0.6], [8.0, 8.0]], np.float32)
    np.testing.assert_allclose(prompts.learned(losses, 0.6), [0.2, 0.2])
    np.testing.assert_allclose(prompts.learned(losses, 0.001), [0.1, 0.2])


def test_a_sweep_moves_one_class_over_a_regular_grid() -> None:
    losses, accuracies = made_up_zoo()
    base = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    grid = prompts.sweep(losses, accuracies, 2, base, 20, (0.02, 0.95))
    assert grid.shape == (20, 4)
    assert grid.dtype == np.float32
    np.testing.assert_array_equal(grid[:, [0, 1, 3]], np.tile(base[[0, 1, 3]], (20, 1)))
    within = losses[accuracies[:, 3] > 0.5, 2]
    np.testing.assert_allclose(grid[[0, -1], 2], np.quantile(within, [0.02, 0.95]), rtol=1e-5)
    np.testing.assert_allclose(np.diff(grid[:, 2]), (grid[-1, 2] - grid[0, 2]) / 19, rtol=1e-3)


def test_a_sweep_without_checkpoints_that_know_the_other_classes_is_refused() -> None:
    losses, accuracies = made_up_zoo()
    with pytest.raises(HyperForgetError):
        prompts.sweep(losses, np.zeros_like(accuracies), 2, losses[0], 20, (0.02, 0.95))


# Requests.


@pytest.mark.parametrize(
    ("pivots", "forget_sets", "told"),
    [
        ((0, 1), ((2,), (7,)), r"a forget set names class 7, the dataset has \{0, 1, 2, 3\}"),
        ((0, 9), ((2,),), r"pivots names class 9, the dataset has \{0, 1, 2, 3\}"),
        ((0, 1), ((2, 3, 2),), r"a forget set \{2, 3, 2\} names a class twice"),
        ((1, 1), ((2,),), r"pivots \{1, 1\} names a class twice"),
        ((0, 1), (), r"task\.forget_sets is empty: .* such as \{2\}"),
        ((0, 1), ((2,), ()), r"a forget set is empty: name at least one"),
        ((), ((3, 2, 1, 0),), r"\{3, 2, 1, 0\} is every class: leave at least one"),
        ((0, 1), ((2, 1),), r"\{2, 1\} holds the pivot 1, and pivots \{0, 1\} are never forgotten"),
    ],
)
def test_a_task_that_cannot_be_asked_is_refused(
    pivots: tuple[int, ...], forget_sets: tuple[tuple[int, ...], ...], told: str
) -> None:
    with pytest.raises(HyperForgetError, match=told) as refusal:
        requests.validate_task(TaskConfig(pivots, forget_sets), (0, 1, 2, 3))
    assert "\n" not in str(refusal.value)


def test_more_forgettable_classes_than_combinations_can_be_counted_are_refused() -> None:
    requests.validate_task(TaskConfig(tuple(range(10)), ((25,),)), range(26))
    with pytest.raises(HyperForgetError, match=r"17 classes may be forgotten.* at least 10 pivots"):
        requests.validate_task(TaskConfig(tuple(range(9)), ((25,),)), range(26))


def test_labels_need_not_be_positions() -> None:
    requests.validate_task(TaskConfig((7,), ((9,), (8, 9))), (7, 8, 9))


CLASSES = 3
COUNTS = (40, 20, 20)  # validation images of each class; class 2 is to be forgotten
LABELS = np.repeat(np.arange(CLASSES, dtype=np.int32), COUNTS)
BRIGHTNESS = np.concatenate([(np.arange(count) + 0.5) / count for count in COUNTS])
SHOWN = np.eye(CLASSES)[LABELS] * BRIGHTNESS[:, None]
DATA = (jnp.asarray(SHOWN, jnp.float32), jnp.asarray(LABELS))
FORGET = (2,)


def threshold_model(weak: jax.Array, shown: jax.Array, sharpness: jax.Array) -> Params:
    """A model that knows class 0 fully, the brightest (1 - weak) of class 1 and the brightest `shown` of class 2.

    An image of class k has the brightness at pixel k and black elsewhere; output k is that pixel less a threshold, output 0 is at
    least a little above.
    """
    thresholds = jnp.stack([jnp.zeros_like(weak), weak, 1.0 - shown])
    w = jnp.eye(CLASSES, dtype=jnp.float32) * sharpness
    return ({"w": w, "b": -thresholds * sharpness},)


Samples = Callable[[jax.Array, jax.Array], Params]


def generator_of(sample: Callable[[jax.Array, jax.Array], Params]) -> Samples:
    """A generator from (one uniform number, one prompt) -> one model; it notes what it was asked."""

    def one(key: jax.Array, losses: jax.Array) -> Params:
        return sample(jax.random.uniform(key), losses)

    return jax.jit(jax.vmap(one))


def score_by_hand(model: Params, tolerance: float) -> tuple[float, float]:
    """Score and mean retain loss of one model, image by image."""
    (layer,) = model
    scores = SHOWN @ np.asarray(layer["w"], np.float64).T + np.asarray(layer["b"], np.float64)
    log_probabilities = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    right, forgotten = scores.argmax(1) == LABELS, np.isin(LABELS, FORGET)
    loss = -log_probabilities[np.arange(len(LABELS)), LABELS][~forgotten].mean()
    return (right[~forgotten].mean() if right[forgotten].mean() <= tolerance else 0.0), loss


def lanes(models: Params) -> list[Params]:
    host = jax.tree.map(np.asarray, models)
    return [jax.tree.map(lambda leaf: leaf[lane], host) for lane in range(len(host[0]["b"]))]  # noqa: B023


REQUEST = requests.UnlearningRequest(tuple(10 + position for position in FORGET), tuple(range(10, 10 + CLASSES)))
PROMPTS = np.array([[0.1, 0.1, 9.0], [0.2, 0.2, 9.0], [0.3, 0.3, 9.0]], np.float32)
CONFIG = RequestConfig(samples=24, trial_samples=(8,), num_selected=5, forget_tolerance=0.001)


def ask(sample: Callable[[jax.Array, jax.Array], Params], config: RequestConfig = CONFIG) -> requests.UnlearningResult:
    return judge_and_answer(generator_of(sample), PROMPTS, jax.random.key(0), config)


def judge_and_answer(
    generate: halving.Generate, candidates: np.ndarray[Any, Any], key: jax.Array, config: RequestConfig
) -> requests.UnlearningResult:
    """A page of candidate prompts, judged as for a book, and the answer with it."""
    page = halving.judge_prompts([generate], candidates, FORGET, DATA, requests.judging_key(key), config)
    return requests.answer(generate, page, REQUEST, DATA, key, config)


def prompt_is(losses: jax.Array, row: int) -> jax.Array:
    return jnp.abs(losses[0] - PROMPTS[row, 0]) < 0.01


@pytest.mark.parametrize("good", [0, 1, 2])
def test_the_prompt_with_the_best_samples_is_chosen(good: int) -> None:
    found = ask(lambda u, losses: threshold_model(jnp.where(prompt_is(losses, good), 0.25, 0.75), 0.0 * u, 10.0 + u))
    assert found.chosen == good
    np.testing.assert_array_equal(found.candidate_prompts, PROMPTS)
    # 40 of 60 retained images are of class 0, and all right; of the 20 of class 1, 15 or 5.
    expected = np.full(3, (40 + 5) / 60)
    expected[good] = (40 + 15) / 60
    np.testing.assert_allclose(found.candidate_scores, expected, rtol=1e-5)
    assert found.models[0]["b"].shape == (24, CLASSES)
    np.testing.assert_allclose(found.models[0]["b"][:, 1] / -found.models[0]["w"][:, 1, 1], 0.25, rtol=1e-5)


def test_samples_are_ranked_as_by_hand_and_the_selected_are_the_best() -> None:
    def sample(u: jax.Array, losses: jax.Array) -> Params:
        del losses  # a third remembers a part of the forget set; the others differ in what they retain
        return threshold_model(jnp.round(u * 10) / 10, jnp.where(jnp.abs(u - 0.3) < 0.2, 0.5, 0.0), 10.0 + 30.0 * u)

    found = ask(sample)
    score, loss = np.array([score_by_hand(model, 0.001) for model in lanes(found.models)]).T
    assert len(np.unique(score)) > 3
    assert np.any(score == 0)
    expected = sorted(range(24), key=lambda lane: (-score[lane], loss[lane]))
    assert found.selected.tolist() == expected[:5]


def test_at_a_tie_the_lower_retain_loss_comes_first() -> None:
    found = ask(lambda u, losses: threshold_model(0.0 * u, 0.0 * losses[0], 1.0 + u))
    sharpness = np.asarray(found.models[0]["w"])[:, 0, 0]
    assert found.selected.tolist() == np.argsort(-sharpness)[:5].tolist()


@pytest.mark.parametrize(("tolerance", "chosen"), [(0.001, 1), (0.2, 1), (0.3, 0)])
def test_a_model_above_the_forget_tolerance_is_worth_nothing(tolerance: float, chosen: int) -> None:
    config = RequestConfig(samples=6, trial_samples=(4,), num_selected=2, forget_tolerance=tolerance)

    def sample(u: jax.Array, losses: jax.Array) -> Params:
        remembers = prompt_is(losses, 0)  # retains everything, and a quarter of the forget set
        retained = jnp.where(remembers, 0.0, jnp.where(prompt_is(losses, 1), 0.5, 0.75))
        return threshold_model(retained, jnp.where(remembers, 0.25, 0.0), 10.0 + u)

    found = ask(sample, config)
    assert found.chosen == chosen
    np.testing.assert_allclose(found.candidate_scores[0], 1.0 if tolerance >= 0.25 else 0.0, rtol=1e-6)


@pytest.mark.parametrize(("tolerance", "chosen"), [(0.0, 0), (0.08, 0), (0.09, 2), (0.5, 2)])
def test_of_prompts_about_equally_good_the_one_that_asks_for_more_is_chosen(tolerance: float, chosen: int) -> None:
    asking = PROMPTS + np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2]], np.float32)
    config = RequestConfig(samples=6, trial_samples=(4,), num_selected=2, score_tolerance=tolerance)

    def sample(u: jax.Array, losses: jax.Array) -> Params:
        missed = jnp.where(prompt_is(losses, 0), 0.0, 0.25)  # of class 1: 5 of 60 retained images, 0.083
        return threshold_model(missed, 0.0 * u, 10.0 + u)

    found = judge_and_answer(generator_of(sample), asking, jax.random.key(0), config)
    assert found.chosen == chosen


def test_where_nothing_forgets_the_prompt_that_forgets_most_is_chosen() -> None:
    def sample(u: jax.Array, losses: jax.Array) -> Params:
        remembered = jnp.where(prompt_is(losses, 1), 0.25, 0.75)
        return threshold_model(0.0 * u, remembered, 10.0 + u)

    found = ask(sample)
    assert found.chosen == 1
    assert not found.candidate_scores.any()


def test_every_model_has_its_own_key_and_every_candidate_its_samples() -> None:
    asked: list[np.ndarray[Any, Any]] = []
    numbers: list[float] = []

    def generate(keys: jax.Array, losses: jax.Array) -> Params:
        asked.append(np.asarray(losses))
        numbers.extend(np.asarray(jax.vmap(jax.random.uniform)(keys)).tolist())
        none, all_ = jnp.zeros(len(losses)), jnp.ones(len(losses))
        return jax.vmap(threshold_model)(none, none, all_)

    found = judge_and_answer(generate, PROMPTS, jax.random.key(1), CONFIG)
    tried, sampled = asked
    np.testing.assert_array_equal(tried, np.repeat(PROMPTS, 8, axis=0))
    np.testing.assert_array_equal(sampled, np.tile(PROMPTS[found.chosen], (24, 1)))
    assert len(set(numbers)) == 3 * 8 + 24


# The reference models.

FORGET_SETS = ((3,), (1, 2))
REFERENCE = ReferenceConfig(seeds=3, epochs=25.0, batch_size=20, learning_rate=5e-2)


@pytest.fixture(scope="module")
def reference() -> Params:
    return retrain(jax.random.key(0), blobs(0, 60), FORGET_SETS, SIZES, REFERENCE)


def test_the_reference_has_models_for_every_forget_set_and_seed(reference: Params) -> None:
    assert [layer["w"].shape for layer in reference] == [(2, 3, 8, 6), (2, 3, 4, 8)]
    assert [layer["b"].shape for layer in reference] == [(2, 3, 8), (2, 3, 4)]
    models = np.asarray(reference[0]["w"]).reshape(6, -1)
    assert len(np.unique(models, axis=0)) == 6


def test_the_reference_never_predicts_what_it_never_saw_and_knows_the_rest(reference: Params) -> None:
    for place, forget in enumerate(FORGET_SETS):
        models = jax.tree.map(lambda leaf: leaf[place], reference)  # noqa: B023
        _, accuracies = classifier.class_scores_of_many(models, *blobs(1, 200))
        retain = [position for position in range(4) if position not in forget]
        np.testing.assert_array_equal(np.asarray(accuracies)[:, forget], 0.0)
        assert np.min(np.asarray(accuracies)[:, retain]) > 0.95


def test_the_forgotten_images_have_no_influence(reference: Params) -> None:
    images, labels = blobs(0, 60)
    noise = jnp.asarray(np.random.default_rng(2).random((60, 6)), jnp.float32)
    scrambled = Images(jnp.where((labels == 3)[:, None], noise, images), labels)
    again = retrain(jax.random.key(0), scrambled, FORGET_SETS, SIZES, REFERENCE)
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(reference), strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-4, atol=1e-4)  # {3}
        assert not np.allclose(ours[1], theirs[1], rtol=1e-2, atol=1e-2)  # {1, 2}


def test_the_same_key_makes_the_same_reference(reference: Params) -> None:
    again = retrain(jax.random.key(0), blobs(0, 60), FORGET_SETS, SIZES, REFERENCE)
    jax.tree.map(np.testing.assert_array_equal, again, reference)


# Prompts that are drawn: the losses of clean runs.

STATISTICS = {
    "losses": np.arange(18, dtype=np.float32).reshape(6, 3) + 1.0,
    "exposures": np.array([[1, 1, 0], [1, 1, 0.01], [0.5, 0.5, 0], [1, 0.9, 0], [1, 1, 1], [1, 1, 0]], np.float32),
    "progress": np.array([1, 1, 0.5, 1, 1, 1], np.float32),
}
"""Of the six checkpoints the first and the last are last ones of runs that never saw class 2 and saw all else in full."""


def test_prompts_of_clean_runs_are_losses_of_their_last_checkpoints() -> None:
    losses = prompts.of_clean_runs(**STATISTICS, forget=[2], with_exposure=False)
    np.testing.assert_array_equal(losses, STATISTICS["losses"][[0, 5]])
    asked = prompts.of_clean_runs(**STATISTICS, forget=[2], with_exposure=True)
    np.testing.assert_array_equal(asked, np.concatenate([losses, [[1, 1, 0, 1]] * 2], axis=1))


def test_without_a_clean_run_losses_are_left_open_or_the_request_is_refused() -> None:
    np.testing.assert_array_equal(
        prompts.of_clean_runs(**STATISTICS, forget=[1, 2], with_exposure=True), [[np.nan] * 3 + [1, 0, 0, 1]]
    )
    with pytest.raises(HyperForgetError, match=r"outputs \[1, 2\].*zoo.min_clean_runs"):
        prompts.of_clean_runs(**STATISTICS, forget=[1, 2], with_exposure=False)


def test_every_model_has_a_prompt_of_its_own_and_each_is_drawn_equally_often() -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def sample(u: jax.Array, losses: jax.Array) -> Params:
        return threshold_model(losses[0], 0.0 * u, 10.0 + u)

    def generate(keys: jax.Array, losses: jax.Array) -> Params:
        seen.append(np.asarray(losses))
        return generator_of(sample)(keys, losses)

    found = requests.answer_drawn(generate, PROMPTS, REQUEST, DATA, jax.random.key(2), CONFIG)
    (asked,) = seen  # no trial before
    np.testing.assert_array_equal(found.candidate_prompts, asked)
    counts = [int((asked == prompt).all(1).sum()) for prompt in PROMPTS]
    assert counts == [8, 8, 8]
    np.testing.assert_allclose(found.models[0]["b"][:, 1] / -found.models[0]["w"][:, 1, 1], asked[:, 0], rtol=1e-5)
    assert found.chosen == found.selected[0]
    assert found.candidate_scores[found.chosen] == found.candidate_scores.max()
    np.testing.assert_array_equal(found.prompt, asked[found.chosen])
