"""Models in hand: retrained, compared, asked."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import pandas as pd
from jax.typing import ArrayLike

from hyperforget_jax import classifier
from hyperforget_jax.api.settings import changed, with_usual_epochs
from hyperforget_jax.classifier import Params
from hyperforget_jax.config import ClassifierConfig, Config, ReferenceConfig, validation
from hyperforget_jax.data import Dataset, Split
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.metrics import comparison
from hyperforget_jax.pipeline.run import on_device
from hyperforget_jax.runtime import prng
from hyperforget_jax.runtime.jax_settings import validate_jax
from hyperforget_jax.unlearn import reference, requests
from hyperforget_jax.unlearn.requests import UnlearningResult


def retrain(
    data: Dataset,
    forget: Iterable[int],
    *,
    hidden: Sequence[int] = (3,),
    num_models: int = 32,
    seed: int = 0,
    **optimisation: Any,
) -> Params:
    """Reference models: trained from scratch on the retained images only, all in one program.

    Args:
      data: images and labels.
      forget: labels of the classes to leave out; all outputs stay.
      hidden: width of each hidden layer.
      num_models: M.
      seed: of initialisations and minibatches.
      **optimisation: other fields of `ReferenceConfig`. Without `epochs`, training takes about 4,000 steps.

    Returns:
      M stacked models.

    Raises:
      HyperForgetError: an unknown class, an empty or complete forget set; a number that no setting can mean.

    >>> import hyperforget_jax as hf
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(2, 3), num_models=2, epochs=2)
    >>> models[0]["w"].shape
    (2, 3, 64)
    """
    validate_jax()
    labels = tuple(sorted(forget))
    requests.validate_request(labels, (), data.classes)
    settings = changed(
        ReferenceConfig(), with_usual_epochs(optimisation, ReferenceConfig(), data) | {"seeds": num_models}
    )
    config = Config(seed=seed, reference=settings, classifier=ClassifierConfig(tuple(hidden)))
    validation.validate_config(config)
    sizes = (data.input_size, *hidden, data.num_classes)
    key = prng.stream(seed, "reference")
    models = reference.retrain(key, on_device(data.train), [data.positions(labels)], sizes, settings)
    return jax.tree.map(lambda leaf: leaf[0], models)


def evaluate(result: UnlearningResult, reference: Params, split: Split, train: Split | None = None) -> pd.DataFrame:
    """Unlearned models beside reference models: accuracies, agreement and class losses as one frame (paper, section 4.1).

    Args:
      result: from `HyperForget.unlearn`.
      reference: M >= 2 stacked models from `retrain`, without the same classes.
      split: images and labels to measure on; those of `unlearn` would flatter the selected models.
      train: the training split, for membership inference; None: it is left out.

    Returns:
      One row for each metric, class, selection ("all" or "selected") and statistic, see `metrics.comparison.compare`.

    Raises:
      HyperForgetError: the models do not fit the images, or fewer than 2 reference models.

    >>> import numpy as np, hyperforget_jax as hf
    >>> from hyperforget_jax.unlearn.requests import UnlearningRequest
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(3,), num_models=4, epochs=2)
    >>> request = UnlearningRequest((3,), data.classes)
    >>> result = hf.UnlearningResult(request, np.zeros((1, 4)), np.ones(1), 0, models, np.array([0, 1]))
    >>> frame = hf.evaluate(result, models, data.test)
    >>> sorted(frame["selection"].dropna().unique())
    ['all', 'selected']
    """
    for models in (result.models, reference):
        _validate_inputs(models, split.images)
    request = result.request
    return comparison.compare(
        result.models, result.selected, reference, split, request.positions, train, classes=request.classes
    )


def predict(model: Params, images: ArrayLike) -> jax.Array:
    """Class scores of one model.

    Args:
      model: such as `UnlearningResult.best`.
      images: [n, …], preprocessed as those of `load_dataset`.

    Returns:
      [n, K] logits; softmax makes probabilities of them.

    Raises:
      HyperForgetError: the images have another size than the model takes.

    >>> import hyperforget_jax as hf, jax
    >>> data = hf.load_dataset("digits", classes=range(4))
    >>> models = hf.retrain(data, forget=(3,), num_models=2, epochs=1)
    >>> hf.predict(jax.tree.map(lambda leaf: leaf[0], models), data.test.images).shape[1]
    4
    """
    rows = jnp.asarray(images, jnp.float32)
    rows = rows.reshape(len(rows), -1)  # [n, d]
    _validate_inputs(model, rows)
    return classifier.logits(model, rows)


def _validate_inputs(models: Params, images: ArrayLike) -> None:
    takes, given = models[0]["w"].shape[-1], jnp.shape(images)[-1]
    if takes != given:
        raise HyperForgetError(f"an image has {given} numbers, the model takes {takes}: give both the same data")
