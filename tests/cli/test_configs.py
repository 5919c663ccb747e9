"""Configs are found by name or by path, wherever they stand, and a file that is none is refused in one line."""

import importlib
import sys
from pathlib import Path

import pytest

from hyperforget_jax.cli import configs
from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError


def test_a_name_gives_the_config_of_the_folder() -> None:
    ours = configs.load_config("smoke_dihyfo1")
    assert ours == importlib.import_module("configs.smoke_dihyfo1").get_config()
    assert ours.hypernetwork.kind == "dihyfo1"


def test_names_are_the_files_without_the_packages_own() -> None:
    names = configs.config_names()
    assert {"smoke_dihyfo1", "smoke_dihyfo2", "mnist4_zoo"} <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]


def test_a_copied_config_still_finds_those_it_is_based_on(tmp_path: Path) -> None:
    path = tmp_path / "my.own config.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from . import smoke_dihyfo2\n"
        "from .smoke_dihyfo1 import get_config as other\n"
        "def get_config():\n"
        "    assert other().hypernetwork.kind == 'dihyfo1'\n"
        "    return replace(smoke_dihyfo2.get_config(), seed=5)\n"
    )
    config = configs.load_config(str(path))
    assert config.seed == 5
    assert config.zoo == configs.load_config("smoke_dihyfo2").zoo


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    for seed in (3, 14):
        path.write_text(
            f"from hyperforget_jax.config import Config\ndef get_config():\n    return Config(seed={seed})\n"
        )
        assert configs.load_config(str(path)) == Config(seed=seed)


def test_the_installed_package_brings_its_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those inside the package come before those beside it: site-packages/configs would be somebody else's."""
    monkeypatch.setattr(configs.hyperforget_jax, "__file__", str(tmp_path / "package" / "__init__.py"))
    for folder in ("configs", "package/configs"):
        (tmp_path / folder).mkdir(parents=True)
        assert configs.configs_folder() == tmp_path / folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, ["--config is None", "choose ", "smoke_dihyfo2", "mnist4_zoo"]),
        ("", ["--config is : ", "choose ", "smoke_dihyfo2"]),
        ("smoke_dihyfo3", ["--config is smoke_dihyfo3", "did you mean smoke_dihyfo2, smoke_dihyfo1"]),
        ("qqq", ["--config is qqq", "choose ", "smoke_dihyfo2", ".py"]),
        ("__init__", ["--config is __init__"]),
        ("no/such/file.py", ["--config is no/such/file.py", "path of a file"]),
        ("configs/smoke_dihyfo2", ["did you mean smoke_dihyfo2"]),
    ],
)
def test_what_is_no_config_is_refused_with_the_nearest_names(name: str | None, words: list[str]) -> None:
    with pytest.raises(HyperForgetError) as refusal:
        configs.load_config(name)
    assert [word for word in words if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["AttributeError", "get_config"]),
        ("get_config = 3", ["TypeError", "not callable"]),
        ("def get_config():\n    return 3", ["returns int", "expected hyperforget_jax.config.Config"]),
        ("def get_config(size):\n    return 3", ["TypeError", "get_config without arguments"]),
        ("def get_config(:", ["SyntaxError"]),
        ("import no_such_module_anywhere", ["ModuleNotFoundError", "no_such_module_anywhere"]),
        ("from . import no_such_config", ["ImportError", "no_such_config"]),
        ("def get_config():\n    raise ValueError('first\\nsecond')", ["ValueError (first second)"]),
    ],
)
def test_a_file_that_gives_no_config_is_refused_in_one_line(text: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(HyperForgetError) as refusal:
        configs.load_config(str(path))
    assert [word for word in [*words, str(path)] if word not in str(refusal.value)] == []
    assert "\n" not in str(refusal.value)


def test_a_config_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0")
    with pytest.raises(HyperForgetError, match="ZeroDivisionError"):
        configs.load_config(str(path))
    assert not [name for name in sys.modules if name.endswith("broken")]
