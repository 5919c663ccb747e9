"""A run judges the prompts of every forget set once, when its training ends; requests sample and select."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from hyperforget_jax import HyperForget
from hyperforget_jax.config import Config
from hyperforget_jax.diffusion import train_step
from hyperforget_jax.diffusion.hypernetwork import Generator
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import pretrained, prompt_book, training, unlearning
from hyperforget_jax.pipeline import zoo as pipeline_zoo
from hyperforget_jax.pipeline.pretrained import Pretrained
from hyperforget_jax.pipeline.run import HYPERNETWORK, Run
from hyperforget_jax.pipeline.workdir import acquire_workdir
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.unlearn.prompt_book import Page
from tests.small_run import on_paper, tiny

pytestmark = pytest.mark.usefixtures("programs")

SETS = ((2,), (3,), (2, 3))
PLANNED = 3 * (4 * 2 + 2 * 3)
"""Models of the book: three sets of four candidates, of which half go on to a second round."""


def halved(folder: Path) -> Config:
    """Two rounds, the first with fewer sampling steps; prompts are drawn unless the best one is asked for."""
    config = tiny(folder)
    request = replace(config.request, trial_samples=(2, 3), trial_factor=2, trial_steps=2, prompts="drawn")
    training = replace(config.training, alignment_every=0)
    return replace(
        config, request=request, training=training, zoo=replace(config.zoo, folder=str(folder.parent / "zoo"))
    )


def trained(folder: Path) -> tuple[Run, Pretrained]:
    run = on_paper(halved(folder))
    acquire_workdir(run.config)
    return run, training.train_hypernetwork(run, *pipeline_zoo.split_zoo(run))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of this module share a zoo in it."""
    return tmp_path_factory.mktemp("book")


@pytest.fixture(scope="module")
def finished(place: Path, programs: object) -> tuple[Run, Pretrained]:
    return trained(place / "run")


def generators(run: Run, model: Pretrained) -> list[Generator]:
    generate = training.generator_of(run, model.hypernetwork)
    return training.judging_generators(run, model.hypernetwork, generate)


def same(ours: Page, theirs: Page) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def printed(run: Run) -> str:
    return run.console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_every_allowed_set_has_its_page_in_the_artifact_also_where_prompts_are_drawn(
    finished: tuple[Run, Pretrained],
) -> None:
    run, model = finished
    assert set(model.book) == {"forget-2", "forget-3", "forget-2-3"}
    assert f"prompts: {PLANNED}/{PLANNED} models" in printed(run)
    read = pretrained.load(run.folder / HYPERNETWORK).book
    for labels, name in zip(SETS, model.book, strict=True):
        assert same(read[name], model.book[name])
        (candidates,) = unlearning.candidate_prompts(
            replace(run, config=replace(run.config, task=replace(run.config.task, forget_sets=(labels,)))).prompted(
                "best"
            ),
            model.statistics,
        )
        page = model.book[f"forget-{'-'.join(map(str, labels))}"]
        np.testing.assert_array_equal(page.prompts, candidates)
        assert sorted(page.models.tolist()) == [2, 2, 3, 3]
        assert page.models[page.chosen] == 3


