"""The explorer: what its script computes is what JAX computes, from the address alone; no text of data can end the script."""

import base64
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hyperforget_jax import classifier
from hyperforget_jax.classifier import Params
from hyperforget_jax.cli import explore
from hyperforget_jax.report import explorer
from hyperforget_jax.report.explorer import Shown
from tests.browser import needs_browser, output_of
from tests.small_pages import small_explorer

pytestmark = pytest.mark.usefixtures("programs")


@pytest.fixture(scope="module")
def shown() -> Shown:
    return small_explorer()


def halved(models: Params) -> Params:
    """Weights as the page has them."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), models)


@needs_browser
@pytest.mark.parametrize(
    ("address", "group", "image"), [("", 0, 1), ("#forget=7,9&image=3", 1, 3), ("#forget=9&image=77", 0, 1)]
)
def test_a_browser_answers_as_jax_does(shown: Shown, address: str, group: int, image: int, tmp_path: Path) -> None:
    """An address that names no allowed set or no image is as none."""
    (tmp_path / "explorer.html").write_text(explorer.page(shown), encoding="utf-8")
    found, of_set = output_of(tmp_path / "explorer.html", "logits", address), shown.groups[group]
    x = np.float32(np.float16(shown.images[image]))[None]
    for name, models in (("all", shown.original), ("ours", of_set.generated), ("theirs", of_set.retrained)):
        expected = np.asarray(classifier.logits_of_many(halved(models), x))[:, 0]
        np.testing.assert_allclose(found[name], expected, atol=1e-3, rtol=1e-3)


@needs_browser
def test_a_drawing_in_the_address_is_preprocessed(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "explorer.html").write_text(explorer.page(shown), encoding="utf-8")
    drawn = "z0000i00000z"
    found = output_of(tmp_path / "explorer.html", "logits", f"#forget=7&draw={drawn}")
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
