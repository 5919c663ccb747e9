"""Small files of every format that the software reads, for `tests.fuzzing`."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from configs import smoke_dihyfo2
from hyperforget_jax import classifier
from hyperforget_jax.data import arrays, idx, load_dataset
from hyperforget_jax.pipeline import ledger, pretrained, shipped, unlearning, workdir
from hyperforget_jax.pipeline.certificate import CERTIFICATE, EXPORT, PAGE
from hyperforget_jax.pipeline.verify import read_certificate
from hyperforget_jax.runtime import artifacts, records
from hyperforget_jax.unlearn import model_file, state_dict
from hyperforget_jax.unlearn.requests import UnlearningRequest, UnlearningResult
from hyperforget_jax.zoo import storage
from tests.fuzzing import Format
from tests.small_zoo import MADE_FROM

SIZES = (64, 3, 4)


def formats(folder: Path) -> Iterator[Format]:
    """Every format, its files below a folder."""
    makers: dict[str, Callable[[Path], tuple[tuple[str, ...], Callable[[Path], Any], bool]]] = {
        "idx": _idx,
        "arrays-npz": _arrays_npz,
        "arrays-safetensors": _arrays_safetensors,
        "state-dict": _state_dict,
        "exported-model": _exported_model,
        "certificate": _certificate,
        "ledger": _ledger,
        "run-record": _run_record,
        "rows": _rows,
        "zoo-block": _zoo_block,
        "answer": _answer,
        "hypernetwork": _hypernetwork,
    }
    for name, make in makers.items():
        (folder / name).mkdir(parents=True)
        yield Format(name, folder / name, *make(folder / name))


Made = tuple[tuple[str, ...], Callable[[Path], Any], bool]


def _arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 255, (12, 4, 3), np.uint8),
        "y_train": np.tile([3, 7], 6),
        "x_test": rng.integers(0, 255, (6, 4, 3), np.uint8),
        "y_test": np.tile([3, 7], 3),
    }


def _idx(folder: Path) -> Made:
    content = bytes((0, 0, 8, 3)) + np.array([4, 5, 6], ">u4").tobytes() + np.random.default_rng(0).bytes(120)
    (folder / "images").write_bytes(content)
    (folder / "images.gz").write_bytes(gzip.compress(content))
    official = hashlib.sha256(content).hexdigest()
    return (
        ("images", "images.gz"),
        lambda at: [idx.read_array(at / name, 3, official) for name in ("images", "images.gz")],
        True,
    )


def _arrays_npz(folder: Path) -> Made:
    np.savez(folder / "mine.npz", **_arrays(), class_names=np.array(["a", "b"]))  # type: ignore[arg-type]
    return ("mine.npz",), lambda at: _split(arrays.read(at / "mine.npz")), False


def _arrays_safetensors(folder: Path) -> Made:
    safetensors.numpy.save_file(_arrays(), folder / "mine.safetensors", {"class_names": json.dumps(["a", "b"])})
    return ("mine.safetensors",), lambda at: _split(arrays.read(at / "mine.safetensors")), False


def _split(source: Any) -> Any:
    return [*source.train, *source.test, source.white]


def _state_dict(folder: Path) -> Made:
    artifacts.write_arrays(folder / "model.safetensors", model_file.arrays_of(_model()))
    return ("model.safetensors",), lambda at: state_dict.read(at / "model.safetensors", SIZES), False


def _model() -> classifier.Params:
    return classifier.init(jax.random.key(0), SIZES)


def _exported_model(folder: Path) -> Made:
    _export(folder, {})
    return ("model.safetensors", "model.json", "manifest.json"), _read_model, True


def _read_model(folder: Path) -> Any:
    artifacts.verify(folder)
    params, about = model_file.read(folder)
    return params, repr(about)


def _certificate(folder: Path) -> Made:
    certificate = {"format": 1, "request": {"forget": [2], "forgotten": [2]}, "run": {"folder": "runs/x", "files": {}}}
    _export(folder, {CERTIFICATE: json.dumps(records.sealed(certificate), indent=2), PAGE: "<p>x</p>"})
    return (CERTIFICATE, PAGE, "manifest.json", "model.json"), read_certificate, True


def _export(folder: Path, texts: dict[str, str]) -> None:
    about = model_file.description(load_dataset("digits", classes=range(4)), SIZES, (2,))
    with artifacts.new_artifact(folder, {"kind": EXPORT, "format": 1}) as partial:
        model_file.write(partial, _model(), about)
        for name, text in texts.items():
            (partial / name).write_text(text)


def _ledger(folder: Path) -> Made:
    for label in (2, 3):
        ledger.enter(folder, "answer", {"forget": [label], "certificate": "c" * 64})
    return (ledger.LEDGER,), ledger.entries, False  # a last line that is cut off was never finished


def _run_record(folder: Path) -> Made:
    workdir.record(folder, smoke_dihyfo2.get_config())

    def read(at: Path) -> Any:
        return repr(workdir.read_config(at)).replace(str(at), "")

    return (workdir.CONFIG,), read, True


def _rows(folder: Path) -> Made:
    artifacts.write_rows(folder / "rows.jsonl", [{"stage": "zoo", "seconds": 1.5}, {"stage": "x", "seconds": 2.5}])
    return ("rows.jsonl",), lambda at: repr(artifacts.read_rows(at / "rows.jsonl")), False


def _zoo_block(folder: Path) -> Made:
    rng = np.random.default_rng(0)
    floats = {name: rng.random((3, 4)).astype(np.float32) for name in ("losses", "accuracies", "exposures")}
    block = storage.Block(
        weights=rng.random((3, 20)).astype(np.float32),
        **floats,
        progress=np.ones(3, np.float32),
        learning_rate=np.ones(3, np.float32),
        run=np.arange(3, dtype=np.int32),
        tally=np.zeros((3, 4), np.int64),
    )
    storage.write_block(folder, 0, block, MADE_FROM)
    names = sorted(path.name for path in (folder / "block-00000").iterdir())

    def read(at: Path) -> Any:
        found = storage.read_block(at, 0, MADE_FROM)
        return [np.array(getattr(found, name)) for name in vars(block)]

    return tuple(f"block-00000/{name}" for name in names), read, True


def _answer(folder: Path) -> Made:
    models = jax.vmap(lambda key: classifier.init(key, SIZES))(jax.random.split(jax.random.key(1), 3))
    prompts = np.ones((2, 4), np.float32)
    request = UnlearningRequest((2,), (0, 1, 2, 3))
    result = UnlearningResult(request, prompts, np.ones(2, np.float32), 1, models, np.array([2, 0]))
    with artifacts.new_artifact(folder, {"seed": 0}) as partial:
        unlearning.write(partial, result)

    def read(at: Path) -> Any:
        artifacts.verify(at)
        return vars(unlearning.read(at, SIZES))

    return ("answer.npz", "weights.npy", "manifest.json"), read, True


def _hypernetwork(folder: Path) -> Made:
    folder.rmdir()
    shutil.copytree(shipped.folder_of(Path("digits4")) / "hypernetwork", folder)

    def read(at: Path) -> Any:
        model = pretrained.load(at)
        return model.hypernetwork.params, model.statistics, dict(model.book), repr(model.config), repr(model.data)

    return tuple(sorted(path.name for path in folder.iterdir())), read, True