def test_rounds_before_the_last_take_fewer_steps(
    finished: tuple[Run, Pretrained], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = finished
    steps = list[int]()
    real = training.generator
    monkeypatch.setattr(
        training, "generator", lambda net, sampling: steps.append(sampling.steps) or real(net, sampling)
    )
    quick, whole = generators(run, model)
    assert (steps, quick is whole) == ([3, 2], False)
    many = replace(run, config=replace(run.config, request=replace(run.config.request, trial_steps=50)))
    assert len({id(each) for each in generators(many, model)}) == 1  # one program, not two of the same steps


def test_a_page_that_the_book_lacks_equals_that_of_the_book_and_is_kept(
    finished: tuple[Run, Pretrained], tmp_path: Path
) -> None:
    run, model = finished
    run = replace(run, folder=tmp_path)
    empty = replace(model, book={})
    rounds = generators(run, model)
    assert same(prompt_book.page(run, (2, 3), empty, rounds), model.book["forget-2-3"])
    made_from = artifacts.verify(tmp_path / "prompts" / "forget-2-3")["made_from"]
    assert (made_from["forget_set"], len(made_from["hypernetwork"])) == ([2, 3], 64)

    def never(*_: Any) -> Any:
        raise AssertionError("judged again")

    assert same(prompt_book.page(run, (2, 3), empty, [never, never]), model.book["forget-2-3"])
    assert same(prompt_book.page(run, (3,), model, [never, never]), model.book["forget-3"])
    params = jax.tree.map(lambda leaf: leaf + 1.0, model.hypernetwork.params)
    other = replace(empty, hypernetwork=replace(model.hypernetwork, params=params))
    with pytest.raises(AssertionError, match="judged again"):  # another hypernetwork has pages of its own
        prompt_book.page(run, (2, 3), other, [never, never])


def test_a_request_samples_its_models_and_no_other(
    finished: tuple[Run, Pretrained], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, model = finished
    counts, real = list[int](), training.generator_of

    def counted(*about: Any) -> Callable[..., Any]:
        generate = real(*about)
        return lambda keys, asked, *rest: counts.append(len(keys)) or generate(keys, asked, *rest)

    monkeypatch.setattr(training, "generator_of", counted)
    answer = unlearning.unlearn(run, (3,), num_samples=5, seed=9, prompts="best").result
    assert counts == [5]
    page = model.book["forget-3"]
    assert answer.chosen == page.chosen
    np.testing.assert_array_equal(answer.candidate_scores, page.scores)


def test_a_training_that_stopped_while_prompts_were_judged_is_not_repeated(
    finished: tuple[Run, Pretrained], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prompt_book, "make", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained(place / "stopped")
    assert not artifacts.is_complete(place / "stopped" / HYPERNETWORK)

    def trains(*_: Any, **__: Any) -> Any:
        raise AssertionError("a step was taken again")

    monkeypatch.setattr(train_step, "step", trains)
    _, model = trained(place / "stopped")
    for name, page in finished[1].book.items():
        assert same(model.book[name], page)


def test_of_more_sets_than_the_limit_pages_are_made_on_first_use(
    finished: tuple[Run, Pretrained], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_book, "MOST_SETS", 2)
    run, model = trained(place / "many")
    assert not model.book
    usual, theirs = finished
    split, counts = usual.dataset.validation, {"num_samples": 4, "num_selected": 2}
    ours = unlearning.unlearn(run, (3,), **counts, prompts="best").result
    expected = unlearning.unlearn(usual, (3,), **counts, prompts="best").result
    by_library = HyperForget.from_pretrained(run.folder, progress=False).unlearn((3,), split, **counts, prompts="best")
    for each in (ours, by_library):
        assert each.chosen == expected.chosen
        np.testing.assert_array_equal(each.candidate_scores, theirs.book["forget-3"].scores)
        jax.tree.map(np.testing.assert_array_equal, each.models, expected.models)
    assert [path.name for path in (run.folder / "prompts").iterdir()] == ["forget-3"]


def test_a_set_that_the_zoo_cannot_serve_is_left_out_and_refused_when_it_is_asked_for(
    finished: tuple[Run, Pretrained], tmp_path: Path
) -> None:
    run, model = finished
    run = replace(run, folder=tmp_path)
    accuracies = model.statistics.accuracies.copy()
    accuracies[:, 3] = 1.0  # every checkpoint knows class 3
    statistics = model.statistics._replace(accuracies=accuracies)
    rounds = generators(run, model)
    book = prompt_book.make(run, statistics, rounds)
    assert set(book) == {"forget-2"}
    assert same(book["forget-2"], model.book["forget-2"])
    with pytest.raises(HyperForgetError, match="0 checkpoints of the zoo match the request to forget outputs"):
        prompt_book.page(run, (2, 3), replace(model, book=book, statistics=statistics), rounds)
