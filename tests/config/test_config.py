"""The config is a value: frozen, every leaf documented where it stands, flat names unique and ready for JSON."""

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from hyperforget_jax import config as config_module
from hyperforget_jax.config import Config, TaskConfig, ZooConfig, flatten, hypernetwork, unflatten, unlearning, zoo

MODULES = (config_module, hypernetwork, unlearning, zoo)


def leaves(config: Any) -> Iterator[tuple[str, str, Any]]:
    """(dataclass, field, value) of every setting, written apart from `flatten`."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value)
        else:
            yield type(config).__name__, item.name, value


def dataclasses_of_the_modules() -> list[type]:
    values = [(module, value) for module in MODULES for value in vars(module).values()]
    classes = [(module, value) for module, value in values if dataclasses.is_dataclass(value)]
    return [cls for module, cls in classes if isinstance(cls, type) and cls.__module__ == module.__name__]


def test_flat_names_are_one_per_leaf() -> None:
    names = list(flatten(Config()))
    assert len(names) == len(list(leaves(Config())))
    assert {name.rsplit(".", 1)[-1] for name in names} == {name for _, name, _ in leaves(Config())}


def test_flat_names_are_dotted_and_values_plain() -> None:
    flat = flatten(Config())
    assert flat["seed"] == 0
    assert flat["zoo.runs"] == Config().zoo.runs
    assert flat["task.forget_sets"] == [list(classes) for classes in Config().task.forget_sets]


def test_flat_values_survive_json_unchanged() -> None:
    flat = flatten(Config())
    assert json.loads(json.dumps(flat, allow_nan=False)) == flat


def test_every_change_of_a_setting_shows_in_the_flat_form() -> None:
    changed = dataclasses.replace(Config(), zoo=dataclasses.replace(Config().zoo, runs=7))
    before, after = flatten(Config()), flatten(changed)
    assert {name for name in before if before[name] != after[name]} == {"zoo.runs"}


def test_every_leaf_is_followed_by_its_docstring() -> None:
    trees = [ast.parse(inspect.getsource(module)) for module in MODULES]
    documented = {
        (definition.name, field.target.id)
        for tree in trees
        for definition in tree.body
        if isinstance(definition, ast.ClassDef)
        for field, after in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
    }
    assert {(owner, name) for owner, name, _ in leaves(Config())} - documented == set()


@pytest.mark.parametrize("cls", dataclasses_of_the_modules())
def test_a_config_is_frozen_and_has_every_default(cls: type) -> None:
    value = cls()
    first = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, first, getattr(value, first))
    assert hash(value) == hash(cls())
    assert value == cls()


def test_a_flat_config_comes_back_through_json() -> None:
    config = Config(seed=3, task=TaskConfig(pivots=(), forget_sets=((2,), (2, 3))), zoo=ZooConfig(dtype="bfloat16"))
    assert unflatten(json.loads(json.dumps(flatten(config)))) == config
