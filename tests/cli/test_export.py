"""A model for others: `hyperforget unlearn --out` writes it with its certificate, and `hyperforget verify` finds whatever is changed."""

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

import hyperforget_jax as hf
from hyperforget_jax.cli import unlearn, verify
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import certificate, ledger, unlearning
from hyperforget_jax.pipeline.verify import read_certificate
from hyperforget_jax.report import certificate as page
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.unlearn import model_file
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")
FILES = {"model.safetensors", "model.json", "model.onnx", "certificate.json", "certificate.html", "manifest.json"}


@pytest.fixture(scope="module")
def made(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and, in `model`, what it exported for {2}; tests leave both as they are."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(finished, folder / "run")
    arguments = ["--forget", "2", "--out", str(folder / "model"), "--onnx", "--max-forget-accuracy", "1"]
    assert unlearn.main([str(folder / "run"), *arguments]) == 0
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A copy, to change."""
    return shutil.copytree(made, tmp_path / "copied")


def checks(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, bool]:
    """Names of the checks of `folder/model` against `folder/run`, and whether they passed; the exit status says whether all did."""
    capsys.readouterr()
    status = verify.main([str(folder / "model"), "--run", str(folder / "run"), "--json", *arguments])
    told = json.loads(capsys.readouterr().out)
    assert status == (0 if told["passed"] else 3)
    assert told["passed"] == all(check["passed"] for check in told["checks"])
    return {check["name"]: check["passed"] for check in told["checks"]}


def rewritten(folder: Path, change: Callable[[Path], None]) -> None:
    """Changes an exported model as a forger would: all checksums are right again."""
    manifest = artifacts.manifest(folder / "model")
    forged = folder / "forged"
    with artifacts.new_artifact(forged, manifest["made_from"], manifest["inputs"]) as partial:
        for name in manifest["files"]:
            shutil.copy(folder / "model" / name, partial / name)
        change(partial)
    shutil.rmtree(folder / "model")
    forged.rename(folder / "model")


def certified(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a certificate and seals it again; the ledger of the run gets its new checksum."""
    path = folder / "certificate.json"
    told = json.loads(path.read_text())
    del told[records.SEAL]
    change(told)
    path.write_text(json.dumps(records.sealed(told), indent=2) + "\n")


def test_the_folder_is_whole_and_passes_every_check(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in (made / "model").iterdir()} == FILES
    assert checks(made, capsys) == dict.fromkeys(("files", "run", "ledger", "sample", "measures"), True)
    assert checks(made, capsys, "--files") == {"files": True}


def test_the_model_is_the_best_of_the_answer(made: Path) -> None:
    model = hf.load_model(made / "model")
    answer = np.load(made / "run" / "requests" / "forget-2" / "answer.npz", allow_pickle=False)
    weights = np.load(made / "run" / "requests" / "forget-2" / "weights.npy", allow_pickle=False)
    flat = np.concatenate([np.asarray(layer[name]).ravel() for layer in model.params for name in ("w", "b")])
    np.testing.assert_array_equal(np.sort(flat), np.sort(weights[answer["selected"][0]]))
    assert model.about.forgotten == (2,)


def test_the_certificate_says_what_was_asked_and_what_is_not_guaranteed(made: Path) -> None:
    told = read_certificate(made / "model")
    assert (told["request"]["forget"], told["request"]["forgotten"]) == ([2], [2])
    assert told["guarantee"] == {"purged": [], "scrubbed": [], "fast_answer": [2]}
    assert told["run"]["zoo"]["runs"] > told["run"]["zoo"]["never_saw_the_classes"] > 0
    assert told["thresholds"] == [
        {"threshold": "max_forget_accuracy", "limit": 1.0, "reached": pytest.approx(0, abs=1), "met": True}
    ]
    lines = {line["metric"]: line for line in told["measures"]["accuracies"] if line["class"] is None}
    data, model = (
        hf.load_dataset("digits", classes=range(4), validation_size=told["data"]["validation_size"]),
        hf.load_model(made / "model"),
    )
    right = hf.predict(model.params, data.test.images).argmax(-1) == data.test.labels
    forgotten = data.test.labels == 2
    assert lines["retain_accuracy"]["value"] == pytest.approx(right[~forgotten].mean())
    assert lines["forget_accuracy"]["value"] == pytest.approx(right[forgotten].mean())
    for line in lines.values():
        assert line["low"] <= line["value"] <= line["high"]


def test_every_changed_byte_of_the_folder_is_found(copied: Path) -> None:
    """All bytes of the model and of the manifest, every 31st of the others; one bit of each is turned."""
    for path in sorted((copied / "model").iterdir()):
        whole = path.read_bytes()
        step = 1 if path.name in ("manifest.json", "model.safetensors", "model.json") else 31
        for place in range(0, len(whole), step):
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 7
            path.write_bytes(changed)
            with pytest.raises(HyperForgetError):
                read_certificate(copied / "model")
        path.write_bytes(whole)
    read_certificate(copied / "model")


@pytest.mark.parametrize(
    "name",
    ["hypernetwork/model.safetensors", "hypernetwork/manifest.json", "config.json", "zoo/block-00000/manifest.json"],
)
def test_a_changed_byte_of_the_run_is_found(copied: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "run" / name
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    if name == "config.json" or name.startswith(
        "hypernetwork"
    ):  # a run that is damaged there opens no more, or fails the check
        capsys.readouterr()
        assert verify.main([str(copied / "model"), "--run", str(copied / "run")]) in (2, 3)
        out, error = capsys.readouterr()
        assert name.partition("/")[0] in out + error
        return
    assert checks(copied, capsys)["run"] is False


def test_another_model_with_right_checksums_is_found(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def exchange(folder: Path) -> None:
        model = model_file.read(folder)
        other = jax.tree.map(lambda leaf: leaf * 1.01, model.params)
        model_file.write(folder, other, model.about)

    rewritten(copied, exchange)
    found = checks(copied, capsys)
    assert (found["files"], found["run"], found["sample"]) == (True, True, False)


def test_better_figures_with_right_checksums_are_found(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def flatter(told: dict[str, Any]) -> None:
        told["measures"]["attacks"][0]["value"] += 0.05

    rewritten(copied, lambda folder: certified(folder, flatter))
    found = checks(copied, capsys)
    assert (found["sample"], found["measures"], found["ledger"]) == (True, False, False)


def test_a_weight_that_rounding_moves_is_the_same_model(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The control: another machine's last bits pass."""

    def rounded(folder: Path) -> None:
        arrays = safetensors.numpy.load_file(folder / "model.safetensors")
        artifacts.write_arrays(
            folder / "model.safetensors",
            {name: np.nextafter(array, np.float32(np.inf)) for name, array in arrays.items()},
        )

    rewritten(copied, rounded)
    assert checks(copied, capsys)["sample"] is True


def test_a_threshold_that_is_not_met_writes_nothing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ledger.entries(copied / "run")
    out = copied / "other"
    arguments = [
        str(copied / "run"),
        "--forget",
        "2",
        "--out",
        str(out),
        "--max-c2st",
        "0",
        "--min-retain-accuracy",
        "1",
        "--json",
    ]
    assert unlearn.main(arguments) == 3
    printed, error = capsys.readouterr()
    assert error.splitlines()[-1].startswith("not reached, no model is written: ")
    told = json.loads(printed)["exported"]
    assert (told["out"], [each["met"] for each in told["thresholds"]]) == (None, [False, False])
    assert not out.exists()
    assert not list(copied.glob("other*"))
    assert ledger.entries(copied / "run") == before


def test_a_later_model_forgets_what_was_asked_before(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unlearn.main([str(copied / "run"), "--forget", "3", "--out", str(copied / "later")]) == 0
    assert "it forgets {2} too" in capsys.readouterr().out
    assert hf.load_model(copied / "later").about.forgotten == (2, 3)
    assert (
        read_certificate(copied / "later")["request"] | {"forget": [3], "earlier_requests": [2]}
        == read_certificate(copied / "later")["request"]
    )
    assert [entry["forget"] for entry in ledger.entries(copied / "run")] == [[2], [3]]
    assert (
        unlearn.main([str(copied / "run"), "--forget", "3", "--json"]) == 0
    )  # what stays with the run is answered as it is asked
    assert json.loads(capsys.readouterr().out)["forget"] == [3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--forget 2 --out {made}/model", "holds something already: name a new folder"),
        ("--forget 2 --out {made}/mine", "mine.partial holds something already"),
        ("--forget 2 --onnx", "--onnx is about the model that --out DIR writes"),
        ("--forget 2 --max-c2st 0.6", "--max-c2st is about the model that --out DIR writes"),
        (
            "--forget 2 --out {made}/new --min-retain-accuracy 1.5",
            "--min-retain-accuracy is 1.5: choose a number from 0 to 1",
        ),
        ("--forget 1 --out {made}/new", "holds the pivot 1"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    made: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (made / "mine.partial").mkdir(exist_ok=True)
    (made / "mine.partial" / "notes").write_text("a person's")
    assert unlearn.main([str(made / "run"), *arguments.format(made=made).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert message in line
    assert not (made / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("{made}/run", "holds no exported model with a certificate"),
        ("{made}/run/hypernetwork", "holds no exported model with a certificate"),
        (
            "{made}/model --run {made}/nowhere",
            "is not there: name its place, --run RUN, or check the files alone, --files",
        ),
        ("{made}/model --run {made}/model", "is no run"),
        ("{made}/model --files --nope 3", "--nope"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    made: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main(arguments.format(made=made).split()) == 2
    assert message in capsys.readouterr().err


def test_texts_from_people_are_escaped_on_the_page(made: Path) -> None:
    told = read_certificate(made / "model")
    told["command"] = told["data"]["name"] = "<script>alert(1)</script>"
    html = page.page(told)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3


class Killed(BaseException):
    """What a stopped process does not live to handle."""


def kill_at(patch: pytest.MonkeyPatch, number: int) -> list[str]:
    """Raises at the call of that number of all that bring something to the disk; returns the calls so far."""
    calls: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise Killed
            return call(*args, **kwargs)

        return wrapper

    for name in ("fsync", "rename", "replace", "mkdir", "unlink"):
        patch.setattr(os, name, counted(name, getattr(os, name)))
    return calls


def test_an_export_that_is_stopped_at_any_write_leaves_nothing_half_made(copied: Path) -> None:
    """After each, the same call goes through; the ledger may name a model that was never finished, and lacks none that was."""
    run = on_paper(tiny(copied / "run"))
    answer = unlearning.unlearn(run, (2,))
    measures = read_certificate(copied / "model")["measures"]
    told = {**certificate.certify(run, answer, (2,), measures), "thresholds": []}
    number, points, out = 0, list[str](), copied / "new"
    while True:
        number += 1
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            points = kill_at(patch, number)
            certificate.export(out, run, answer, told, onnx=False)
            break
        assert not out.exists() or read_certificate(out)
        entries = ledger.entries(copied / "run")
        if out.exists():
            assert entries[-1]["certificate"] == artifacts.checksum(out / "certificate.json")
            shutil.rmtree(out)
    assert len(points) == number - 1 >= 8
    assert {"fsync", "rename", "replace", "mkdir"} <= {*points}
    read_certificate(out)
    assert [path.name for path in copied.iterdir() if path.name.startswith("new")] == ["new"]
