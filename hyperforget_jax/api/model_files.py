"""One model in files that other software reads."""

import os
from collections.abc import Iterable

from hyperforget_jax.classifier import Params
from hyperforget_jax.data import Dataset
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.certificate import validate_place
from hyperforget_jax.runtime import artifacts
from hyperforget_jax.runtime.paths import expand
from hyperforget_jax.unlearn import model_file
from hyperforget_jax.unlearn.model_file import StoredModel


def save_model(
    model: Params, data: Dataset, path: str | os.PathLike[str], forgotten: Iterable[int] = (), onnx: bool = False
) -> None:
    """Writes one model: model.safetensors, model.json and a manifest with checksums, without a certificate.

    Args:
      model: such as `UnlearningResult.best`.
      data: what its inputs and outputs are.
      path: a new folder.
      forgotten: labels of the classes that the model was made to forget.
      onnx: whether model.onnx is written too; it needs the package onnx.

    Raises:
      HyperForgetError: a model of other inputs or outputs, or stacked models; an unknown class; the folder holds something.

    >>> import tempfile, jax, numpy as np, hyperforget_jax as hf
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(2,), num_models=2, epochs=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hf.save_model(jax.tree.map(lambda leaf: leaf[0], models), data, f"{folder}/model", forgotten=(2,))
    ...     model = hf.load_model(f"{folder}/model")
    >>> model.about.sizes, model.about.forgotten
    ((64, 3, 4), (2,))
    """
    shapes = [layer["w"].shape for layer in model]
    sizes = (data.input_size, *(shape[0] for shape in shapes))
    if any(len(shape) != 2 for shape in shapes) or shapes[0][1] != data.input_size or sizes[-1] != data.num_classes:
        raise HyperForgetError(
            f"the model has layers {shapes}, expected one model from {data.input_size} inputs to {data.num_classes} classes: "
            "name one of several stacked models, such as result.best"
        )
    labels = tuple(sorted(forgotten))
    data.positions(labels)
    if onnx:
        model_file.validate_onnx()
    folder, about = expand(path, "path").resolve(), model_file.description(data, sizes, labels)
    validate_place(folder)
    with artifacts.new_artifact(folder, {"kind": "model", "format": model_file.FORMAT}) as partial_folder:
        model_file.write(partial_folder, model, about, onnx)


def load_model(path: str | os.PathLike[str]) -> StoredModel:
    """A model from the folder that `hyperforget unlearn --out` or `save_model` wrote, after every file was held against its checksum.

    Args:
      path: the folder.

    Returns:
      `params`, which `predict` takes, and `about`: sizes, classes, what was forgotten, preprocessing.

    Raises:
      HyperForgetError: no model there, or a file is missing or damaged; names it.

    >>> import hyperforget_jax as hf
    >>> hf.load_model("no/such/folder")
    Traceback (most recent call last):
    hyperforget_jax.errors.HyperForgetError: no/such/folder holds no exported model: name the folder of one
    """
    folder = expand(path, "path")
    if not artifacts.is_complete(folder):
        raise HyperForgetError(f"{folder} holds no exported model: name the folder of one")
    artifacts.verify(folder)
    return model_file.read(folder)
