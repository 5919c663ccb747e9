"""`hyperforget unlearn` answers any forget set from a finished run, for people and for scripts."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.cli import run as run_command
from hyperforget_jax.cli import unlearn
from hyperforget_jax.runtime import records
from hyperforget_jax.weights.layout import unflatten_many
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")


def answer(capsys: pytest.CaptureFixture[str], run: Path, *arguments: str) -> dict[str, Any]:
    """The JSON object of a request."""
    capsys.readouterr()
    assert unlearn.main([str(run), *arguments, "--json"]) == 0
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    return summary


def on_validation(run: Path, weights: Path, forget: Sequence[int]) -> np.ndarray[Any, Any]:
    """Retain and forget accuracy [N, 2] of stored models, image by image."""
    job = on_paper(tiny(run))
    models = unflatten_many(np.load(weights, allow_pickle=False), job.sizes)
    images, labels = job.dataset.validation.images, job.dataset.validation.labels
    right = np.asarray(classifier.logits_of_many(models, images).argmax(-1)) == labels  # [N, n]
    forgotten = np.isin(labels, job.dataset.positions(forget))
    return np.stack([right[:, ~forgotten].mean(1), right[:, forgotten].mean(1)], 1)


def test_a_set_that_the_config_does_not_name_is_answered_and_kept(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = answer(capsys, finished, "--forget", "3,2")
    assert (first["run"], first["forget"], first["seed"]) == (str(finished), [2, 3], 0)
    assert first["cached"] is False
    again = answer(capsys, finished, "--forget", "2,3")
    assert again == first | {"cached": True}


def test_accuracies_are_those_of_the_stored_models(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = answer(capsys, finished, "--forget", "3")
    expected = on_validation(finished, Path(summary["folder"]) / "weights.npy", (3,))
    names = ("retain_accuracy", "forget_accuracy")
    for selection, rows in (("all", slice(None)), ("selected", summary["selected"])):
        of_selection = summary["validation"][selection]
        assert of_selection["models"] == len(expected[rows])
        np.testing.assert_allclose([of_selection[name] for name in names], expected[rows].mean(0), atol=1e-5)
    assert summary["prompt"].keys() == {"0", "1", "2", "3"}
    assert summary["prompt"]["3"] > max(summary["prompt"][label] for label in "012")


def test_the_sets_of_the_config_come_from_the_run(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = answer(capsys, finished, "--forget", "2")
    assert summary["cached"] is True
    assert summary["folder"] == str(finished / "requests" / "forget-2")


def test_numbers_and_seed_of_a_request_are_kept_apart(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = answer(capsys, finished, "--forget", "2")
    other = answer(capsys, finished, "--forget", "2", "--samples", "4", "--best", "1", "--seed", "1")
    assert other["cached"] is False
    assert (other["validation"]["all"]["models"], len(other["selected"]), other["seed"]) == (4, 1, 1)
    assert other["folder"] != usual["folder"]
    assert answer(capsys, finished, "--forget", "2") == usual


def test_prompts_of_the_other_kind_are_kept_apart(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = answer(capsys, finished, "--forget", "2")
    assert (usual["prompts"], answer(capsys, finished, "--forget", "2", "--prompts", "best")) == ("best", usual)
    drawn = answer(capsys, finished, "--forget", "2", "--prompts", "drawn")
    assert (drawn["prompts"], drawn["cached"]) == ("drawn", False)
    assert drawn["folder"] == str(finished / "requests" / "forget-2-drawn")
    assert (
        len(np.load(Path(drawn["folder"]) / "answer.npz")["candidate_prompts"]) == drawn["validation"]["all"]["models"]
    )
    assert unlearn.main([str(finished), "--forget", "2", "--prompts", "drawn"]) == 0
    assert "prompts: drawn; of the best model: class losses {0: " in capsys.readouterr().out


def test_people_get_a_table_the_prompt_and_the_place(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unlearn.main([str(finished), "--forget", "2"]) == 0
    out = capsys.readouterr().out
    assert "forget {2}: mean accuracies on validation" in out
    assert "prompt: class losses {0: " in out
    assert out.endswith(f"models: {finished / 'requests' / 'forget-2'} (from an earlier request)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--forget 1,2", "the forget set {1, 2} holds the pivot 1, and pivots {0, 1} are never forgotten"),
        ("--forget 7", "names class 7, the dataset has {0, 1, 2, 3}"),
        ("--forget ,", "forget set is empty"),
        ("--forget 0,1,2,3", "{0, 1, 2, 3} is every class"),
        ("--forget 2,2", "{2, 2} names a class twice"),
        ("--forget two", "--forget: invalid literal"),
        ("--forget", "Missing value for argument '--forget'"),
        ("", "Missing from the arguments: --forget"),
        ("--forget 2 3", "3 is no option"),
        ("--forget 2 --smaples 3", "--smaples is no option: did you mean --samples?"),
        ("--forget 2 --samples 0", "request.samples is 0: choose a whole number of at least 1"),
        ("--forget 2 --samples 2 --best 3", "request.num_selected is 3, request.samples 2"),
        ("--forget 2 --samples many", "--samples"),
        ("--forget 2 --prompts mine", "--prompts"),
        ("--forget 2 --seed -1", "--seed is -1: choose a whole number of at least 0"),
        ("--forget 2 --zoo.runs 33", "was made by another config (zoo.runs: 32 there, 33 here)"),
        ("--forget 2 --data.dir x", "data.dir"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    arguments: str, message: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(finished.rglob("*"))
    assert unlearn.main([str(finished), *arguments.split()]) == 2
    out, error = capsys.readouterr()
    (line,) = error.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert out == ""
    assert sorted(finished.rglob("*")) == before


NO_TESTS = ["--evaluation.distribution-models", "0"]


def refusal(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """The one line about a run that cannot answer."""
    capsys.readouterr()
    assert unlearn.main([str(folder), *(arguments or ("--forget", "2,3"))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_folder_without_a_finished_run_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{tmp_path / 'none'} is no run" in refusal(capsys, tmp_path / "none")
    assert f"{tmp_path} is no run" in refusal(capsys, tmp_path)
    assert f"{copied / 'config.json'} is no run" in refusal(capsys, copied / "config.json")
    shutil.rmtree(copied / "hypernetwork")
    assert f"{copied} has no finished hypernetwork" in refusal(capsys, copied)


@pytest.mark.parametrize("name", ["hypernetwork/model.safetensors", "hypernetwork/config.json"])
def test_a_damaged_hypernetwork_is_refused(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied / "requests")
    path = copied / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert f"{path} does not match the checksum" in refusal(capsys, copied)


def test_a_damaged_answer_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "requests" / "forget-2" / "weights.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert f"{path} does not match the checksum" in refusal(capsys, copied, "--forget", "2")


def test_a_record_that_is_no_json_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("{", "", "{}", (copied / "config.json").read_text().replace('"zoo.runs": 32', '"zoo.runs": 33')):
        (copied / "config.json").write_text(text)
        assert f"{copied / 'config.json'} is damaged: restore it from a copy" in refusal(capsys, copied)


def test_a_hypernetwork_of_another_run_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault: one of a run with seed 5, copied into a run with seed 0, was reused with changed numbers."""
    path = copied / "hypernetwork" / "manifest.json"
    told = json.loads(path.read_text())
    told["made_from"]["scrubbed_from"] = "a copy that was changed later tells more"
    path.write_text(json.dumps(records.sealed(told)))
    assert unlearn.main([str(copied), "--forget", "2"]) == 0
    told["made_from"]["seed"] = 5
    path.write_text(json.dumps(records.sealed(told)))
    assert "it was made by another config (seed: 5 there, 0 here): restore the run's own" in refusal(capsys, copied)
    assert (
        run_command.main(["--config", "smoke_dihyfo2", "--task.forget-sets", "2", "--workdir", str(copied), *NO_TESTS])
        == 2
    )
    assert "seed: 5 there, 0 here" in capsys.readouterr().err


def test_an_answer_of_another_hypernetwork_is_made_anew(
    copied: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells which one it was made from; one that does not tell is taken as before."""
    assert answer(capsys, copied, "--forget", "2")["cached"]
    path = copied / "requests" / "forget-2" / "manifest.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(records.sealed({**told, "inputs": {"hypernetwork": "another"}})))
    assert not answer(capsys, copied, "--forget", "2")["cached"]
    ours, theirs = (folder / "requests" / "forget-2" / "weights.npy" for folder in (copied, finished))
    assert ours.read_bytes() == theirs.read_bytes()
    path.write_text(json.dumps(records.sealed({**told, "inputs": {}})))
    assert answer(capsys, copied, "--forget", "2")["cached"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null"])
@pytest.mark.parametrize("name", ["hypernetwork/manifest.json", "requests/forget-2/manifest.json"])
def test_a_damaged_manifest_is_named(name: str, text: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copied / name).write_text(text)
    line = refusal(capsys, copied, "--forget", "2")
    assert f"{copied / name} is damaged: delete {(copied / name).parent} and run again" in line
