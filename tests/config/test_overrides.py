"""Overrides arrive typed, and a word that fits no field suggests the nearest one."""

import pytest

from configs import digits4_dihyfo2
from hyperforget_jax.config import Config, flatten
from hyperforget_jax.config.overrides import parse_overrides
from hyperforget_jax.errors import HyperForgetError

DEFAULT = digits4_dihyfo2.get_config()


def parse(*arguments: str) -> Config:
    return parse_overrides(DEFAULT, arguments)


def changes(config: Config) -> dict[str, object]:
    """Flat names and values of what differs from the default."""
    before, after = flatten(DEFAULT), flatten(config)
    return {name: after[name] for name in after if after[name] != before[name]}


def test_without_arguments_the_default_stays() -> None:
    assert parse() == DEFAULT


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--zoo.runs 12", {"zoo.runs": 12}),
        ("--zoo.learning-rate 1e-3 0.5", {"zoo.learning_rate": [1e-3, 0.5]}),
        ("--zoo.runs_per_block 3", {"zoo.runs_per_block": 3}),
        ("--task.forget-sets 2 2,3", {"task.forget_sets": [[2], [2, 3]]}),
        ("--task.forget-sets 3,2", {"task.forget_sets": [[3, 2]]}),
        ("--data.classes 4 5 6", {"data.classes": [4, 5, 6]}),
        ("--data.dir some/folder", {"data.dir": "some/folder"}),
        ("--classifier.hidden 8 4", {"classifier.hidden": [8, 4]}),
        ("--codec.kind raw --sampling.sampler ddpm", {"codec.kind": "raw", "sampling.sampler": "ddpm"}),
        ("--overwrite --seed 7", {"overwrite": True, "seed": 7}),
    ],
)
def test_overrides_arrive_typed_and_alone(arguments: str, expected: dict[str, object]) -> None:
    assert changes(parse(*arguments.split())) == expected


@pytest.mark.parametrize(
    ("typo", "field"),
    [
        ("--zoo.rnus", "--zoo.runs"),
        ("--zoo.learning-rat", "--zoo.learning-rate"),
        ("--zoo.learnin_rate", "--zoo.learning-rate"),
        ("--training.stpes", "--training.steps"),
        ("--wrkdir", "--workdir"),
    ],
)
def test_an_unknown_field_suggests_the_nearest(typo: str, field: str) -> None:
    with pytest.raises(HyperForgetError) as refusal:
        parse(typo, "1")
    assert str(refusal.value) == f"{typo} is no config field: did you mean {field}?"


def test_a_field_like_no_other_points_to_help() -> None:
    with pytest.raises(HyperForgetError, match=r"^--qqq is no config field: --help lists every field$"):
        parse("--qqq", "1")


def test_help_lists_every_field_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert not end.value.code
    text = capsys.readouterr().out
    assert [name for name in flatten(DEFAULT) if "--" + name.replace("_", "-") not in text] == []
