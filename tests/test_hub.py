"""A hypernetwork goes to the Hugging Face Hub and comes back, here to a folder that stands for it; every failure is one line."""

import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import jax
import numpy as np
import pytest

import hyperforget_jax as hf
from hyperforget_jax.api import hub
from hyperforget_jax.errors import HyperForgetError

pytestmark = pytest.mark.usefixtures("programs")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the hub, as the library's three calls see it."""
    folder = tmp_path / "hub"

    class Api:
        def create_repo(self, name: str, exist_ok: bool) -> None:
            assert exist_ok
            if name.startswith("others/"):
                raise PermissionError("403 Forbidden\nRequest ID: 1")
            (folder / name).mkdir(parents=True, exist_ok=True)

        def upload_folder(self, repo_id: str, folder_path: Path) -> str:
            shutil.copytree(folder_path, folder / repo_id, dirs_exist_ok=True)
            return f"https://hub/{repo_id}"

    def snapshot_download(name: str) -> str:
        if not (folder / name).exists():
            raise FileNotFoundError("404 Client Error\nRepository Not Found")
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    return folder


def parameters(model: hf.HyperForget) -> list[Any]:
    assert model.pretrained is not None
    return jax.tree.leaves(model.pretrained.hypernetwork.params)


def test_it_comes_back_as_it_went(place: Path) -> None:
    model = hf.HyperForget.from_pretrained("digits4", progress=False)
    assert model.push_to_hub("me/digits") == "https://hub/me/digits"
    again = hf.HyperForget.from_pretrained("me/digits", progress=False)
    for one, other in zip(parameters(model), parameters(again), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.config == model.config


def test_a_folder_of_that_name_wins(place: Path, tmp_path: Path) -> None:
    model = hf.HyperForget.from_pretrained("digits4", progress=False)
    (tmp_path / "me").mkdir()
    model.save_pretrained(tmp_path / "me" / "digits")
    assert hf.HyperForget.from_pretrained("me/digits", progress=False).config == model.config
    assert not place.exists()


def test_failures_are_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hf.HyperForget.from_pretrained("digits4", progress=False)
    failures = {
        "others/x cannot be written (403 Forbidden): log in with `hf auth login`": lambda: model.push_to_hub(
            "others/x"
        ),
        "repo_id is 'x': give USER/NAME": lambda: model.push_to_hub("x"),
        "me/none cannot be downloaded (404 Client Error): name a folder": lambda: hf.HyperForget.from_pretrained(
            "me/none"
        ),
        "x holds no trained hypernetwork": lambda: hf.HyperForget.from_pretrained("x"),
    }
    for message, call in failures.items():
        with pytest.raises(HyperForgetError) as refusal:
            call()
        assert message in str(refusal.value)
        assert "\n" not in str(refusal.value)
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(HyperForgetError, match=r"the hub needs pip install 'hyperforget-jax\[hub\]'"):
        hf.HyperForget.from_pretrained("me/none")
