"""The distribution of a request on four digits: which rows there are, what they catch, and that they are measured once."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from hyperforget_jax.classifier import Params
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics.results import COLUMNS
from hyperforget_jax.pipeline import distribution
from hyperforget_jax.pipeline.run import Run, on_device
from hyperforget_jax.unlearn.reference import retrain
from tests.small_run import on_paper, tiny, with_distribution

pytestmark = pytest.mark.usefixtures("programs")

FORGET = (2, 3)
COUNT = 24
VIEWS = ("outputs", "class_scores", "canonical_weights", "raw_weights")
Table = list[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = with_distribution(tiny(tmp_path_factory.mktemp("distribution")))
    evaluation = replace(config.evaluation, c2st_trees=50, c2st_permutations=5)
    return on_paper(replace(config, task=replace(config.task, forget_sets=(FORGET,)), evaluation=evaluation))


@pytest.fixture(scope="module")
def clean(run: Run) -> Params:
    """Three times as many models as a side has, retrained without the forget set: leaves [3 * COUNT, …]."""
    config = replace(run.config.reference, seeds=3 * COUNT)
    models = retrain(jax.random.key(0), on_device(run.dataset.train), run.forget_sets, run.sizes, config)
    return jax.tree.map(lambda leaf: leaf[0], models)


def part(models: Params, start: int, stop: int) -> Params:
    return jax.tree.map(lambda leaf: leaf[start:stop], models)


@pytest.fixture(scope="module")
def measured(run: Run, clean: Params) -> Callable[[Params], Table]:
    """Rows of some models against the first two thirds of the clean runs."""
    return lambda models: distribution.request_rows(run, FORGET, {"dihyfo2": models}, part(clean, 0, 2 * COUNT))


@pytest.fixture(scope="module")
def alike(measured: Callable[[Params], Table], clean: Params) -> Table:
    """Rows of further clean runs."""
    return measured(part(clean, 2 * COUNT, 3 * COUNT))


def values(rows: Table, method: str) -> dict[str, float]:
    """Values and means by metric, with the class if there is one."""
    return {
        row["metric"] + ("" if row["class"] is None else f"_{row['class']}"): row["value"]
        for row in rows
        if row["method"] == method and row["statistic"] in ("value", "mean")
    }


def test_every_row_is_there_once(alike: Table) -> None:
    tests = {f"c2st_{view}{ending}" for view in VIEWS for ending in ("", "_logistic")}
    spreads = {"disagreement", *(f"loss_spread_{label}" for label in range(4))}
    ratios = {"disagreement_ratio", *(f"loss_spread_ratio_{label}" for label in range(4))}
    curves = {"relearning_k5_s5", "relearning_k5_s10"}
    assert values(alike, "permuted_labels").keys() == tests
    for method in ("dihyfo2", "clean_reference"):
        assert values(alike, method).keys() == tests | spreads | ratios | curves
    assert len({json.dumps([row[name] for name in COLUMNS[:10]]) for row in alike}) == len(alike)
    for row in alike:
        assert tuple(row) == COLUMNS
        assert math.isfinite(row["value"])
        assert row["n"] in (COUNT, 2 * COUNT)
        assert row["low"] is None or row["low"] <= row["value"] <= row["high"]


def test_clean_runs_are_distributed_as_clean_runs(alike: Table) -> None:
    ours, control = values(alike, "dihyfo2"), values(alike, "clean_reference")
    for name in (f"c2st_{view}{ending}" for view in VIEWS for ending in ("", "_logistic")):
        assert 0.2 < ours[name] < 0.8
        assert 0.2 < control[name] < 0.8
    assert 0.75 < ours["disagreement_ratio"] < 1.33
    assert 0.75 < control["disagreement_ratio"] < 1.33


@pytest.mark.slow
def test_both_halves_of_the_clean_reference_have_models_of_every_block(run: Run, clean: Params) -> None:
    """Blocks that differ, one after the other: the control stays one, and the diversity of either half is that of both blocks."""
    first, second = part(clean, 0, COUNT), part(clean, COUNT, 2 * COUNT)
    other = jax.tree.map(lambda leaf: 1.5 * leaf, second)
    blocks = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), first, other)
    control = values(
        distribution.request_rows(run, FORGET, {"dihyfo2": part(clean, 2 * COUNT, 3 * COUNT)}, blocks),
        "clean_reference",
    )
    for name in (f"c2st_{view}{ending}" for view in VIEWS for ending in ("", "_logistic")):
        assert 0.2 < control[name] < 0.8
    assert all(0.5 < control[f"loss_spread_ratio_{label}"] < 2.0 for label in range(4))


@pytest.mark.slow
def test_near_clones_are_caught(measured: Callable[[Params], Table], clean: Params) -> None:
    one = part(clean, 2 * COUNT, 2 * COUNT + 1)
    keys = jax.random.split(jax.random.key(1), COUNT)
    clones = jax.tree.map(
        lambda leaf: (
            leaf * (1 + 0.01 * jax.vmap(lambda key: jax.random.normal(key, leaf.shape[1:]))(jax.random.clone(keys)))
        ),
        one,
    )
    found = values(measured(clones), "dihyfo2")
    assert min(found[f"c2st_{view}"] for view in VIEWS) > 0.9
    assert found["disagreement_ratio"] < 0.3
    assert max(found[f"loss_spread_ratio_{label}"] for label in range(4)) < 0.5


@pytest.mark.slow
def test_a_second_method_is_caught_beside_one_that_passes(run: Run, alike: Table, clean: Params) -> None:
    """Copies of one model beside clean runs: the rows of these, of the control and the null interval stay as they were."""
    copies = jax.tree.map(lambda leaf: jnp.repeat(leaf[:1], COUNT, axis=0), clean)
    models = {"dihyfo2": part(clean, 2 * COUNT, 3 * COUNT), "dihyfo2_best": copies}
    rows = distribution.request_rows(run, FORGET, models, part(clean, 0, 2 * COUNT))
    assert [row for row in rows if row["method"] != "dihyfo2_best"] == alike
    found = values(rows, "dihyfo2_best")
    assert found.keys() == values(alike, "dihyfo2").keys()
    assert min(found[f"c2st_{view}"] for view in VIEWS) > 0.9
    assert found["disagreement"] == 0.0


def test_a_hidden_class_is_caught(run: Run, measured: Callable[[Params], Table]) -> None:
    config = replace(run.config.reference, seeds=COUNT)
    models = retrain(jax.random.key(2), on_device(run.dataset.train), [()], run.sizes, config)
    *earlier, last = jax.tree.map(lambda leaf: leaf[0], models)
    hidden = (*earlier, {"w": last["w"], "b": last["b"].at[:, jnp.array(FORGET)].add(-4.0)})
    rows = measured(hidden)
    ours, clean = values(rows, "dihyfo2"), values(rows, "clean_reference")
    assert ours["c2st_class_scores"] > 0.8
    assert ours["relearning_k5_s10"] > clean["relearning_k5_s10"] + 0.1


def test_too_few_models_are_refused(measured: Callable[[Params], Table], clean: Params) -> None:
    with pytest.raises(HyperForgetError, match=r"4 samples and 48 clean runs.*distribution_models to 0"):
        measured(part(clean, 0, 4))
