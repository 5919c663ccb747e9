"""The snippets of docs/certificates.md give the logits of the stored model, in JAX, PyTorch and ONNX Runtime."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import hyperforget_jax as hf
from hyperforget_jax import classifier
from hyperforget_jax.data import Dataset

pytestmark = pytest.mark.usefixtures("programs")
PAGE = (Path(__file__).parents[1] / "docs" / "certificates.md").read_text(encoding="utf-8")
SNIPPETS = {
    name: code
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for name in re.findall(r"^import (\w+)", code, re.M)
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return hf.load_dataset("digits", classes=range(4))


@pytest.mark.parametrize("library", ["hyperforget_jax", "torch", "onnxruntime"])
def test_a_snippet_gives_the_logits_of_the_model(
    library: str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library)
    params = classifier.init(jax.random.key(0), (64, 3, 4))
    hf.save_model(params, data, tmp_path / "models" / "without_2", forgotten=(2,), onnx=True)
    monkeypatch.chdir(tmp_path)
    names = {"images": data.test.images}
    exec(SNIPPETS[library], names)
    logits = names["logits"].detach() if library == "torch" else names["logits"]
    np.testing.assert_allclose(np.asarray(logits), classifier.logits(params, data.test.images), atol=1e-5, rtol=1e-5)
