"""Clean runs for a forget set: distributed as the zoo's, deterministic, and the same whatever other sets are asked for."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp  # type: ignore[import-untyped]

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import Config, ForgetSet, ReferenceConfig, TaskConfig, ZooConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import reference, workdir
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.unlearn.reference import clean_runs
from hyperforget_jax.zoo import exposure
from tests.small_run import on_paper

pytestmark = pytest.mark.usefixtures("programs")
Numbers = np.ndarray[Any, Any]
COUNT = 60
PROTOCOL = ZooConfig(
    runs=40,
    runs_per_block=40,
    epochs=30.0,
    batch_size=64,
    snapshots=2,
    learning_rate=(1e-2, 2e-2),
    never_seen_probability=1.0,
    min_clean_runs=40,
)


def begin(folder: Path, *forget_sets: ForgetSet, **zoo: Any) -> Run:
    """A run on four digits in its own workdir."""
    config = Config(
        workdir=str(folder),
        task=TaskConfig(forget_sets=forget_sets),
        zoo=replace(PROTOCOL, **zoo),
        reference=ReferenceConfig(clean_runs=COUNT),
    )
    workdir.acquire_workdir(config)
    return on_paper(config)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that asks for {2} and {2, 3}, with its clean reference."""
    run = begin(tmp_path_factory.mktemp("two"), (2,), (2, 3))
    reference.clean_reference(run)
    return run


def accuracies(run: Run, models: Params) -> Numbers:
    """Accuracies [M, K] on validation."""
    return np.asarray(classifier.class_scores_of_many(models, *on_device(run.dataset.validation))[1])


def of_set(models: Params, number: int) -> Params:
    return jax.tree.map(lambda leaf: leaf[number], models)


def printed(run: Run) -> str:
    paper = run.console.file
    assert isinstance(paper, io.StringIO)
    return paper.getvalue()


def weights(folder: Path, name: str) -> bytes:
    return (folder / "clean_reference" / name / "weights.npy").read_bytes()


@pytest.mark.slow
def test_clean_models_never_predict_what_they_never_saw_and_do_as_well_as_the_zoos(two: Run) -> None:
    models = reference.clean_reference(two)
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(models)} == {(2, COUNT)}
    zoo = pipeline_zoo.make_zoo(two)
    last = zoo.take(zoo.progress == 1.0)
    for number, forget in enumerate(two.forget_sets):
        ours = accuracies(two, of_set(models, number))
        theirs = last.accuracies[exposure.is_clean(last.exposures, last.progress, forget)]
        retain = [position for position in range(4) if position not in forget]
        assert len(theirs) >= 30
        assert ours[:, list(forget)].max() == theirs[:, list(forget)].max() == 0.0
        assert ours[:, [0, 1]].min() > PROTOCOL.pivot_accuracy
        samples = ours[:, retain].mean(1), theirs[:, retain].mean(1)
        assert np.median(samples[0]) == pytest.approx(np.median(samples[1]), abs=0.02)
        assert ks_2samp(*samples).pvalue > 0.01
        assert ours[:, 3].max() > 0.8 or 3 in forget


def test_no_run_is_one_of_the_zoo_and_all_differ(two: Run) -> None:
    stored = np.asarray(pipeline_zoo.make_zoo(two).weights)
    ours = np.concatenate([np.load(path) for path in sorted((two.folder / "clean_reference").glob("*/weights.npy"))])
    assert ours.dtype == np.float32
    assert len(np.unique(np.concatenate([ours, stored]), axis=0)) == len(ours) + len(stored)


def test_a_set_has_the_same_models_whatever_else_is_asked_for(two: Run, tmp_path: Path) -> None:
    alone = begin(tmp_path, (2, 3))
    reference.clean_reference(alone)
    assert [path.name for path in (tmp_path / "clean_reference").glob("forget-*[0-9]")] == ["forget-2-3"]
    assert weights(tmp_path, "forget-2-3") == weights(two.folder, "forget-2-3")
    assert weights(two.folder, "forget-2") != weights(two.folder, "forget-2-3")


def test_models_are_reused_and_only_a_new_set_is_trained(two: Run) -> None:
    before = weights(two.folder, "forget-2")
    more = replace(two, config=replace(two.config, task=TaskConfig(forget_sets=((3,), (2,)))))
    first = reference.clean_reference(more)
    assert "clean reference forget-2: reused from" in printed(more)
    assert "clean reference forget-3: reused from" not in printed(more)
    again = reference.clean_reference(more)
    assert "clean reference forget-3: reused from" in printed(more)
    for ours, theirs in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert weights(two.folder, "forget-2") == before


def test_weights_are_rounded_as_the_zoos_are(tmp_path: Path) -> None:
    recipe = replace(pipeline_zoo.zoo_recipe(begin(tmp_path, (2,), dtype="bfloat16")), key=jax.random.key(3))
    told: list[int] = []
    for leaf in jax.tree.leaves(clean_runs(recipe, (2,), 5, told.append)):
        np.testing.assert_array_equal(leaf, leaf.astype("bfloat16").astype("float32"))
    assert sum(told) == 5


def test_runs_that_no_pivot_lets_pass_are_refused(tmp_path: Path) -> None:
    run = begin(tmp_path, (2,), epochs=0.1)
    with pytest.raises(
        HyperForgetError, match=r"none of 45 runs is good on the pivots: lower zoo\.pivot_accuracy 0\.8"
    ):
        reference.clean_reference(run)
