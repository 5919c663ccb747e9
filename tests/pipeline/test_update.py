"""DiHyFo-1 for a model in hand: rounds that must converge, directions that must undo each other, models that are refused, the path."""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.config import CodecConfig, Config, DiffusionConfig, HypernetworkConfig, SamplingConfig
from hyperforget_jax.diffusion import conditioning, dit
from hyperforget_jax.diffusion.hypernetwork import Hypernetwork, Start, generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import frame_of
from hyperforget_jax.pipeline import recursive_prompting, update
from hyperforget_jax.pipeline.reference import clean_reference
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.report import updates
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn import recursive, selection
from hyperforget_jax.weights import codec
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")

SIZES = (5, 3, 4)
Row = dict[str, Any]


def some_model(seed: int = 0, sizes: tuple[int, ...] = SIZES) -> Params:
    """Random, biases too."""
    model = classifier.init(jax.random.key(seed), sizes)
    return jax.tree.map(lambda leaf: leaf + 0.5, model)


def same(ours: Params, theirs: Params) -> None:
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


# Rounds.


def halfway(keys: jax.Array, losses: jax.Array, models: Params, current: jax.Array) -> Params:
    """Models whose biases are their losses go half of the way to what is asked, where something is."""
    (layer,) = models
    goal = jnp.where(jnp.isnan(losses), current, losses)
    return ({"w": layer["w"], "b": current + 0.5 * (goal - current)},)


def biases(models: Params) -> jax.Array:
    return models[-1]["b"]


def flat(losses: jax.Array) -> Params:
    """N models of one layer whose biases are their losses."""
    return ({"w": jnp.zeros((len(losses), 2, 3)), "b": losses},)


def test_every_round_halves_the_distance_of_a_generator_that_goes_half_of_the_way() -> None:
    """Up and down; a class that is not asked for stays."""
    begin = jnp.array([[0.0, 8.0], [4.0, 4.0], [1.0, 2.0]])
    asked = jnp.array([[8.0, 0.0], [0.5, 9.0], [1.0, jnp.nan]])
    goal = np.where(np.isnan(asked), begin, asked)
    keys = jax.random.split(jax.random.key(0), 3)
    found = recursive.recursively(halfway, biases, keys, asked, flat(begin), 12)
    for number, models in enumerate(found, 1):
        np.testing.assert_allclose(biases(models) - goal, (begin - goal) * 0.5**number, atol=1e-5)
    np.testing.assert_allclose(biases(found[-1]), goal, atol=3e-3)


def test_losses_are_measured_before_every_round_and_every_round_has_its_own_noise() -> None:
    seen, drawn = [], []

    def generate(keys: jax.Array, losses: jax.Array, models: Params, current: jax.Array) -> Params:
        np.testing.assert_array_equal(current, 10.0 * models[0]["b"])
        seen.append(np.asarray(current))
        drawn.extend(np.asarray(jax.vmap(jax.random.uniform)(keys)).tolist())
        return flat(models[0]["b"] + 1.0)

    keys = jax.random.split(jax.random.key(1), 2)
    nothing, zeros = jnp.full((2, 2), jnp.nan), jnp.zeros((2, 2))
    found = recursive.recursively(generate, lambda n: 10.0 * n[0]["b"], keys, nothing, flat(zeros), 3)
    assert [np.unique(each).tolist() for each in seen] == [[0.0], [10.0], [20.0]]
    assert [np.unique(each[0]["b"]).tolist() for each in found] == [[1.0], [2.0], [3.0]]
    assert len(set(drawn)) == 6


def test_no_round_gives_nothing() -> None:
    zeros = jnp.zeros((2, 2))
    assert recursive.recursively(halfway, biases, jax.random.split(jax.random.key(2)), zeros, flat(zeros), 0) == []


def test_every_sample_starts_from_the_one_model_and_its_losses() -> None:
    model = ({"w": jnp.zeros((2, 3)), "b": jnp.array([2.0, 6.0])},)
    begin = recursive.starting(halfway, biases, model)
    asked = jnp.array([[0.0, 0.0], [4.0, 8.0], [2.0, 6.0]])
    found = begin(jax.random.split(jax.random.key(3), 3), asked)
    np.testing.assert_allclose(biases(found), [[1.0, 3.0], [3.0, 7.0], [2.0, 6.0]])
    assert found[0]["w"].shape == (3, 2, 3)


