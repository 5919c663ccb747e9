"""A finished run answers any valid forget set, at any time, as a run that named it from the start."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import end_to_end, pretrained, unlearning
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run, open_run
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn.requests import UnlearningResult
from tests.small_run import printed, tiny

pytestmark = pytest.mark.usefixtures("programs")


def finished(folder: Path, forget_sets: tuple[tuple[int, ...], ...]) -> Path:
    """A run whose config names some forget sets."""
    config = tiny(folder)
    config = replace(config, task=replace(config.task, forget_sets=forget_sets))
    config = replace(config, training=replace(config.training, alignment_every=0))
    printed(config, end_to_end.run)
    return folder


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, programs: object) -> Path:
    """Names every set from the start, in another order of classes."""
    return finished(tmp_path_factory.mktemp("named") / "run", ((2,), (3,), (3, 2)))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, programs: object) -> Path:
    """Names {2} only; its zoo is gone."""
    folder = finished(tmp_path_factory.mktemp("one") / "run", ((2,),))
    shutil.rmtree(folder / "zoo")
    return folder


def opened(folder: Path) -> tuple[Run, io.StringIO]:
    paper = io.StringIO()
    return open_run(folder, Console(file=paper, width=200), "hyperforget unlearn"), paper


def same(ours: UnlearningResult, theirs: UnlearningResult) -> bool:
    arrays = (
        jax.tree.leaves((each.candidate_prompts, each.candidate_scores, each.models, each.selected))
        for each in (ours, theirs)
    )
    return ours.request == theirs.request and all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


@pytest.mark.parametrize("forget", [(2,), (3,), (2, 3), (3, 2)])
def test_an_answer_equals_that_of_a_run_that_named_the_set(one: Path, named: Path, forget: tuple[int, ...]) -> None:
    ours = unlearning.unlearn(opened(one)[0], forget).result
    theirs = unlearning.stored(opened(named)[0], tuple(sorted(forget)))
    assert same(ours, theirs)
    assert ours.request.labels == tuple(sorted(forget))


def test_an_answer_is_read_back_when_asked_again(one: Path) -> None:
    first = unlearning.unlearn(opened(one)[0], (3,), num_samples=5, num_selected=1, seed=7).result
    run, paper = opened(one)
    again = unlearning.unlearn(run, (3,), num_samples=5, num_selected=1, seed=7).result
    assert "forget-3: reused" in paper.getvalue()
    assert same(first, again)
    assert (len(first.models[0]["b"]), len(first.selected)) == (5, 1)
    assert not same(first, unlearning.unlearn(run, (3,), num_samples=5, num_selected=1, seed=8).result)


def test_another_set_leaves_the_hypernetwork_as_it_is(one: Path) -> None:
    before = artifacts.manifest(one / HYPERNETWORK)
    unlearning.unlearn(opened(one)[0], (2, 3))
    assert artifacts.manifest(one / HYPERNETWORK) == before
    assert opened(one)[0].config.task.forget_sets == ((2,),)


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ((), "is empty: name at least one class"),
        ((0,), r"holds the pivot 0"),
        ((7,), r"names class 7, the dataset has"),
        ((2, 2), r"names a class twice"),
        ((0, 1, 2, 3), r"is every class"),
    ],
)
def test_what_cannot_be_asked_is_refused(one: Path, forget: tuple[int, ...], message: str) -> None:
    with pytest.raises(HyperForgetError, match=message):
        unlearning.unlearn(opened(one)[0], forget)


def test_more_selected_than_sampled_is_refused(one: Path) -> None:
    with pytest.raises(HyperForgetError, match=r"num_selected is 9, request.samples 4"):
        unlearning.unlearn(opened(one)[0], (2,), num_samples=4, num_selected=9)
    with pytest.raises(HyperForgetError, match=r"request.samples is 0: choose a whole number of at least 1"):
        unlearning.unlearn(opened(one)[0], (2,), num_samples=0)


def test_a_folder_that_is_no_finished_run_is_refused(one: Path, tmp_path: Path) -> None:
    with pytest.raises(HyperForgetError, match="is no run"):
        opened(tmp_path)
    shutil.copy(one / "config.json", tmp_path)
    with pytest.raises(HyperForgetError, match="no finished hypernetwork"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "codec.safetensors",
        "conditioning.safetensors",
        "zoo_statistics.safetensors",
        "prompt_book.safetensors",
        "config.json",
    ],
)
def test_a_damaged_hypernetwork_is_named(one: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(one, tmp_path / "run", ignore=shutil.ignore_patterns("requests"))
    path = tmp_path / "run" / HYPERNETWORK / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(HyperForgetError, match=rf"{name} does not match the checksum"):
        unlearning.unlearn(opened(tmp_path / "run")[0], (3,))


def test_a_hypernetwork_of_another_format_is_refused_with_what_makes_it_again(one: Path, tmp_path: Path) -> None:
    about = json.loads((one / HYPERNETWORK / "config.json").read_text())
    for name, number in (("newer", 5), ("older", 3)):
        with artifacts.new_artifact(tmp_path / name, {}) as folder:
            (folder / "config.json").write_text(json.dumps({**about, "format": number}))
    with artifacts.new_artifact(tmp_path / "oldest", {}) as folder:
        (folder / "params.npz").touch()
    for name, number in (("newer", 5), ("older", 3), ("oldest", 1)):
        with pytest.raises(HyperForgetError, match=rf"has format {number}, this version reads 4.*`hyperforget run"):
            pretrained.load(tmp_path / name)
    with pytest.raises(HyperForgetError, match="holds no trained hypernetwork"):
        pretrained.load(tmp_path / "none")


def test_reference_models_of_other_sets_are_retrained(named: Path, tmp_path: Path) -> None:
    shutil.copytree(named, tmp_path / "run")
    config = tiny(tmp_path / "run")
    config = replace(config, task=replace(config.task, forget_sets=((3,),)))
    config = replace(config, training=replace(config.training, alignment_every=0))
    words = printed(config, end_to_end.run)
    assert "made from something else, made anew" in words
    assert "hypernetwork: reused" in words
    assert "forget-3: reused" in words
    assert np.load(tmp_path / "run" / "reference" / "weights.npy", allow_pickle=False).shape[:2] == (1, 3)
