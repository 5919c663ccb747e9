"""JSON on disk that tells whether it is whole: a record holds a checksum of all its other values."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperforget_jax.errors import HyperForgetError

SEAL = "sha256"
"""The key of the checksum."""


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its checksum, JSON-ready."""
    return {**record, SEAL: _checksum(record)}


def read(path: Path, remedy: str, structure: Mapping[str, type] | None = None) -> dict[str, Any]:
    """A record, without its checksum; one that was written before there were checksums passes by its structure.

    Args:
      path: its file.
      remedy: what to do if it is damaged.
      structure: keys that it has at least, and the types of their values.

    Raises:
      FileNotFoundError: there is none.
      HyperForgetError: it is damaged; names the file and the remedy.
    """
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HyperForgetError(f"{path} is damaged: {remedy}") from error
    whole = isinstance(record, dict)
    whole = whole and all(isinstance(record.get(name), kind) for name, kind in (structure or {}).items())
    if not whole or (SEAL in record and record.pop(SEAL) != _checksum(record)):
        raise HyperForgetError(f"{path} is damaged: {remedy}")
    return dict(record)


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Whether a record has a checksum, and it is that of its other values."""
    return record.get(SEAL) == _checksum(record)


def _checksum(record: Mapping[str, Any]) -> str:
    text = json.dumps({name: value for name, value in record.items() if name != SEAL}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