@pytest.mark.parametrize("how", ["adaln", "tokens"])
@pytest.mark.parametrize("kind", ["dihyfo1", "dihyfo2"])
def test_dihyfo1_without_a_start_is_refused_in_one_line(kind: Any, how: Any) -> None:
    models = jax.vmap(partial(classifier.init, sizes=SIZES))(jax.random.split(jax.random.key(4), 9))
    images = np.random.default_rng(0).random((20, 5)).astype(np.float32)
    coder = codec.fit(CodecConfig(basis_size=6), SIZES, models, images, np.arange(20, dtype=np.int32) % 4)
    size = HypernetworkConfig(kind=kind, conditioning=how, hidden_size=8, depth=1, num_heads=2, frequencies=2)
    transformer = dit.make(size, DiffusionConfig(), coder.layout, 4, 4)
    losses = np.random.default_rng(1).random((9, 4)).astype(np.float32)
    params, condition = transformer.init(jax.random.key(5)), conditioning.fit(losses, 1e-3)
    made = Hypernetwork(params, transformer, coder, condition, DiffusionConfig())
    generate = generator(made, SamplingConfig(steps=1, batch_size=3))
    keys = jax.random.split(jax.random.key(6), 2)
    ask = partial(generate, keys, jnp.asarray(losses[:2]), lambda count: None)
    if kind == "dihyfo2":
        assert ask()[0]["w"].shape == (2, 3, 5)
        return
    with pytest.raises(HyperForgetError, match="without any to start from: give it a start") as refusal:
        ask()
    assert "\n" not in str(refusal.value)


# A model's file.


def test_a_model_that_is_written_is_read_back(tmp_path: Path) -> None:
    recursive.write(tmp_path / "model.npz", some_model())
    same(recursive.read(tmp_path / "model.npz", SIZES), some_model())
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file.files} == {"w0": (3, 5), "b0": (3,), "w1": (4, 3), "b1": (4,)}


def arrays(**changes: Any) -> Callable[[Path], None]:
    """Writes a model's file with other arrays; None leaves one out."""
    named = {"w0": np.zeros((3, 5)), "b0": np.zeros(3), "w1": np.zeros((4, 3)), "b1": np.zeros(4)}
    plain: dict[str, Any] = {name: array.astype(np.float32) for name, array in named.items()}
    kept = {name: array for name, array in (plain | changes).items() if array is not None}
    return lambda path: np.savez(path, **kept)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(some_model()))


def truncated(path: Path) -> None:
    arrays()(path)
    path.write_bytes(path.read_bytes()[:-40])


def header(shape: tuple[int, ...]) -> bytes:
    """A float32 array that tells of a shape and has 15 numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(60)


def member(name: str, content: bytes) -> Callable[[Path], None]:
    """Writes a model's file with another member, or another content of one."""

    def write(path: Path) -> None:
        arrays()(path)
        with zipfile.ZipFile(path) as archive:
            members = {each: archive.read(each) for each in archive.namelist()} | {name: content}
        with zipfile.ZipFile(path, "w") as archive:
            for each, bytes_ in members.items():
                archive.writestr(each, bytes_)

    return write


def flagged(offset: int, value: int) -> Callable[[Path], None]:
    """Writes a model's file with another field in the directory of its archive: 8 its flags, 10 its compression."""

    def write(path: Path) -> None:
        arrays()(path)
        content = bytearray(path.read_bytes())
        start = content.find(b"PK\x01\x02")
        while start >= 0:
            content[start + offset] = value
            start = content.find(b"PK\x01\x02", start + 1)
        path.write_bytes(content)

    return write


