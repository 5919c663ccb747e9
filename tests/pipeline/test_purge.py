"""A purged system owes nothing to the purged class: with other images of it every byte is the same."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax.config import Config
from hyperforget_jax.data import Dataset, digits
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, purge, training, unlearning
from hyperforget_jax.pipeline.run import Run, open_run
from hyperforget_jax.pipeline.workdir import acquire_workdir, zoo_identity
from hyperforget_jax.pipeline.zoo import build_zoo, split_zoo
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.zoo import purge as zoo_purge
from hyperforget_jax.zoo import storage
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("same_in_every_process")
PURGED = 2
Files = dict[str, bytes]
Change = Callable[[pytest.MonkeyPatch], None]


def config(place: Path) -> Config:
    """A run that can be purged, on arrays, with steps enough that its hypernetwork knows the class."""
    base = tiny(place / "run")
    return replace(
        base,
        data=replace(base.data, name="arrays", file=str(place / "digits.npz")),
        task=replace(base.task, forget_sets=((2,), (3,))),
        zoo=replace(base.zoo, runs=96, runs_per_block=32, purgeable=True),
        training=replace(base.training, steps=400, checkpoint_every=400, log_every=100, alignment_every=0),
        sampling=replace(base.sampling, steps=10),
    )


def write_images(place: Path, noise: bool) -> None:
    """The digits as arrays; with noise in place of every image of the purged class, of training and of test."""
    source, random = digits.read(), np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, part in (("train", source.train), ("test", source.test)):
        images = (part.inputs / source.white).astype(np.float32)
        if noise:
            rows = part.labels == PURGED
            images[rows] = random.normal(0.0, 3.0, images[rows].shape)
        arrays |= {f"x_{name}": images, f"y_{name}": part.labels}
    np.savez(place / "digits.npz", **arrays)


def kept(place: Path, noise: bool) -> Path:
    """Where the finished run on these images is kept, as it was before any purge."""
    return place / f"kept_noise_{noise}"


def restored(place: Path, noise: bool) -> Run:
    """The finished run on these images, in the one place where all of them stand in turn."""
    for folder in (place / "run", place / "run.purge"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept(place, noise), place / "run")
    write_images(place, noise)
    return opened(place)


def opened(place: Path) -> Run:
    """The run that answers now."""
    return open_run(place / "run", on_paper(config(place)).console, "test")


def content(folder: Path) -> Files:
    """Every file but those of dates and seconds."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in purge.NOT_LISTED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def differing(ours: Files, theirs: Files) -> set[str]:
    """Names of files that are not the same, byte for byte."""
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


def make_runs(place: Path) -> None:
    """Makes the run on the digits, and in the same place another on noise instead of class 2; keeps both."""
    for noise in (False, True):
        shutil.rmtree(place / "run", ignore_errors=True)
        write_images(place, noise)
        job = on_paper(config(place))
        acquire_workdir(job.config)
        training.train_hypernetwork(job, *split_zoo(job))
        shutil.copytree(place / "run", kept(place, noise))


def purged_content(place: Path, noise: bool) -> Files:
    """The system after a purge of the run on these images."""
    purge.purge(restored(place, noise), (PURGED,))
    return content(place / "run")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, same_in_every_process: None) -> Path:
    """Where a run was made on the digits, and in the same place another on noise instead of class 2."""
    folder = tmp_path_factory.mktemp("purge")
    make_runs(folder)
    return folder


@pytest.fixture(scope="module")
def purged(place: Path) -> Files:
    """The system that a purge of class 2 leaves; its folder is kept as well."""
    files = purged_content(place, noise=False)
    shutil.copytree(place / "run", place / "purged")
    return files


@pytest.fixture(scope="module")
def certificate(place: Path, purged: Files) -> dict[str, Any]:
    """What the purge certified."""
    told: dict[str, Any] = json.loads((place / "purged" / "purge.json").read_text(encoding="utf-8"))
    return told


# Non-interference, and a yardstick that can fail.


def test_with_noise_for_the_class_every_byte_of_the_purged_system_is_the_same(place: Path, purged: Files) -> None:
    assert {name.partition("/")[0] for name in purged} == {"config.json", "hypernetwork", "requests", "training", "zoo"}
    assert differing(purged, purged_content(place, noise=True)) == set()


@pytest.mark.slow
def test_so_it_is_in_programs_that_are_compiled_as_for_users(tmp_path: Path) -> None:
    """Their sums are in another order, and rounding is at stake."""
    name = "jax_disable_most_optimizations"
    jax.clear_caches()
    jax.config.update(name, False)
    try:
        make_runs(tmp_path)
        assert differing(*(purged_content(tmp_path, noise) for noise in (False, True))) == set()
    finally:
        jax.config.update(name, True)
        jax.clear_caches()


