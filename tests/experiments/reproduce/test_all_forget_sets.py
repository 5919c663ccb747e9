"""Every forget set: which there are, the worst, and references in groups."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from configs import smoke_dihyfo2
from experiments import all_forget_sets
from hyperforget_jax.config import TaskConfig
from hyperforget_jax.pipeline import prompt_book
from hyperforget_jax.runtime import artifacts
from tests.small_paper import Finished, answers_of, lines_of, small, value_of
from tests.small_run import on_paper, tiny


@pytest.mark.parametrize(("pivots", "count"), [((0, 1), 3), ((0,), 7), ((), 14)])
def test_all_sets_of_forgettable_classes_are_asked_for_but_never_every_class(
    pivots: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    config = replace(tiny(tmp_path), task=TaskConfig(pivots=pivots, forget_sets=((2,),)))
    found = prompt_book.allowed_sets(on_paper(config))
    assert len({frozenset(each) for each in found}) == len(found) == count
    assert all(0 < len(each) < 4 and not set(each) & set(pivots) for each in found)
    assert found == sorted(found, key=lambda each: (len(each), each))


def test_the_classes_are_told_by_their_labels(tmp_path: Path) -> None:
    base = tiny(tmp_path)
    data = replace(base.data, classes=(7, 5, 3))
    config = replace(base, data=data, task=TaskConfig(pivots=(5,), forget_sets=((7,),)))
    assert prompt_book.allowed_sets(on_paper(config)) == [(3,), (7,), (3, 7)]


def test_the_page_of_every_forget_set_names_the_worst(finished: Finished) -> None:
    found = lines_of(finished, "subsets-mnist4-dihyfo2")
    assert [line["forget_set"] for line in found] == ["2", "3", "2-3"]
    rows = artifacts.read_rows(finished.folder / "mnist4_dihyfo2" / "subsets" / "results" / "results.jsonl")
    for line in found:
        about = {"forget_set": [int(label) for label in line["forget_set"].split("-")]}
        selected = value_of(rows, **about, metric="retain_accuracy", selection="selected", statistic="mean")
        reference = value_of(rows, **about, metric="retain_accuracy", method="retrain", statistic="median")
        forget = value_of(rows, **about, metric="forget_accuracy", selection="all", statistic="mean")
        assert float(line["gap"]) == pytest.approx(reference - selected)
        assert float(line["forget_all_mean"]) == forget
    worst = max(found, key=lambda line: float(line["gap"]))
    named = "{" + worst["forget_set"].replace("-", ", ") + "}"
    page = (finished.folder / "paper" / "subsets-mnist4-dihyfo2.md").read_text(encoding="utf-8")
    assert f"The worst is {named}: {float(worst['gap']):.4f}." in page


def test_a_missing_group_of_clouds_is_made_again_alone_and_equal(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = finished.folder / "mnist4_dihyfo2" / "subsets", tmp_path / "subsets"
    ours.mkdir()
    shutil.copytree(theirs / "reference", ours / "reference")
    groups = ("2_3", "2-3")
    assert {path.name for path in (ours / "reference").iterdir()} == {*groups}
    for group in groups:
        artifacts.verify(ours / "reference" / group)
    shutil.rmtree(ours / "reference" / "2-3")
    config = small(smoke_dihyfo2.get_config())
    task = replace(config.task, forget_sets=((2,), (3,), (2, 3)))
    run = replace(on_paper(replace(config, workdir=str(tmp_path), task=task)), folder=ours)
    trained = list[Any]()

    def counted(key: Any, training: Any, forget_sets: Any, *others: Any) -> Any:
        trained.append(forget_sets)
        return retrain(key, training, forget_sets, *others)

    retrain = all_forget_sets.retrain
    monkeypatch.setattr(all_forget_sets, "retrain", counted)
    references = all_forget_sets.references(run)
    assert trained == [[(2, 3)]]
    assert {leaf.shape[:2] for leaf in jax.tree.leaves(references)} == {(3, config.reference.seeds)}
    for group in groups:
        first, again = (np.load(place / "reference" / group / "weights.npy") for place in (theirs, ours))
        np.testing.assert_array_equal(first, again)
    models = jax.tree.map(lambda leaf: leaf[2], references)  # never saw 2 nor 3
    test = run.dataset.test
    assert not np.isin(answers_of(models, test.images)[:, test.labels < 2], (2, 3)).any()
