"""The prompts of a hypernetwork: for every forget set its candidates, what they scored, and the one that is used.

They are judged once, when training ends (`halving`), and a request only samples and selects. `prompt_book.safetensors` holds the pages;
the rule that chose is the `request` section of the config beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hyperforget_jax.runtime import artifacts

FILE = "prompt_book.safetensors"
Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


class Page(NamedTuple):
    """The candidate prompts of one forget set.

    Attributes:
      prompts: [C, c]; the first K columns are class losses in nats, further ones exposures and age.
      scores: [C], mean score of each one's models in the last round that it took part in.
      models: [C], how many these were.
      chosen: row of the prompt in use.
    """

    prompts: Floats
    scores: Floats
    models: Integers
    chosen: int


PromptBook = Mapping[str, Page]
"""Name of a forget set, such as forget-2-3, to its page."""


def save(book: PromptBook, folder: Path) -> None:
    """Writes `prompt_book.safetensors` into a folder."""
    arrays = {
        f"{name}/{field}": np.asarray(value) for name, page in book.items() for field, value in page._asdict().items()
    }
    artifacts.write_arrays(folder / FILE, arrays)


def load(folder: Path) -> dict[str, Page]:
    """Reads what `save` wrote."""
    arrays = artifacts.read_arrays(folder / FILE)
    book = dict[str, Page]()
    for name in sorted({name.split("/")[0] for name in arrays}):
        prompts, scores, models, chosen = (arrays[f"{name}/{field}"] for field in Page._fields)
        book[name] = Page(prompts, scores, models, int(chosen))
    return book
