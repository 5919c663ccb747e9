"""A workdir belongs to one config: another is refused by name, and nothing that is no run is ever deleted."""

import contextlib
import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hyperforget_jax.config import (
    ClassifierConfig,
    Config,
    DataConfig,
    LoaderConfig,
    TaskConfig,
    TrainingConfig,
    ZooConfig,
    flatten,
)
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.runtime import artifacts, locks, records

WHERE = {
    *("workdir", "overwrite", "zoo.folder", "zoo.memory_gib"),
    *("loader.memory_gib", "loader.threads", "loader.prefetch"),
    *("request.rounds", "training.tensorboard", "task.forget_sets"),
}
"""Settings that decide no content of the zoo and the hypernetwork."""
UNUSED = {"data.file", "data.standardise", "data.distillation_size", "task.scrubbed"}
"""Settings of data that digits do not have, or that change nothing at their default."""


def config(folder: Path, **changes: Any) -> Config:
    return dataclasses.replace(Config(workdir=str(folder), zoo=ZooConfig(runs=4)), **changes)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A workdir that `config` has taken and in which something is done."""
    workdir.acquire_workdir(config(tmp_path / "run"))
    artifact(tmp_path / "run" / "zoo" / "block-00000", "weights.npy")
    return tmp_path / "run"


def artifact(folder: Path, name: str) -> None:
    with artifacts.new_artifact(folder, {}) as partial:
        (partial / name).write_bytes(b"weights")


def test_a_fresh_workdir_is_made_and_holds_the_resolved_config(tmp_path: Path) -> None:
    asked = config(tmp_path / "deep" / "run")
    workdir.acquire_workdir(asked)
    record = json.loads((tmp_path / "deep" / "run" / "config.json").read_text())
    everything = flatten(asked)
    left_out = {*WHERE, *UNUSED}
    assert record["identity"] == {name: everything[name] for name in everything if name not in left_out}
    assert workdir.read_config(tmp_path / "deep" / "run") == asked
    assert set(contents(tmp_path / "deep" / "run")) == {"config.json"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    workdir.acquire_workdir(config(tmp_path))
    assert set(contents(tmp_path)) == {"config.json"}


def test_the_same_config_goes_on_where_it_was(taken: Path) -> None:
    before = contents(taken)
    workdir.acquire_workdir(config(taken))
    assert contents(taken) == before


def test_settings_of_where_and_how_may_change(taken: Path) -> None:
    before = contents(taken)
    loader = LoaderConfig(memory_gib=1.0, threads=5, prefetch=3)
    task = TaskConfig(forget_sets=((3,),))
    asked = config(taken, loader=loader, task=task, zoo=ZooConfig(runs=4, memory_gib=2.0, folder="elsewhere"))
    workdir.acquire_workdir(asked)
    after = contents(taken)
    assert workdir.read_config(taken) == asked
    assert json.loads(after.pop("config.json"))["identity"] == json.loads(before.pop("config.json"))["identity"]
    assert after == before


def test_a_workdir_that_another_part_of_the_same_run_is_just_taking_can_be_taken_too(tmp_path: Path) -> None:
    (tmp_path / "config.json.partial").touch()
    workdir.acquire_workdir(config(tmp_path))
    assert set(contents(tmp_path)) == {"config.json"}


def test_a_moved_workdir_is_still_the_same_run(taken: Path, tmp_path: Path) -> None:
    before = contents(taken)
    taken.rename(tmp_path / "elsewhere")
    workdir.acquire_workdir(config(tmp_path / "elsewhere"))
    assert contents(tmp_path / "elsewhere") == before


def test_another_config_is_refused_with_the_field_both_values_and_the_remedy(taken: Path) -> None:
    before = contents(taken)
    with pytest.raises(HyperForgetError) as refusal:
        workdir.acquire_workdir(config(taken, zoo=ZooConfig(runs=5)))
    message = str(refusal.value)
    for part in (str(taken), "zoo.runs: 4 there, 5 here", "set overwrite", "choose another workdir"):
        assert part in message
    assert "seed" not in message
    assert "\n" not in message
    assert contents(taken) == before


def test_every_differing_field_is_named(taken: Path) -> None:
    with pytest.raises(HyperForgetError, match=r"seed: 0 there, 3 here, zoo\.runs: 4 there, 6 here"):
        workdir.acquire_workdir(config(taken, seed=3, zoo=ZooConfig(runs=6)))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_of_format_1_is_refused_with_what_makes_it_again(tmp_path: Path, overwrite: bool) -> None:
    flat = flatten(config(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({name: flat[name] for name in flat if name not in WHERE}))
    (tmp_path / "zoo").mkdir()
    if overwrite:
        workdir.acquire_workdir(config(tmp_path, overwrite=True))
        assert set(contents(tmp_path)) == {"config.json"}
        assert workdir.read_config(tmp_path).seed == 0
        return
    for read in (workdir.read_config, lambda folder: workdir.acquire_workdir(config(folder))):
        with pytest.raises(
            HyperForgetError, match=r"format 1, this version reads 2: .*`hyperforget run --config NAME`"
        ):
            read(tmp_path)


def test_a_config_of_another_version_is_refused_by_the_field(taken: Path) -> None:
    record = json.loads((taken / "config.json").read_text())
    more = {**record["config"], "zoo.new": 1}
    fewer = {name: value for name, value in record["config"].items() if name != "zoo.runs"}
    for flat, message in ((more, "unknown field zoo.new"), (fewer, "lacks zoo.runs")):
        (taken / "config.json").write_text(json.dumps(records.sealed({**record, "config": flat})))
        with pytest.raises(HyperForgetError, match=message):
            workdir.read_config(taken)


def test_overwrite_deletes_what_another_config_left(taken: Path) -> None:
    workdir.acquire_workdir(config(taken, seed=3, overwrite=True))
    assert set(contents(taken)) == {"config.json"}
    assert workdir.read_config(taken).seed == 3


def test_overwrite_deletes_all_that_a_run_makes_and_nothing_else(taken: Path, tmp_path: Path) -> None:
    made = [
        *("costs.jsonl", "results.jsonl", "results.md", "report.html", "coverage.md", "zoo/zoo.json"),
        *("training/learning_curve.jsonl", "training/alignment_curve.jsonl", "training/student/learning_curve.jsonl"),
        *("training/states/00000020/default/d/0a1b", "training/states/00000020/_CHECKPOINT_METADATA"),
        *("figures/coverage.svg", "figures/coverage.png"),
        *("requests/forget-3.partial/weights.npy", "requests/forget-3.partial/manifest.json"),
        *("reference/manifest.json", "reference/weights.npy"),  # a damaged manifest
    ]
    theirs = [
        *("notes.md", "figures/mine.png", "training/notes.txt", "hypernetwork/notes.txt", "zoo/notes.txt"),
        *("other/config.json", "other/zoo/zoo.json", "zoo/thesis/nested", "my models/manifest.json"),
    ]
    for name in (*made, *theirs):
        (taken / name).parent.mkdir(parents=True, exist_ok=True)
        (taken / name).write_text("{}")
    (taken / "hypernetwork" / "model.safetensors").write_bytes(b"1")
    files = {name: {"bytes": 1, "sha256": ""} for name in ("notes.txt", "../../outside", str(tmp_path / "outside"))}
    (taken / "hypernetwork" / "manifest.json").write_text(json.dumps({"made_from": {}, "files": files}))
    artifact(taken / "requests" / "forget-2", "weights.npy")
    (tmp_path / "outside").write_text("years of work")
    artifact(tmp_path / "elsewhere" / "block-00000", "weights.npy")
    (taken / "clean_reference").symlink_to(tmp_path / "elsewhere")
    said: list[str] = []
    workdir.acquire_workdir(config(taken, seed=3, overwrite=True), say=said.append)
    assert set(contents(taken)) == {"config.json", *theirs}
    assert {path.name for path in (tmp_path / "elsewhere").rglob("*")} == {
        "block-00000",
        "weights.npy",
        "manifest.json",
    }
    assert (tmp_path / "outside").exists()
    left = "clean_reference/, figures/, hypernetwork/, my models/, notes.md, other/, training/, zoo/"
    assert said == [f"overwrite: left as no run's work: {left} in {taken}"]


def test_overwrite_keeps_the_zoo_that_the_changed_fields_do_not_decide(taken: Path) -> None:
    artifact(taken / "hypernetwork", "model.safetensors")
    zoo, said = contents(taken / "zoo"), list[str]()
    asked = config(taken, training=TrainingConfig(learning_rate=1e-4), overwrite=True)
    workdir.acquire_workdir(asked, say=said.append)
    assert contents(taken / "zoo") == zoo
    assert not (taken / "hypernetwork").exists()
    assert said == [f"overwrite: {taken / 'zoo'} is kept, which the changed fields do not decide"]


@pytest.mark.parametrize("place", ["home", "above", "mount"])
def test_a_place_that_is_more_than_a_workdir_is_not_overwritten(
    taken: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = contents(taken)
    monkeypatch.setenv("HOME", str({"home": taken, "above": taken / "me", "mount": taken.parent / "me"}[place]))
    monkeypatch.setattr(os.path, "ismount", lambda path: place == "mount" and path == taken)
    with pytest.raises(HyperForgetError, match=r"is (the home|above the home|a mount).*choose another workdir"):
        workdir.acquire_workdir(config(taken, seed=3, overwrite=True))
    assert contents(taken) == before


def test_a_workdir_is_held_to_the_end_of_the_work_and_parts_of_a_zoo_share_it(tmp_path: Path) -> None:
    with locks.scope():
        workdir.acquire_workdir(config(tmp_path))
        with (
            locks.scope(),
            pytest.raises(HyperForgetError, match=rf"at work on {tmp_path} \(process {os.getpid()} on "),
        ):
            workdir.acquire_workdir(config(tmp_path, overwrite=True))
    with locks.scope():
        workdir.acquire_workdir(config(tmp_path), shared=True)
        with locks.scope(), pytest.raises(HyperForgetError, match="another process is at work"):
            workdir.acquire_workdir(config(tmp_path))
        workdir.acquire_workdir(config(tmp_path, seed=3, overwrite=True), shared=True)
        for overwrite in (False, True):
            with locks.scope():
                workdir.acquire_workdir(config(tmp_path, seed=3, overwrite=overwrite), shared=True)
    assert set(contents(tmp_path)) == {"config.json"}
    workdir.acquire_workdir(config(tmp_path, seed=3))


def test_after_overwrite_the_same_config_goes_on_without_it(taken: Path) -> None:
    workdir.acquire_workdir(config(taken, seed=3, overwrite=True))
    workdir.acquire_workdir(config(taken, seed=3))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_run_is_refused_and_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(HyperForgetError, match=r"not empty and not a run.*workdir"):
        workdir.acquire_workdir(config(tmp_path, overwrite=overwrite))
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize("below", [".", "run", "deep/run"])
def test_a_path_at_or_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    file = tmp_path / "notes"
    file.write_text("a file")
    with pytest.raises(HyperForgetError, match=r"cannot write .*notes.* file.*: choose another workdir"):
        workdir.acquire_workdir(config(file / below))
    assert file.read_text() == "a file"


def with_free_bytes(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))


def test_too_little_space_is_refused_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_bytes(monkeypatch, 0.2e9)
    asked = config(tmp_path / "run", data=DataConfig(name="mnist"), zoo=ZooConfig(runs=2048, snapshots=50))
    # 784-3-4: (784 + 1) 3 + (3 + 1) 4 = 2371 weights, 2 x 4 scores, run and progress; 4 bytes each; 3 of 4 selected.
    needed = 2048 * 50 * 0.75 * (2371 + 8 + 2) * 4 / 1e9
    with pytest.raises(HyperForgetError, match=rf"0\.2 GB free.*{needed:.1f} GB.*zoo\.runs"):
        workdir.acquire_workdir(asked)
    assert contents(tmp_path / "run") == {}


def test_just_enough_space_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_bytes(monkeypatch, 4 * 50 * 0.75 * (2371 + 8 + 2) * 4)
    workdir.acquire_workdir(config(tmp_path / "run"))


def test_a_run_that_has_its_zoo_goes_on_with_little_space(taken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_bytes(monkeypatch, 1)
    workdir.acquire_workdir(config(taken))


def test_a_folder_with_somebody_elses_config_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "weights.bin").write_bytes(b"weeks of work")
    before = contents(tmp_path)
    with contextlib.suppress(HyperForgetError):
        workdir.acquire_workdir(config(tmp_path, overwrite=True))
    assert contents(tmp_path) == before


def test_an_unreadable_config_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("not JSON")
    with pytest.raises(HyperForgetError):
        workdir.acquire_workdir(config(tmp_path))


def test_a_workdir_behind_a_link_can_be_overwritten(taken: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(taken)
    workdir.acquire_workdir(config(tmp_path / "link", seed=3, overwrite=True))
    assert set(contents(taken)) == {"config.json"}


def test_idx_files_are_the_same_in_every_folder(tmp_path: Path) -> None:
    here, there, prepared = (DataConfig(name="mnist", dir=folder) for folder in ("data", "/mnt/data", None))
    workdir.acquire_workdir(config(tmp_path, data=here))
    workdir.acquire_workdir(config(tmp_path, data=there))
    with pytest.raises(HyperForgetError, match=r"data\.dir: IDX files there, None here"):
        workdir.acquire_workdir(config(tmp_path, data=prepared))


# The zoo's own part.


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3},
        {"data": DataConfig(validation_size=100)},
        {"data": DataConfig(name="mnist", dir="data")},
        {"task": TaskConfig(pivots=(0,))},
        {"classifier": ClassifierConfig(hidden=(5,))},
        {"zoo": ZooConfig(runs=5)},
        {"zoo": ZooConfig(runs=4, dtype="bfloat16")},
        {"zoo": ZooConfig(runs=4, min_per_combination=2)},
        {"zoo": ZooConfig(runs=4, min_clean_runs=2)},
        {"zoo": ZooConfig(runs=4, held_out_sets=((3,),))},
        {"zoo": ZooConfig(runs=4, validation_share=0.3)},
    ],
)
def test_what_decides_a_zoo_is_in_its_identity(tmp_path: Path, change: dict[str, Any]) -> None:
    ours = workdir.zoo_identity(config(tmp_path))
    assert workdir.zoo_identity(config(tmp_path, **change)) != ours


@pytest.mark.parametrize(
    "change",
    [
        {"task": TaskConfig(forget_sets=((3,),))},
        {"zoo": ZooConfig(runs=4, memory_gib=1.0, folder="elsewhere")},
        {"training": TrainingConfig(steps=7), "loader": LoaderConfig(resample="losses")},
        {"workdir": "elsewhere", "overwrite": True},
    ],
)
def test_what_does_not_decide_a_zoo_is_not(tmp_path: Path, change: dict[str, Any]) -> None:
    ours = workdir.zoo_identity(config(tmp_path))
    assert workdir.zoo_identity(config(tmp_path, **change)) == ours
    json.dumps(ours, allow_nan=False)


def test_the_held_out_share_does_not_decide_a_zoo_whose_clean_runs_are_not_counted(tmp_path: Path) -> None:
    ours, theirs = (ZooConfig(runs=4, min_clean_runs=0, validation_share=share) for share in (0.1, 0.3))
    assert workdir.zoo_identity(config(tmp_path, zoo=ours)) == workdir.zoo_identity(config(tmp_path, zoo=theirs))


def test_the_zoo_stands_in_the_workdir_unless_it_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workdir.zoo_path(config(tmp_path)) == tmp_path / "zoo"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder, place in (("~/zoos/a", tmp_path / "home/zoos/a"), (f"{tmp_path}/b/../c", tmp_path / "c")):
        assert workdir.zoo_path(config(tmp_path, zoo=ZooConfig(folder=folder))) == place