def test_no_array_is_unpacked_before_all_shapes_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: a file of 140 MB asked for 29.8 GiB before a shape was looked at."""
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("an array is unpacked"))
    arrays(b1=np.zeros((2000, 2000), np.float32))(tmp_path / "model.npz")
    with pytest.raises(HyperForgetError, match=r"has b1 \(2000, 2000\)"):
        recursive.read(tmp_path / "model.npz", SIZES)


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (arrays(w0=np.zeros((5, 3), np.float32)), r"has w0 \(5, 3\) in float32"),
    (arrays(b1=np.zeros(10, np.float32)), r"has b1 \(10,\) in float32"),
    (arrays(w1=np.zeros((4, 3))), r"has w1 \(4, 3\) in float64"),
    (arrays(b0=None), "has no array b0"),
    (arrays(w2=np.zeros((4, 4), np.float32)), "has an array w2 too many"),
    (arrays(b0=np.array([0.0, np.nan, 0.0], np.float32)), "has numbers in b0 that are not finite"),
    (arrays(b0=np.array([None, 1, "two"], object)), r"has b0 \(3,\) in object"),
    (member("w0.npy", b"no array"), "cannot read the model .*magic"),
    (
        member("w0.npy", header((10**9, 10**9))),
        "cannot read the model .*w0 has 60 bytes, its header says 4000000000000000000",
    ),
    (member("w0.npy", header((3, 5)) + bytes(8)), "cannot read the model .*w0 has 68 bytes, its header says 60"),
    (member("notes.txt", b"years of work"), "has an array notes.txt too many"),
    (member("../w9.npy", b""), "has an array ../w9 too many"),
    (arrays(w0=np.zeros((3000, 3000), np.float32)), r"has w0 \(3000, 3000\) in float32"),
    (flagged(8, 1), "cannot read the model .*encrypted"),
    (flagged(10, 99), "cannot read the model .*compression method"),
    (pickled, "cannot read the model .*not a zip file"),
    (truncated, "cannot read the model .*zip file"),
    (lambda path: path.write_bytes(b""), "cannot read the model .*zip file"),
    (lambda path: path.with_suffix(".npy").write_bytes(b""), "cannot read the model .*No such file"),
    (lambda path: path.mkdir(), "cannot read the model .*directory"),
]


@pytest.mark.parametrize(("make", "told"), REFUSED)
def test_a_file_that_is_no_such_model_is_refused_in_one_line(
    make: Callable[[Path], Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    make(path)
    with pytest.raises(HyperForgetError, match=told) as refusal:
        recursive.read(path, SIZES)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    listed = "float32 arrays w0 (3, 5), b0 (3,), w1 (4, 3), b1 (4,) of a 5-3-4 classifier"
    assert str(refusal.value).endswith(f": give the {listed}, by numpy.savez")


# Both directions.


def learned_optimiser(
    draws: jax.Array, losses: jax.Array, on_models: Callable[[int], None], begun: Start | None = None
) -> Params:
    """A hypernetwork that is known: it hides or shows an output where its loss is asked to climb or to fall by much.

    Every fourth sample fails: it stays as it was.
    """
    assert begun is not None
    on_models(len(draws))
    climbs, falls = losses > begun.losses + 3.0, losses < begun.losses - 3.0  # [N, K]
    works = (jnp.arange(len(draws)) % 4 < 3)[:, None]
    change = jnp.where(works, jnp.where(climbs, -50.0, 0.0) + jnp.where(falls, 50.0, 0.0), 0.0)
    *hidden, last = begun.models
    return (*hidden, {"w": last["w"], "b": last["b"] + change})


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A tiny run on digits whose classifier has room for four classes."""
    base = tiny(tmp_path_factory.mktemp("job"))
    config = replace(
        base,
        classifier=replace(base.classifier, hidden=(16,)),
        hypernetwork=replace(base.hypernetwork, kind="dihyfo1"),
        reference=replace(base.reference, epochs=40.0),
        request=replace(base.request, samples=8, trial_samples=(4,), rounds=3),
    )
    return on_paper(config)


@pytest.fixture(scope="module")
def model(job: Run) -> Params:
    return update.train_model(job)


def test_without_a_file_the_model_has_learned_every_class(job: Run, model: Params) -> None:
    _, accuracies = classifier.class_scores(model, *on_device(job.dataset.test))
    assert np.min(np.asarray(accuracies)) > 0.9


