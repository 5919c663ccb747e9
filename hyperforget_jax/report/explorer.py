"""The explorer: one self-contained page that runs classifiers in the browser, from disk, on a computer or a phone."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from markupsafe import Markup

from hyperforget_jax.classifier import Params
from hyperforget_jax.data.source import Preprocessing
from hyperforget_jax.report import templates

TEMPLATE = "explorer.html.j2"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Group:
    """Models of one forget set.

    Attributes:
      forget: labels.
      generated: S stacked models.
      retrained: M stacked models.
      generated_accuracies: [K], of every class of test, the mean over models.
      retrained_accuracies: [K].
      asked: [K], class losses that were asked for, nats, the mean over models; NaN: left open.
      reached: [K], class losses of the generated models on test.
      generated_answers: [K], share of each class among the answers to forgotten test images.
      retrained_answers: [K].
    """

    forget: tuple[int, ...]
    generated: Params
    retrained: Params
    generated_accuracies: Array
    retrained_accuracies: Array
    asked: Array
    reached: Array
    generated_answers: Array
    retrained_answers: Array


@dataclass(frozen=True)
class Shown:
    """All that a page shows.

    Attributes:
      dataset: its name.
      classes: labels, in the order of the outputs.
      class_names: of these; None: they have none.
      input_shape: of one image; two numbers can be drawn and shown, others not.
      sizes: width of every layer.
      preprocessing: from a stored image to an input.
      pivots: labels that are never forgotten.
      always: labels that are always forgotten.
      images: [n, d], inputs.
      labels: [n], output positions.
      original: one stacked model that was trained on everything.
      original_accuracies: [K].
      groups: one for every forget set.
    """

    dataset: str
    classes: tuple[int, ...]
    class_names: tuple[str, ...] | None
    input_shape: tuple[int, ...]
    sizes: tuple[int, ...]
    preprocessing: Preprocessing
    pivots: tuple[int, ...]
    always: tuple[int, ...]
    images: Array
    labels: Array
    original: Params
    original_accuracies: Array
    groups: tuple[Group, ...]


def page(shown: Shown) -> str:
    """The page; the same content always gives the same text."""
    data = json.dumps(content(shown), allow_nan=False).replace("<", "\\u003c")  # no text can end the script
    return templates.template(TEMPLATE).render(dataset=shown.dataset, data=Markup(data))


def content(shown: Shown) -> dict[str, Any]:
    """What the page's script reads; weights and images are float16, little-endian, in base64."""
    names = shown.class_names or tuple(map(str, shown.classes))
    _, shift, scale = shown.preprocessing
    return {
        "dataset": shown.dataset,
        "classes": list(shown.classes),
        "names": list(names),
        "shape": list(shown.input_shape),
        "sizes": list(shown.sizes),
        "shift": None if shift is None else rounded(shift),
        "scale": None if scale is None else rounded(scale),
        "fixed": sorted({*shown.pivots}),
        "always": sorted({*shown.always}),
        "images": half(shown.images),
        "labels": shown.labels.tolist(),
        "original": {"models": models(shown.original), "accuracies": rounded(shown.original_accuracies)},
        "groups": [
            {
                "forget": list(group.forget),
                "generated": {
                    "models": models(group.generated),
                    "accuracies": rounded(group.generated_accuracies),
                    "answers": rounded(group.generated_answers),
                },
                "retrained": {
                    "models": models(group.retrained),
                    "accuracies": rounded(group.retrained_accuracies),
                    "answers": rounded(group.retrained_answers),
                },
                "asked": rounded(group.asked),
                "reached": rounded(group.reached),
            }
            for group in shown.groups
        ],
    }


def models(stacked: Params) -> list[str]:
    """Every model as one string: of each layer its weights [out, in] by rows, then its bias."""
    count = len(stacked[-1]["b"])
    each = [jax.tree.map(lambda leaf, row=row: np.asarray(leaf[row]), stacked) for row in range(count)]
    return [half(np.concatenate([layer[name].ravel() for layer in one for name in ("w", "b")])) for one in each]


def half(array: Array) -> str:
    """Numbers as float16 in base64."""
    return base64.b64encode(np.ascontiguousarray(array, "<f2").tobytes()).decode("ascii")


def rounded(values: Sequence[float] | Array) -> list[float | None]:
    """Numbers to five digits; null for NaN."""
    return [None if np.isnan(value) else float(f"{value:.5g}") for value in np.asarray(values, np.float64)]
