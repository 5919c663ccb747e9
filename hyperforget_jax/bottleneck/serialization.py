"""A bottleneck on disk: an artifact with its config and one safetensors file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from hyperforget_jax.bottleneck.keys import Codebooks
from hyperforget_jax.bottleneck.model import Bottleneck
from hyperforget_jax.config.bottleneck import BottleneckConfig
from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts

CONFIG, ARRAYS = "config.json", "bottleneck.safetensors"
FORMAT = 1


def save(bottleneck: Bottleneck, config: BottleneckConfig, folder: Path) -> None:
    """Writes the folder whole or not at all: `config.json`, and `bottleneck.safetensors` with projections, keys, values and masked.

    Deleted values are zero in it, so the file holds nothing of them.

    Raises:
      HyperForgetError: disk full, no permission, or another process is writing it.
    """
    made_from = {"format": FORMAT, **asdict(config)}
    arrays: dict[str, Any] = {
        **bottleneck.codebooks._asdict(),
        "values": bottleneck.values,
        "masked": np.asarray(bottleneck.masked),
    }
    with artifacts.new_artifact(folder, made_from) as partial:
        artifacts.write_text(partial / CONFIG, json.dumps(made_from, indent=2))
        artifacts.write_arrays(partial / ARRAYS, arrays)


def load(folder: Path) -> tuple[Bottleneck, BottleneckConfig]:
    """Reads what `save` wrote.

    Raises:
      HyperForgetError: a file is missing or damaged, or the folder is of another format.
    """
    artifacts.verify(folder)
    stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if (found := stored.pop("format")) != FORMAT:
        raise HyperForgetError(f"{folder} has format {found}, expected {FORMAT}: train the bottleneck again")
    arrays = artifacts.read_arrays(folder / ARRAYS)
    codebooks = Codebooks(jnp.asarray(arrays["projections"]), jnp.asarray(arrays["keys"]))
    bottleneck = Bottleneck(codebooks, jnp.asarray(arrays["values"]), jnp.asarray(arrays["masked"]))
    return bottleneck, BottleneckConfig(**stored)
