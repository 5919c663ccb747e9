"""Settings of JAX that would change numbers without a word are refused, or identify a run; keys do not follow JAX's default."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import hyperforget_jax as hf
from hyperforget_jax.cli.job import run_job
from hyperforget_jax.config import Config
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline import workdir
from hyperforget_jax.runtime import jax_settings, prng

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "jax_enable_x64": True,
    "jax_disable_jit": True,
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_threefry_partitionable": False,
    "jax_random_seed_offset": 1,
}


@pytest.fixture
def setting(request: pytest.FixtureRequest) -> Iterator[str]:
    """A setting that has another value than JAX's own; (name, value)."""
    name, value = request.param
    before = jax.config.values[name]
    jax.config.update(name, value)
    yield name
    jax.config.update(name, before)


def test_every_setting_that_is_refused_is_tried() -> None:
    assert SETTINGS.keys() == jax_settings.REFUSED.keys()
    jax_settings.validate_jax()
    assert jax_settings.deciding_settings() == {}


@pytest.mark.parametrize("setting", SETTINGS.items(), ids=SETTINGS, indirect=True)
def test_a_setting_that_changes_numbers_is_refused_in_one_line_before_any_work(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(_: Any) -> None:
        pytest.fail("work has begun")

    assert run_job("hyperforget run", Config(workdir=str(tmp_path / "run")), job, []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {setting.upper()} is {SETTINGS[setting]}, with which ")
    assert ": unset it, or set it to " in line
    assert not (tmp_path / "run").exists()
    with pytest.raises(HyperForgetError, match=setting.upper()):
        hf.retrain(hf.load_dataset("digits", classes=range(4)), forget=(2,), num_models=2)


@pytest.mark.parametrize("setting", [("jax_default_prng_impl", "rbg")], indirect=True)
def test_the_numbers_of_a_stream_do_not_follow_jaxs_default_implementation(setting: str) -> None:
    """They are those of threefry, as in every run so far; a key without an implementation has others."""
    first = [0xB7A195B2, 0x2DB49573]  # of fold_in(key(7), crc32("zoo"))
    assert np.asarray(jax.random.key_data(prng.stream(7, "zoo"))).tolist() == first
    assert jax.random.key_data(jax.random.fold_in(jax.random.key(7), 0)).shape == (4,)
    jax_settings.validate_jax()


@pytest.mark.parametrize("setting", [("jax_default_matmul_precision", "highest")], indirect=True)
def test_the_precision_of_products_identifies_a_run(setting: str, tmp_path: Path) -> None:
    config = Config(workdir=str(tmp_path))
    assert workdir.zoo_identity(config)[setting] == workdir.identity(config)[setting] == "highest"
    workdir.acquire_workdir(config)
    workdir.acquire_workdir(config)
    with jax.default_matmul_precision("bfloat16"), pytest.raises(HyperForgetError) as refusal:
        workdir.acquire_workdir(replace(config, overwrite=False))
    assert "jax_default_matmul_precision: highest there, bfloat16 here" in str(refusal.value)


def test_without_a_chosen_precision_a_run_is_identified_as_it_always_was() -> None:
    assert not {*workdir.identity(Config())} & {*jax_settings.DECIDING}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("JAX_PLATFORMS", "cuda", ["JAX_PLATFORMS is cuda", "no such device", "set it to cpu"]),
        ("JAX_PLATFORMS", "nosuch", ["JAX_PLATFORMS is nosuch", "no such device", "set it to cpu"]),
        ("JAX_ENABLE_X64", "banana", ["JAX cannot be imported", "banana", "JAX_ENABLE_X64"]),
    ],
)
def test_a_variable_that_jax_cannot_follow_is_refused_in_one_line(
    variable: str, value: str, words: list[str], tmp_path: Path
) -> None:
    line = [
        sys.executable,
        "-m",
        "hyperforget_jax",
        "zoo",
        "--config",
        "smoke_dihyfo2",
        "--workdir",
        str(tmp_path / "run"),
    ]
    answer = subprocess.run(
        line, cwd=ROOT, env=os.environ | {variable: value}, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 2
    (told,) = [each for each in answer.stderr.splitlines() if not each.startswith("WARNING")]
    assert told.startswith("error: ")
    assert [word for word in words if word not in told] == []
    assert not (tmp_path / "run").exists()
