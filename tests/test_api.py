"""The Python interface gives what the pipeline gives, and refuses what it cannot do in one line."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import hyperforget_jax as hf
import hyperforget_jax.metrics.comparison  # must not hide hf.evaluate
from configs import smoke_dihyfo1, smoke_dihyfo2
from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import Config
from hyperforget_jax.data import Dataset
from hyperforget_jax.diffusion.hypernetwork import Start
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import end_to_end, pretrained, unlearning
from hyperforget_jax.pipeline.run import on_device
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import model_file
from tests.small_run import on_paper, printed

pytestmark = pytest.mark.usefixtures("programs")
CONFIGS = {"dihyfo1": smoke_dihyfo1, "dihyfo2": smoke_dihyfo2}
ROOT = Path(__file__).parents[1]


def config_of(method: str, folder: Path) -> Config:
    """Of one request, without a comparison with clean runs."""
    config = CONFIGS[method].get_config()
    config = replace(config, evaluation=replace(config.evaluation, distribution_models=0))
    training = replace(config.training, alignment_every=0)
    return replace(config, workdir=str(folder), training=training, task=replace(config.task, forget_sets=((2,),)))


@pytest.fixture(scope="module", params=[pytest.param("dihyfo1", marks=pytest.mark.slow), "dihyfo2"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, programs: object) -> Config:
    """A run of the pipeline."""
    config = config_of(request.param, tmp_path_factory.mktemp(request.param) / "run")
    printed(config, end_to_end.run)
    return config


@pytest.fixture(scope="module")
def data() -> Dataset:
    return hf.load_dataset("digits", classes=range(4))


@pytest.fixture(scope="module")
def fitted(finished: Config, data: Dataset) -> hf.HyperForget:
    """A hypernetwork that the interface trained on the run's zoo."""
    kind, steps = finished.hypernetwork.kind, finished.training.steps
    model = hf.HyperForget(kind, steps, seed=0, config=finished, progress=False)
    return model.fit(hf.Zoo.load(Path(finished.workdir) / "zoo"), data)


def equal(one: object, other: object) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_a_zoo_is_built_as_by_the_pipeline(finished: Config, data: Dataset, tmp_path: Path) -> None:
    protocol = {name: value for name, value in vars(finished.zoo).items() if name not in ("runs", "folder")}
    zoo = hf.build_zoo(
        data, path=tmp_path / "zoo", pivots=(0, 1), num_runs=finished.zoo.runs, progress=False, **protocol
    )
    theirs = hf.Zoo.load(Path(finished.workdir) / "zoo")
    assert len(zoo) == len(theirs)
    np.testing.assert_array_equal(zoo.checkpoints.losses, theirs.checkpoints.losses)
    assert hf.Zoo.load(tmp_path / "zoo").config.zoo == zoo.config.zoo


def test_a_hypernetwork_is_trained_saved_and_asked_as_by_the_pipeline(
    finished: Config, fitted: hf.HyperForget, data: Dataset, tmp_path: Path
) -> None:
    fitted.save_pretrained(tmp_path / "saved")
    name = "model.safetensors"
    assert (tmp_path / "saved" / name).read_bytes() == (Path(finished.workdir) / "hypernetwork" / name).read_bytes()
    expected = unlearning.unlearn(on_paper(finished), (3,), num_samples=6, num_selected=2, seed=5).result
    for model in (fitted, *map(hf.HyperForget.from_pretrained, (tmp_path / "saved", finished.workdir))):
        result = model.unlearn([3], data.validation, num_samples=6, num_selected=2, seed=5)
        assert result.request == expected.request
        assert result.chosen == expected.chosen
        assert equal((result.models, result.selected), (expected.models, expected.selected))
        assert equal(result.best, jax.tree.map(lambda leaf: leaf[expected.selected[0]], expected.models))
        np.testing.assert_array_equal(result.prompt, expected.candidate_prompts[expected.chosen])


def test_results_are_compared_with_reference_models(fitted: hf.HyperForget, data: Dataset) -> None:
    result = fitted.unlearn((2, 3), data.validation, num_samples=6, num_selected=2)
    reference = hf.retrain(data, forget=(2, 3), num_models=3, epochs=2)
    frame = hf.evaluate(result, reference, data.test, data.train)
    chosen = frame[(frame["metric"] == "forget_accuracy") & (frame["statistic"] == "mean")]
    accuracies = [
        np.mean(
            hf.predict(model, data.test.images).argmax(1)[data.test.labels > 1]
            == data.test.labels[data.test.labels > 1]
        )
        for model in (jax.tree.map(lambda leaf, row=row: leaf[row], result.models) for row in range(6))
    ]
    by_hand = float(np.mean(accuracies))
    assert chosen[chosen["selection"] == "all"]["value"].item() == pytest.approx(by_hand, abs=1e-6)
    assert set(frame["method"]) == {"unlearned", "retrain"}
    assert set(frame["forget_set"]) == {(2, 3)}
    assert "mia" in set(frame["metric"])
    assert "mia" not in set(hf.evaluate(result, reference, data.test)["metric"])


