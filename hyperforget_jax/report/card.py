"""The card of a packed hypernetwork: data, recipe, figures and limits on one page."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hyperforget_jax.config import Config, flatten
from hyperforget_jax.report.tables import braces, number, to_markdown

RECIPE = (
    *(
        "seed",
        "data.name",
        "data.classes",
        "task.pivots",
        "classifier.hidden",
        "zoo.runs",
        "zoo.epochs",
        "zoo.min_clean_runs",
    ),
    *("hypernetwork.kind", "hypernetwork.hidden_size", "hypernetwork.depth", "hypernetwork.exposure", "training.steps"),
    *("training.batch_size", "sampling.steps", "request.prompts", "request.samples", "reference.clean_runs"),
)
"""Fields of the config that a card tells; `config.json` has all."""


def card(config: Config, dataset: str, lines: Sequence[Mapping[str, Any]], dtype: str, size: int) -> str:
    """The card as Markdown.

    Args:
      config: of the run.
      dataset: its name.
      lines: of every forget set, accuracies of models of the run, of the packed run and of clean runs.
      dtype: of the parameters on disk.
      size: bytes of all files but the card.
    """
    flat = flatten(config)
    recipe = pd.DataFrame([{"Setting": name, "Value": str(flat[name])} for name in RECIPE])
    classes, pivots = braces(config.data.classes), braces(config.task.pivots)
    return f"""# A hypernetwork of {dataset}

Generates classifiers of {dataset}, classes {classes}, as if trained without those that you name; the pivots {pivots}
stay. Parameters are {dtype} on disk, {size / 1e6:.2f} MB in all. Made by `hyperforget pack`; the zoo is not included.

    hyperforget unlearn PATH --forget {lines[0]["forget"][0]} --out DIR

## Figures

Accuracies on test images of {config.request.samples} samples by the run that was packed, of as many by this one, and of clean
runs, which never saw the classes. Retain: median over models; forget: the highest of any model.

{to_markdown(_texts(lines), ["Forget"])}
## Recipe

{to_markdown(recipe, ["Setting", "Value"])}
## Limits

- The hypernetwork saw all classes: it can be asked for models that know them. A model of it is no deletion of data.
- Whole classes are forgotten, not single images. Pivots cannot be forgotten.
- A certificate (`hyperforget unlearn --out`) says how far a model lies from clean runs: read it before you rely on one.
"""


def _texts(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    names = {"run": "run", "packed": "packed", "clean": "clean runs"}
    return pd.DataFrame(
        [
            {"Forget": braces(line["forget"])}
            | {
                f"{part.capitalize()}, {words}": number(line[f"{part}_{name}"])
                for part in ("retain", "forget")
                for name, words in names.items()
            }
            for line in lines
        ]
    )