@pytest.mark.parametrize("labels", [(2,), (3,), (2, 3)])
def test_a_model_forgets_in_one_call_and_has_its_weights_back_after_another(
    job: Run, model: Params, labels: tuple[int, ...]
) -> None:
    forget = job.dataset.positions(labels)
    before = recursive_prompting.scored(job, recursive.repeated(model, 1), 0)
    ask = np.where(np.isin(np.arange(4), forget), 40.0, 0.05).astype(np.float32)[None]
    forgot = recursive_prompting.call(job, "forget", learned_optimiser, model, ask, forget)
    assert len(forgot) == 3
    assert forgot[0].accuracies.shape == (8, 4)
    retain = [place for place in range(4) if place not in forget]
    chosen = forgot[0].accuracies[forgot[0].selected]
    assert np.all(chosen[list(forget)] == 0.0)
    assert np.all(chosen[retain] >= before.accuracies[0, retain])
    hidden = model[-1]["b"].at[jnp.array(forget)].add(-50.0)
    np.testing.assert_array_equal(forgot[0].chosen[-1]["b"], hidden)
    back = recursive_prompting.call(
        job, "back", learned_optimiser, forgot[0].chosen, np.full((1, 4), 0.05, np.float32), ()
    )
    np.testing.assert_allclose(back[0].chosen[-1]["b"], model[-1]["b"], atol=1e-5)
    np.testing.assert_array_equal(back[0].accuracies[back[0].selected], before.accuracies[0])


def test_rows_tell_the_worst_sample_of_each_direction(job: Run, model: Params) -> None:
    """Of forgetting the one that remembers most; elsewhere the one that knows least."""
    ask = np.array([[0.05, 0.05, 40.0, 0.05]], np.float32)
    before = recursive_prompting.scored(job, recursive.repeated(model, 1), 0)
    forgot = recursive_prompting.call(job, "forget", learned_optimiser, model, ask, (2,))[:1]
    rows = recursive_prompting.result_rows(job, (2,), {"before": [before], "forget": forgot, "back": forgot})
    by_line = {line["after"]: line for line in updates.summary(frame_of(rows)).to_dict("records")}
    assert list(by_line) == ["before", "forget 1", "back 1"]
    known = before.accuracies[0, 2]
    for direction, worst in (("forget", known), ("back", 0.0)):
        line = by_line[f"{direction} 1"]
        assert line["forget set_worst"] == pytest.approx(worst, abs=1e-4)
        assert line["forget set_median"] == line["forget set_selected"] == 0.0
    share, _ = selection.class_weights(job.dataset.test.labels, (2,), 4)
    retained = forgot[0].accuracies.astype(np.float64) @ share
    assert by_line["forget 1"]["retain set_worst"] == pytest.approx(retained.min(), abs=1e-4)
    assert by_line["forget 1"]["retain set_median"] == pytest.approx(np.median(retained), abs=1e-4)
    told = [by_line["before"][f"forget set_{name}"] for name in ("median", "worst", "selected")]
    assert told == pytest.approx([known] * 3, abs=1e-4)
    ideals = {(row["direction"], row["metric"]): row["ideal"] for row in rows}
    assert ideals["forget", "forget_accuracy"] == 0.0
    assert {ideals[key] for key in ideals if key != ("forget", "forget_accuracy")} == {None}


def test_shares_weigh_classes_by_their_images() -> None:
    retained, forgotten = selection.class_weights(np.repeat([0, 1, 2], [6, 2, 4]), (1,), 4)
    np.testing.assert_allclose(retained, [0.6, 0.0, 0.4, 0.0])
    np.testing.assert_allclose(forgotten, [0.0, 1.0, 0.0, 0.0])
    everything, nothing = selection.class_weights(np.repeat([0, 1], 5), (), 2)
    np.testing.assert_allclose(everything, [0.5, 0.5])
    np.testing.assert_array_equal(nothing, 0.0)


# The whole experiment.


