"""A run with a student: it is part of the hypernetwork, answers requests, and is trained once, also when it was stopped."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax.diffusion import lessons
from hyperforget_jax.diffusion.distillation import Lesson
from hyperforget_jax.pipeline import pretrained, student, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.runtime import artifacts, prng
from tests.small_run import on_paper, taught, trained

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.slow]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a trained hypernetwork and its student."""
    job = on_paper(taught(tmp_path_factory.mktemp("taught") / "run"))
    trained(job)
    return job


def test_it_is_stored_with_the_hypernetwork_and_answers_its_requests(run: Run) -> None:
    stored = pretrained.load(run.folder / HYPERNETWORK)
    assert stored.hypernetwork.student is not None
    params, steps = stored.hypernetwork.student
    assert steps == run.config.distillation.sampling_steps == 3
    moved = jax.tree.map(lambda ours, theirs: np.abs(ours - theirs).max(), params, stored.hypernetwork.params)
    assert max(jax.tree.leaves(moved)) > 0
    page = stored.book["forget-2"]
    generate = training.generator_of(run, stored.hypernetwork)
    answered = unlearning.unlearn(run, (2,)).result
    _, key = jax.random.split(prng.stream(run.config.seed, "forget-2"))
    keys = jax.random.split(key, run.config.request.samples)
    prompt = np.tile(page.prompts[page.chosen], (len(keys), 1))
    expected = generate(keys, jax.numpy.asarray(prompt), lambda made: None)
    jax.tree.map(np.testing.assert_array_equal, answered.models, expected)


def test_a_stopped_one_goes_on_and_ends_the_same(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = on_paper(taught(tmp_path / "run"))
    whole = lessons.batches

    def stopped(*arguments: Any) -> Iterator[Lesson]:
        yield from itertools.islice(whole(*arguments), 3)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lessons, "batches", stopped)
        with pytest.raises(KeyboardInterrupt):
            trained(job)
    assert not artifacts.is_complete(job.folder / HYPERNETWORK)
    ended, straight = trained(job).hypernetwork.student, pretrained.load(run.folder / HYPERNETWORK).hypernetwork.student
    jax.tree.map(np.testing.assert_array_equal, ended, straight)


def test_lessons_are_of_training_and_of_requests_of_every_set(run: Run) -> None:
    zoo = pipeline_zoo.make_zoo(run)
    train_zoo, _ = zoo.split(run.config.zoo.runs, run.config.zoo.validation_share)
    teacher = pretrained.load(run.folder / HYPERNETWORK).hypernetwork
    made = student.make_lessons(run, train_zoo, teacher, 0)
    assert len(made.noise) == 64
    assert np.isfinite(made.tokens).all()
    # the second half of every batch asks for everything
    asked = made.condition.asked.reshape(2, 32, -1)
    assert (asked[:, 16:] == 1.0).all()


@pytest.mark.slow
def test_dihyfo_1_has_one_too(tmp_path: Path) -> None:
    model = trained(on_paper(taught(tmp_path / "run", "dihyfo1")))
    assert model.hypernetwork.student is not None
