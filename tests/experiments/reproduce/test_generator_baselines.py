"""Rivals of the generator at the same prompts."""

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from experiments import generator_baselines
from hyperforget_jax import classifier
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork
from hyperforget_jax.pipeline import training as stages
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.pipeline.run_folder import FinishedRun
from hyperforget_jax.unlearn import retrieval
from hyperforget_jax.zoo.storage import Zoo
from tests.small_paper import Finished, lines_of, value_of


class Known(NamedTuple):
    """What rivals are made of."""

    run: Run
    hypernetwork: Hypernetwork
    zoo: Zoo


@pytest.fixture(scope="module")
def known(finished_runs: dict[str, FinishedRun]) -> Known:
    """Of DiHyFo-2."""
    run = finished_runs["dihyfo2"].run
    zoo, held_out = pipeline_zoo.split_zoo(run)
    return Known(run, stages.train_hypernetwork(run, zoo, held_out).hypernetwork, zoo)


def test_the_checkpoint_whose_losses_are_asked_for_comes_first(known: Known) -> None:
    losses = known.zoo.losses
    asked = losses[[0, 7, len(losses) - 1]]
    found = generator_baselines.closest(known.hypernetwork, known.zoo, asked, 5)
    assert found.shape == (3, 5)
    np.testing.assert_array_equal(losses[found[:, 0]], asked)
    logs = np.log(losses.astype(np.float64) + known.run.config.hypernetwork.loss_floor)
    scores = (logs - logs.mean(0)) / logs.std(0)
    for row, place in zip(found, (0, 7, len(losses) - 1), strict=True):
        apart = np.linalg.norm(scores - scores[place], axis=1)
        np.testing.assert_allclose(apart[row], np.sort(apart)[:5], atol=1e-4)


def test_no_more_checkpoints_are_found_than_there_are(known: Known) -> None:
    few = known.zoo.spaced(3)
    assert sorted(generator_baselines.closest(known.hypernetwork, few, few.losses[:1], 9)[0]) == [0, 1, 2]


def test_every_rival_has_its_models(known: Known) -> None:
    prompt = known.zoo.losses[5]
    found = generator_baselines.of_prompt(known.run, known.hypernetwork, known.zoo, prompt)
    again = generator_baselines.of_prompt(known.run, known.hypernetwork, known.zoo, prompt)
    jax.tree.map(np.testing.assert_array_equal, found, again)
    assert list(found) == ["retrieval", "noise", "average"]
    sizes = known.run.sizes
    for models in found.values():
        shapes = [(layer["w"].shape, layer["b"].shape) for layer in models]
        widths = zip(sizes[1:], sizes[:-1], strict=True)
        assert shapes == [((8, out, into), (8, out)) for out, into in widths]
    rows = generator_baselines.closest(known.hypernetwork, known.zoo, prompt[None], 8 * generator_baselines.NEIGHBOURS)[
        0
    ]
    taken = generator_baselines.models_of(known.run, known.zoo, rows)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[:8]), found["retrieval"], taken)
    for ours, theirs in zip(jax.tree.leaves(found["noise"]), jax.tree.leaves(found["retrieval"]), strict=True):
        noise, axes = np.asarray(ours - theirs), tuple(range(1, theirs.ndim))
        share = np.sqrt(np.square(noise).mean(axes) / np.square(np.asarray(theirs)).mean(axes))
        assert np.sqrt(np.square(share).mean()) == pytest.approx(generator_baselines.NOISE, rel=0.5)
    group = jax.tree.map(lambda leaf: leaf[5:10], taken)
    second = jax.tree.map(lambda leaf: leaf[1], found["average"])
    jax.tree.map(np.testing.assert_array_equal, second, retrieval.averaged(group))


def test_the_rivals_stand_beside_the_hypernetwork_the_reference_and_unseen_checkpoints(
    finished: Finished, finished_runs: dict[str, FinishedRun]
) -> None:
    found = lines_of(finished, "rivals-mnist4-dihyfo1")
    names = ["dihyfo1", "retrieval", "noise", "average", "held_out", "clean_reference", "retrain"]
    assert [(line["forget_set"], line["method"]) for line in found] == [
        (forget, name) for forget in ("2", "2-3") for name in names
    ]
    rows = finished_runs["dihyfo1"].rows
    about: dict[str, Any] = {"forget_set": [2, 3], "metric": "retain_accuracy", "statistic": "median"}
    ours = value_of(rows, **about, method="dihyfo1", selection="all")
    assert float(found[7]["retain_accuracy"]) == ours
    assert float(found[13]["retain_accuracy"]) == value_of(rows, **about, method="retrain")
    measured = {line["method"]: line["novelty_distance"] != "" for line in found}
    novel = ["dihyfo1", "held_out", "clean_reference"]
    assert [name for name in names if measured[name]] == novel
    assert all(float(line["novelty_distance"]) > 0.0 for line in found if line["method"] in novel)  # none is in the zoo
    shared = [line["novelty_shared_mistakes"] for line in found if line["method"] in novel]
    assert all(0.0 <= float(share) <= 1.0 for share in shared)
    page = (finished.folder / "paper" / "rivals-mnist4-dihyfo1.md").read_text(encoding="utf-8")
    for name in (
        "| {2, 3} | DiHyFo-1 |",
        "| {2, 3} | held out |",
        "| {2, 3} | clean reference |",
        "| {2, 3} | retrained |",
    ):
        assert page.count(name) == 1
    assert "| 2 | DiHyFo-1 |" in page
    assert "| 3 | retrieval |" in page


@pytest.mark.parametrize("kept", [0, 3, 8])
def test_a_model_has_failed_that_remembers_or_has_lost_what_it_was_to_keep(
    finished_runs: dict[str, FinishedRun], kept: int
) -> None:
    """Of retrained models none has, by themselves; one that says the forgotten class or always the same class has."""
    one = finished_runs["dihyfo2"]
    reference = jax.tree.map(lambda leaf: leaf[:1, 2], one.reference)  # the third without {2}
    models = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), 8, axis=0), reference)
    bias = models[-1]["b"]
    bias[kept:, 2 if kept else 0] += 1e6
    ours, theirs = (
        np.asarray(classifier.class_scores_of_many(each, *on_device(one.run.dataset.test))[1])
        for each in (models, reference)
    )
    assert generator_baselines.failed(one.run, (2,), ours, theirs) == (8 - kept) / 8