def setting(folder: Path) -> Config:
    base = tiny(folder)
    return replace(
        base,
        hypernetwork=replace(base.hypernetwork, kind="dihyfo1"),
        training=replace(base.training, untrained=16),
        request=replace(base.request, rounds=2),
        evaluation=replace(base.evaluation, distribution_models=5),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a tiny run without a model."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert run_job("hyperforget tiny", setting(folder), partial(update.update, model=None), []) == 0
    return folder


@pytest.mark.slow
def test_everything_is_there_for_every_forget_set_direction_and_round(finished: Path) -> None:
    rows = artifacts.read_rows(finished / "update.jsonl")
    assert all(math.isfinite(row["value"]) for row in rows)
    lines = updates.summary(frame_of(rows))
    assert [*zip(lines["forget"], lines["after"], strict=True)] == [
        (forget, after)
        for forget in ("{2}", "{3}", "{2, 3}")
        for after in ("before", "forget 1", "forget 2", "back 1", "back 2")
    ]
    swept = {(row["round"], row["class"], row["metric"]) for row in rows if row["direction"] == "sweep"}
    names = ("alignment_r2", "alignment_pearson")
    assert swept == {(number, label, name) for number in (1, 2) for label in (2, 3) for name in names}
    keys = [tuple(str(row[name]) for name in row if name not in ("value", "low", "high")) for row in rows]
    assert len(set(keys)) == len(keys)
    page = (finished / "update.md").read_text()
    accuracies, beside_clean_runs = page.split("Models updated to forget by one call")
    assert accuracies.count("\n| {2, 3}") == 5
    assert beside_clean_runs.count("\n| {2, 3}") == 8 + 2 + 1
    assert "Model: trained on all classes." in page
    assert (finished / "figures" / "update.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (finished / "figures" / "update.svg").read_text()[:1000]


@pytest.mark.slow
def test_models_that_were_updated_to_forget_stand_beside_clean_runs(finished: Path) -> None:
    rows = [row for row in artifacts.read_rows(finished / "update.jsonl") if row["metric"] == "c2st_outputs"]
    told = [(tuple(row["forget_set"]), row["method"], row["direction"], row["round"], row["n"]) for row in rows]
    assert told == [
        (forget, method, "forget", 1, 5)
        for forget in ((2,), (3,), (2, 3))
        for method in ("dihyfo1", "clean_reference", "permuted_labels")
    ]


@pytest.mark.slow
def test_updates_of_one_model_are_told_from_clean_runs_by_their_likeness_and_clean_runs_are_not(
    job: Run, model: Params
) -> None:
    one = replace(job, config=replace(job.config, task=replace(job.config.task, forget_sets=((2,),))))
    one = replace(one, config=replace(one.config, evaluation=replace(one.config.evaluation, distribution_models=5)))
    hidden = (*model[:-1], {"w": model[-1]["w"], "b": model[-1]["b"].at[2].add(-50.0)})
    clean = jax.tree.map(lambda leaf: leaf[0], clean_reference(one))
    ratios = {}
    for name, models in {"updated": recursive.repeated(hidden, 6), "clean": clean}.items():
        rows = update.distribution_rows(one, [recursive_prompting.scored(one, models, 0)])
        (ratios[name],) = (
            row["value"] for row in rows if (row["method"], row["metric"]) == ("dihyfo1", "disagreement_ratio")
        )
        assert {(row["direction"], row["round"]) for row in rows} == {("forget", 1)}
    assert ratios["updated"] == 0.0
    assert ratios["clean"] > 0.3


@pytest.mark.slow
def test_the_models_of_the_calls_are_the_rows_and_can_be_given_back(finished: Path, tmp_path: Path) -> None:
    """The model that was trained, given as a file, is answered the same; so are the models of a call."""
    artifacts.verify(finished / "update")
    names = {path.stem for path in (finished / "update").glob("*.npz")}
    assert names == {"model"} | {f"{way}-{name}" for way in ("forget", "back") for name in ("2", "3", "2-3")}
    rows = artifacts.read_rows(finished / "update.jsonl")
    run = on_paper(setting(finished))
    for way in ("forget", "back"):
        model = recursive.read(finished / "update" / f"{way}-2-3.npz", run.sizes)
        _, accuracies = classifier.class_scores(model, *on_device(run.dataset.test))
        told = [
            row["value"]
            for row in rows
            if (row["direction"], row["round"], row["selection"]) == (way, 1, "selected")
            and (row["metric"], row["forget_set"]) == ("class_accuracy", [2, 3])
        ]
        np.testing.assert_allclose(accuracies, told, atol=1e-6)
    given = tmp_path / "mine.npz"
    given.write_bytes((finished / "update" / "model.npz").read_bytes())
    assert run_job("hyperforget tiny", setting(finished), partial(update.update, model=str(given)), []) == 0
    assert artifacts.read_rows(finished / "update.jsonl") == rows
    assert f"Model: {given}." in (finished / "update.md").read_text()
