"""`hyperforget pack`: a run without its zoo answers as before; with half of the bits it answers nearly so, and its card says how nearly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import hyperforget_jax as hf
from hyperforget_jax.cli import pack, unlearn, verify
from hyperforget_jax.pipeline import shipped
from hyperforget_jax.pipeline.verify import validate_artifact

pytestmark = pytest.mark.usefixtures("programs")


def weights(run: Path, *arguments: str) -> np.ndarray:
    """The models of a request."""
    assert unlearn.main([str(run), *arguments]) == 0
    (answer,) = (run / "requests").glob("*")
    found = np.load(answer / "weights.npy", allow_pickle=False)
    shutil.rmtree(run / "requests")
    return found


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy without answers."""
    folder = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(folder / "requests")
    return folder


@pytest.fixture(scope="module")
def packed(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run packed in both types."""
    folder = tmp_path_factory.mktemp("packed")
    run = shutil.copytree(finished, folder / "run")
    for dtype in ("float16", "float32"):
        assert pack.main([str(run), "--out", str(folder / dtype), "--dtype", dtype]) == 0
    return {dtype: folder / dtype for dtype in ("float16", "float32")}


@pytest.mark.parametrize("arguments", ["--forget 2", "--forget 3 --prompts drawn --seed 5"])
def test_all_bits_give_the_same_models(arguments: str, run: Path, packed: dict[str, Path], tmp_path: Path) -> None:
    small = shutil.copytree(packed["float32"], tmp_path / "small")
    np.testing.assert_array_equal(weights(small, *arguments.split()), weights(run, *arguments.split()))


def test_half_of_the_bits_are_close_and_fewer(run: Path, packed: dict[str, Path], tmp_path: Path) -> None:
    small = shutil.copytree(packed["float16"], tmp_path / "small")
    ours, theirs = weights(small, "--forget", "2"), weights(run, "--forget", "2")
    assert 0 < np.abs(ours - theirs).max() < 0.1 * np.abs(theirs).max()
    sizes = [(packed[dtype] / "hypernetwork" / "model.safetensors").stat().st_size for dtype in packed]
    assert sizes[0] < 0.6 * sizes[1]


def test_the_card_has_every_forget_set_and_nothing_of_the_zoo_is_there(packed: dict[str, Path]) -> None:
    folder = packed["float16"]
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "hypernetwork", "clean_reference"}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"| {each}" in card for each in ("{2}", "{3}", "{2, 3}"))


def test_a_packed_run_exports_models_that_pass(packed: dict[str, Path], tmp_path: Path) -> None:
    small = shutil.copytree(packed["float16"], tmp_path / "small")
    assert unlearn.main([str(small), "--forget", "2", "--out", str(tmp_path / "model")]) == 0
    assert verify.main([str(tmp_path / "model")]) == 0


def test_the_figures_are_those_of_the_models(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert pack.main([str(run), "--out", str(tmp_path / "small"), "--dtype", "float32", "--json"]) == 0
    for line in json.loads(capsys.readouterr().out)["figures"]:
        assert line["retain_run"] == line["retain_packed"]
        assert line["forget_clean"] == 0.0


def test_a_name_of_the_package_means_a_copy(
    packed: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shipped, "_folder", lambda: packed["float16"].parent)
    monkeypatch.chdir(tmp_path)
    assert shipped.names() == ["float16", "float32", "run"]
    assert unlearn.main(["float16", "--forget", "2"]) == 0
    assert "the hypernetwork that the package brings, copied to runs/float16" in capsys.readouterr().out
    (tmp_path / "runs" / "float16" / "note").write_text("mine")
    assert unlearn.main(["float16", "--forget", "3"]) == 0
    assert (tmp_path / "runs" / "float16" / "note").read_text() == "mine"
    assert hf.HyperForget.from_pretrained("float16", progress=False).config.task.pivots == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--out {run}", "holds something already"),
        ("--out {run}/new --dtype int4", "dtype"),
        ("", "Missing from the arguments: --out"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    run: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack.main([str(run), *arguments.format(run=run).split()]) == 2
    assert message in capsys.readouterr().err


def test_what_the_package_brings_is_whole_and_small() -> None:
    """`nox -s wheel` asks it for a model."""
    assert shipped.names() == ["digits4"]
    folder = shipped.folder_of(Path("digits4"))
    parts = [path.parent for path in folder.rglob("manifest.json")]
    assert len(parts) == 4  # the hypernetwork, and clean runs of {2}, {3}, {2, 3}
    for part in parts:
        validate_artifact(part)
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 2e6
