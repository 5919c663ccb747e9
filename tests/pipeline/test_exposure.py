"""A hypernetwork that is conditioned on exposure: prompts are drawn from clean runs, and what a request's models never saw is as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperforget_jax.config import Config
from hyperforget_jax.pipeline import end_to_end, unlearning
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.pipeline.workdir import acquire_workdir
from tests.small_run import on_paper, tiny

pytestmark = [pytest.mark.usefixtures("programs"), pytest.mark.slow]


def with_exposure(folder: Path) -> Config:
    """The whole path in seconds, with everything that exposure brings."""
    config = tiny(folder)
    return replace(
        config,
        loader=replace(config.loader, clean_share=0.25),
        codec=replace(config.codec, kind="complete"),
        hypernetwork=replace(config.hypernetwork, exposure=True),
        diffusion=replace(config.diffusion, class_dropout=0.1, kind_dropout=0.2),
        sampling=replace(config.sampling, temperature=1.0),
        request=replace(config.request, prompts="drawn"),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    job = on_paper(with_exposure(tmp_path_factory.mktemp("exposure") / "run"))
    acquire_workdir(job.config)
    end_to_end.run(job)
    return job


@pytest.mark.parametrize("labels", [(2,), (2, 3)])
def test_every_model_of_a_request_has_a_prompt_that_asks_for_no_exposure_to_the_forget_set(
    finished: Run, labels: tuple[int, ...]
) -> None:
    result = unlearning.stored(finished, labels)
    prompts = result.candidate_prompts
    assert prompts.shape == (finished.config.request.samples, 4 + 4 + 1)
    np.testing.assert_array_equal(prompts[:, 4:], np.tile([*(float(c not in labels) for c in range(4)), 1], (8, 1)))
    assert np.isfinite(prompts).all()
    assert len(np.unique(prompts[:, 0])) > 1


@pytest.mark.parametrize("labels", [(2,), (2, 3)])
def test_pixels_that_no_retained_image_lights_have_initial_weights(finished: Run, labels: tuple[int, ...]) -> None:
    train = finished.dataset.train
    weights = np.asarray(unlearning.stored(finished, labels).models[0]["w"])  # [N, H, D]
    still = ~train.images[~np.isin(train.labels, finished.dataset.positions(labels))].any(0)  # [D]
    assert still.any()
    bound = (6 / still.size) ** 0.5
    drawn = weights[:, :, still]
    assert np.abs(drawn).max() <= bound
    assert len(np.unique(drawn)) == drawn.size  # no two alike
    assert drawn.std() == pytest.approx(bound / 3**0.5, rel=0.25)


def test_another_forget_set_is_answered_from_the_folder_alone(finished: Run) -> None:
    answer = unlearning.unlearn(finished, (3,), num_samples=5)
    assert answer.result.candidate_prompts.shape == (5, 9)
    np.testing.assert_array_equal(answer.result.candidate_prompts[:, 4:8], np.tile([1, 1, 1, 0], (5, 1)))
