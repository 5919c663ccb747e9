"""The explorer: what its script computes is what JAX computes, from the address alone; no text of data can end the script."""

import base64
import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli import explore
from hyperforget_jax.data.source import Preprocessing
from hyperforget_jax.report import explorer
from hyperforget_jax.report.explorer import Group, Shown

pytestmark = pytest.mark.usefixtures("programs")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
SIZES, SHAPE = (12, 5, 3), (3, 4)


def stacked(seed: int, count: int) -> Params:
    """Models with biases, of very different sizes of weights: float16 has normal and subnormal numbers among them."""
    made = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(seed), count))
    sizes = jnp.array([1.0, 1e-3, 30.0])[:, None]
    return tuple({"w": layer["w"] * sizes[:count, :, None], "b": layer["b"] + sizes[:count] / 7} for layer in made)


@pytest.fixture(scope="module")
def shown() -> Shown:
    """Two forget sets of three classes; inputs are shifted and scaled."""
    rng = np.random.default_rng(0)
    share = np.full(3, 1 / 3)
    groups = tuple(
        Group(
            forget,
            stacked(seed, 3),
            stacked(seed + 1, 2),
            share,
            share,
            np.array([np.nan, 1.0, 2.0]),
            share,
            share,
            share,
        )
        for seed, forget in ((1, (7,)), (5, (7, 9)))
    )
    preprocessing = Preprocessing(16, rng.uniform(size=12), rng.uniform(0.5, 2, size=12))
    names = ("</script><b>x", 'a"b', "plain")
    images, labels = rng.normal(size=(4, 12)).astype(np.float32), np.array([0, 1, 2, 2])
    about = ("<i>data</i>", (5, 7, 9), names, SHAPE, SIZES, preprocessing, (5,), ())
    return Shown(*about, images, labels, stacked(9, 1), share, groups)


def halved(models: Params) -> Params:
    """Weights as the page has them."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), models)


def opened(page: Path, address: str) -> dict[str, Any]:
    """Logits of every model that a browser computes at an address of the page."""
    assert BROWSER is not None
    command = [
        BROWSER,
        *OPTIONS,
        f"--user-data-dir={page.parent / 'profile'}",
        "--dump-dom",
        f"{page.as_uri()}{address}",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (found,) = re.findall(r'<output id="logits"[^>]*>(.*?)</output>', text)
    logits: dict[str, Any] = json.loads(html.unescape(found))
    return logits


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: install one to test pages in a browser")
@pytest.mark.parametrize(
    ("address", "group", "image"), [("", 0, 1), ("#forget=7,9&image=3", 1, 3), ("#forget=9&image=77", 0, 1)]
)
def test_a_browser_answers_as_jax_does(shown: Shown, address: str, group: int, image: int, tmp_path: Path) -> None:
    """An address that names no allowed set or no image is as none."""
    (tmp_path / "explorer.html").write_text(explorer.page(shown), encoding="utf-8")
    found, of_set = opened(tmp_path / "explorer.html", address), shown.groups[group]
    x = np.float32(np.float16(shown.images[image]))[None]
    for name, models in (("all", shown.original), ("ours", of_set.generated), ("theirs", of_set.retrained)):
        expected = np.asarray(classifier.logits_of_many(halved(models), x))[:, 0]
        np.testing.assert_allclose(found[name], expected, atol=1e-3, rtol=1e-3)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: install one to test pages in a browser")
def test_a_drawing_in_the_address_is_preprocessed(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "explorer.html").write_text(explorer.page(shown), encoding="utf-8")
    drawn = "z0000i00000z"
    found = opened(tmp_path / "explorer.html", f"#forget=7&draw={drawn}")
    pixels = np.array([int(each, 36) / 35 for each in drawn])
    x = np.float32((pixels - shown.preprocessing.shift) / shown.preprocessing.scale)[None]
    expected = np.asarray(classifier.logits_of_many(halved(shown.groups[0].generated), x))[:, 0]
    np.testing.assert_allclose(found["ours"], expected, atol=1e-3, rtol=1e-3)


def test_no_text_of_data_ends_the_script_or_becomes_markup(shown: Shown) -> None:
    page = explorer.page(shown)
    assert page.count("</script>") == 2
    assert "<i>data" not in page
    assert "<b>x" not in page


def test_everything_is_in_the_page(shown: Shown) -> None:
    page = explorer.page(shown)
    assert not re.search(r"""(src|href)=["']|@import|url\(|fetch\(|https?://""", page)
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert [group["forget"] for group in data["groups"]] == [[7], [7, 9]]
    stored = np.frombuffer(base64.b64decode(data["groups"][1]["generated"]["models"][2]), "<f2")
    model = jax.tree.map(lambda leaf: leaf[2], shown.groups[1].generated)
    assert stored.size == sum(leaf.size for leaf in jax.tree.leaves(model))
    np.testing.assert_array_equal(stored[:60].reshape(5, 12), np.float16(model[0]["w"]))
    assert data["groups"][0]["asked"] == [None, 1.0, 2.0]


def test_features_that_are_no_images_are_shown_without_pictures(shown: Shown) -> None:
    assert '"shape": [12]' in explorer.page(replace(shown, input_shape=(12,)))


def test_a_run_gets_its_page(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    capsys.readouterr()
    assert explore.main([str(run), "--samples", "2", "--images", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    page = (run / "explorer.html").read_text(encoding="utf-8")
    assert told["bytes"] == len(page.encode()) < 100_000
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert [group["forget"] for group in data["groups"]] == [[2], [3], [2, 3]]
    assert [len(data["groups"][0][kind]["models"]) for kind in ("generated", "retrained")] == [2, 2]
    assert len(data["labels"]) == 12
    assert data["original"]["accuracies"][2] > data["groups"][0]["retrained"]["accuracies"][2] == 0.0


def test_numbers_that_cannot_be_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore.main([str(finished), "--samples", "0"]) == 2
    assert "--samples is 0: choose a whole number of at least 1" in capsys.readouterr().err
    assert not (finished / "explorer.html").exists()