def test_without_a_purge_bytes_differ(place: Path) -> None:
    names = differing(*(content(kept(place, noise)) for noise in (False, True)))
    assert names >= {
        *(
            f"hypernetwork/{name}.safetensors"
            for name in ("model", "codec", "conditioning", "zoo_statistics", "prompt_book")
        ),
        *("zoo/block-00000/weights.npy", "zoo/block-00000/losses.npy", "config.json"),
    }


def all_images_teach(patch: pytest.MonkeyPatch) -> None:
    """A leak: codec and functional images are of all classes."""
    patch.setattr(Dataset, "without", lambda self, labels: self)
    patch.setattr(Run, "learned_images", property(lambda self: self.dataset.train))


def no_run_is_removed(patch: pytest.MonkeyPatch) -> None:
    """A leak: runs that saw the class stay."""
    patch.setattr(zoo_purge, "never_saw", lambda block, positions: np.ones(len(block.run), bool))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("leak", "files"),
    [
        (all_images_teach, {"hypernetwork/codec.safetensors", "hypernetwork/model.safetensors"}),
        (no_run_is_removed, {"zoo/block-00000/weights.npy", "hypernetwork/zoo_statistics.safetensors"}),
    ],
)
def test_a_leak_is_seen(leak: Change, files: set[str], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leak(monkeypatch)
    assert differing(*(purged_content(place, noise) for noise in (False, True))) >= files


# What stays, and what the certificate says of it.


def test_the_certificate_has_the_checksum_of_every_file_that_stays(
    place: Path, purged: Files, certificate: dict[str, Any]
) -> None:
    assert certificate["files"].keys() == purged.keys()
    for name, checksum in certificate["files"].items():
        assert artifacts.checksum(place / "purged" / name) == checksum
    assert (certificate["purged"], certificate["classes"], certificate["earlier"]) == ([2], [2], None)
    assert {"zoo", "hypernetwork", "training"} <= {*certificate["removed"]}
    assert certificate["versions"].keys() == {*artifacts.PACKAGES}


def test_the_runs_that_stay_are_those_that_used_no_image_of_the_class(
    place: Path, purged: Files, certificate: dict[str, Any]
) -> None:
    before = restored(place, noise=False)
    zoo = storage.read(place / "run" / "zoo", zoo_identity(before.config))
    clean = {int(run) for run in zoo.run if (zoo.exposures[zoo.run == run, PURGED] == 0).all()}
    assert {each["run"] for each in certificate["runs_kept"]} == clean
    assert certificate["runs_removed"] == len(np.unique(zoo.run)) - len(clean) > 0
    assert {exposure for each in certificate["runs_kept"] for exposure in each["exposures"].values()} == {0.0}
    shutil.rmtree(place / "run")
    shutil.copytree(place / "purged", place / "run")
    after = storage.read(place / "run" / "zoo", zoo_identity(opened(place).config))
    assert {*after.run.tolist()} == clean
    assert sum(each["checkpoints"] for each in certificate["runs_kept"]) == len(after)
    rows = np.isin(zoo.run, sorted(clean))
    np.testing.assert_array_equal(np.asarray(after.weights), np.asarray(zoo.take(rows).weights))
    others = [0, 1, 3]
    for name in ("losses", "accuracies"):
        np.testing.assert_array_equal(getattr(after, name)[:, others], getattr(zoo, name)[rows][:, others])
        assert np.isnan(getattr(after, name)[:, PURGED]).all()
    model = pretrained.load(place / "purged" / "hypernetwork")
    assert np.isnan(model.statistics.losses[:, PURGED]).all()
    assert np.isnan(model.statistics.accuracies[:, PURGED]).all()


def test_prompts_brought_the_class_out_before_and_do_not_after(certificate: dict[str, Any]) -> None:
    before, after = (certificate["audit"]["2"][moment] for moment in ("before", "after"))
    assert before["above_chance"] > 10
    assert before["highest_accuracy"] > before["bound"] == after["bound"] > 0.25
    assert after["above_chance"] == 0
    assert after["highest_accuracy"] <= after["bound"]
    assert before["models"] == after["models"] > 256


# Later requests and purges.


@pytest.mark.slow
def test_later_requests_forget_the_purged_class_too_and_another_purge_goes_on(place: Path, purged: Files) -> None:
    purge.purge(restored(place, noise=False), (PURGED,))
    run = opened(place)
    assert run.config.task.forget_sets == ((2,), (2, 3))
    assert unlearning.unlearn(run, (3,)).result.request.labels == (2, 3)
    answer = unlearning.unlearn(run, (2,), num_samples=4)
    assert answer.result.request.labels == (2,)
    assert np.isnan(answer.result.prompt[PURGED])
    told = purge.purge(run, (3,))
    assert (told["purged"], told["classes"], told["earlier"]["classes"]) == ([2, 3], [3], [2])
    again = opened(place)
    assert again.config.task.forget_sets == ((2, 3),)
    zoo = storage.read(place / "run" / "zoo", zoo_identity(again.config))
    assert (zoo.exposures[:, 2:] == 0.0).all()
    assert np.isnan(zoo.losses[:, 2:]).all()
    assert unlearning.unlearn(again, (3,)).cached
    with pytest.raises(HyperForgetError, match="class 3 is purged already"):
        purge.purge(again, (3,))


# Stopped and gone on with.


class StoppedError(Exception):
    """Stands for whatever stops a process."""


def stop(*_: object, **__: object) -> None:
    raise StoppedError


def test_until_its_certificate_is_written_a_stopped_purge_leaves_the_run_as_it_was(
    place: Path, purged: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = restored(place, noise=False)
    before = content(place / "run")
    with monkeypatch.context() as patch:
        patch.setattr(purge, "_audit", stop)
        with pytest.raises(StoppedError):
            purge.purge(run, (PURGED,))
    assert differing(before, content(place / "run")) == set()
    assert opened(place).config.task.purged == ()
    assert not purge.finish(place / "run", run.console.print)
    with pytest.raises(HyperForgetError, match=r"holds a purge of \{2\} that was stopped, asked for is \{3\}"):
        purge.purge(opened(place), (3,))
    purge.purge(opened(place), (PURGED,))
    assert differing(purged, content(place / "run")) == set()
    assert not (place / "run.purge").exists()


@pytest.mark.parametrize("target", ["hyperforget_jax.pipeline.purge.shutil.rmtree", "pathlib.Path.rename"])
def test_from_then_on_the_purged_system_answers_and_the_removal_is_finished(
    target: str, place: Path, purged: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = restored(place, noise=False)
    certify = purge._certify

    def stop_after(*arguments: Any) -> dict[str, Any]:
        told = certify(*arguments)
        patch.setattr(target, stop)
        return told

    with monkeypatch.context() as patch:
        patch.setattr(purge, "_certify", stop_after)
        with pytest.raises(StoppedError):
            purge.purge(run, (PURGED,))
    answering = opened(place)
    assert answering.config.task.purged == (PURGED,)
    assert unlearning.unlearn(answering, (3,)).result.request.labels == (2, 3)
    with pytest.raises(HyperForgetError, match="has been purged, and what saw the classes is not all removed yet"):
        acquire_workdir(run.config)
    assert purge.finish(place / "run", run.console.print)
    assert not (place / "run.purge").exists()
    assert differing(purged, content(place / "run")) == set()
    assert not purge.finish(place / "run", run.console.print)


# Refusals, before anything is written.


@pytest.mark.parametrize(
    ("labels", "change", "message"),
    [
        ((1, 2), {}, r"holds the pivot 1"),
        ((7,), {}, r"names class 7"),
        ((), {}, r"is empty"),
        ((2,), {"purgeable": False}, r"was made with zoo.purgeable False.*: make it again with zoo.purgeable True"),
        ((2,), {"folder": "/elsewhere"}, r"/elsewhere is not the run's own"),
    ],
)
def test_what_cannot_be_purged_is_refused_before_any_work(
    labels: tuple[int, ...], change: dict[str, Any], message: str, place: Path
) -> None:
    run = restored(place, noise=False)
    changed = replace(run, config=replace(run.config, zoo=replace(run.config.zoo, **change)))
    with pytest.raises(HyperForgetError, match=message):
        purge.purge(changed, labels)
    assert not (place / "run.purge").exists()


@pytest.mark.parametrize(
    ("first", "last", "told"), [(0, 6, "7 runs to train on and 0"), (80, 87, "6 runs to train on and 2")]
)
def test_too_few_runs_that_never_saw_the_class_are_refused(
    first: int, last: int, told: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [{"block": 0, "run": run, "checkpoints": 1} for run in range(first, last + 1)]
    monkeypatch.setattr(purge, "kept_runs", lambda *_: zoo_purge.Kept(runs, 3))
    run, needed = restored(place, noise=False), r"a purge needs 8 and 1: .*zoo.min_clean_runs"
    with pytest.raises(HyperForgetError, match=rf"^{told} held out never saw \{{2\}}, {needed}"):
        purge.purge(run, (PURGED,))
    assert not (place / "run.purge").exists()


def test_a_zoo_without_classes_is_never_trained(place: Path, tmp_path: Path) -> None:
    base = config(place)
    run = on_paper(replace(base, workdir=str(tmp_path / "run"), task=replace(base.task, purged=(2,))))
    with pytest.raises(HyperForgetError, match=r"one without the classes \{2\} is never trained"):
        build_zoo(run, (0, 1))