def test_what_cannot_be_done_is_refused_in_one_line(
    finished: Config, fitted: hf.HyperForget, data: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    zoo, other = hf.Zoo.load(Path(finished.workdir) / "zoo"), hf.load_dataset("digits", classes=(3, 2, 1, 0))
    result = fitted.unlearn((2,), data.validation, num_samples=2, num_selected=1)
    reference = hf.retrain(data, forget=(2,), num_models=2, epochs=1)
    refusals = {
        "is not trained: call fit": lambda: hf.HyperForget().unlearn((2,), data.validation),
        "holds the pivot 0": lambda: fitted.unlearn((0,), data.validation),
        "select at most as many": lambda: fitted.unlearn((2,), data.validation, num_samples=3, num_selected=4),
        r"made from other data \(data\.classes": lambda: fitted.fit(zoo, other),
        "holds something else": lambda: fitted.save_pretrained(tmp_path),
        "holds no complete zoo": lambda: hf.Zoo.load(tmp_path),
        "num_snapshots is no field of ZooConfig: did you mean snapshots": lambda: hf.build_zoo(
            data, path=tmp_path / "zoo", num_snapshots=3
        ),
        "pivots names class 8": lambda: hf.build_zoo(data, path=tmp_path / "zoo", pivots=(8,)),
        "training.steps is 0": lambda: hf.HyperForget(steps=0),
        "is every class": lambda: hf.retrain(data, forget=range(4)),
        "at least 2": lambda: hf.retrain(data, forget=(2,), num_models=1),
        "an image has 63 numbers, the model takes 64": lambda: hf.predict(result.best, np.zeros((1, 63))),
        "got 1 reference models": lambda: hf.evaluate(
            result, jax.tree.map(lambda leaf: leaf[:1], reference), data.test
        ),
    }
    for message, call in refusals.items():
        with pytest.raises(HyperForgetError, match=message) as refusal:
            call()
        assert "\n" not in str(refusal.value)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert not (tmp_path / "zoo").exists()


def test_a_saved_hypernetwork_is_replaced_by_the_next(fitted: hf.HyperForget, tmp_path: Path) -> None:
    for _ in range(2):
        fitted.save_pretrained(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_the_package_is_imported_without_jax_and_has_eleven_names() -> None:
    program = "import sys, hyperforget_jax as hf; print('jax' in sys.modules, 'numpy' in sys.modules, *hf.__all__)"
    names = (
        "Config HyperForget UnlearningResult Zoo build_zoo evaluate load_dataset load_model predict retrain save_model"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False", *names.split()]
    assert callable(hf.evaluate)
    assert (ROOT / "hyperforget_jax" / "py.typed").exists()


def test_a_model_in_a_file_is_updated_by_dihyfo1_alone(finished: Config, tmp_path: Path) -> None:
    """The models are those of the hypernetwork from copies of it; another file gives others, and both are kept."""
    run, params = on_paper(finished), classifier.init(jax.random.key(5), (64, 3, 4))
    models = [params, jax.tree.map(lambda leaf: leaf + 0.1, params)]
    files = [tmp_path / f"{index}.safetensors" for index in range(2)]
    for file, model in zip(files, models, strict=True):
        artifacts.write_arrays(file, model_file.arrays_of(model))
    if finished.hypernetwork.kind == "dihyfo2":
        with pytest.raises(HyperForgetError, match="is a run of dihyfo2, which updates no model"):
            unlearning.unlearn(run, (2,), start=files[0])
        return
    answers = [unlearning.unlearn(run, (2,), start=file) for file in (*files, files[0])]
    assert [answer.cached for answer in answers] == [False, False, True]
    assert equal(answers[0].result.models, answers[2].result.models)
    assert not equal(answers[0].result.models, answers[1].result.models)
    assert not equal(answers[0].result.models, unlearning.unlearn(run, (2,)).result.models)
    made: list[Start] = []

    def noted(keys: jax.Array, prompts: jax.Array, on_models: object, start: Start) -> Params:
        made.append(start)
        return start.models

    unlearning._sampled(run, (2,), pretrained.load(run.folder / "hypernetwork"), [noted], 0, files[1])
    (start,) = made
    losses, _ = classifier.class_scores(models[1], *on_device(run.dataset.validation))
    np.testing.assert_allclose(start.losses, np.tile(losses, (len(start.losses), 1)), rtol=1e-5)
    assert equal(start.models, jax.tree.map(lambda leaf: np.stack([leaf] * len(start.losses)), models[1]))
