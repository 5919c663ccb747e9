"""Rows of several arrays as if they were one, read when they are asked for."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np


class Rows:
    """The rows of a zoo's shards, in memory or memory-mapped, as one array [n, P] that can be larger than memory.

    `rows[chosen]` chooses among the rows without reading them; `rows.read(places)` reads some, `np.asarray(rows)` all.
    """

    def __init__(self, shards: Sequence[np.ndarray[Any, Any]], chosen: np.ndarray[Any, Any] | None = None) -> None:
        """Puts shards one after the other.

        Args:
          shards: arrays [n_i, P].
          chosen: row numbers over all shards, in the wanted order; None: all rows as they are.
        """
        self._shards = list(shards)
        self._starts = np.cumsum([0] + [len(shard) for shard in shards])  # [number of shards + 1]
        self._chosen = np.arange(self._starts[-1]) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, P)."""
        return len(self), self._shards[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows as float32."""
        return len(self) * self.shape[1] * 4

    def __getitem__(self, chosen: np.ndarray[Any, Any]) -> "Rows":
        return Rows(self._shards, self._chosen[chosen])

    def read(self, rows: np.ndarray[Any, Any] | slice) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Some rows [.., P] as float32, in the order asked for."""
        numbers = self._chosen[rows]
        values = np.empty((len(numbers), self.shape[1]), np.float32)
        shard_of = np.searchsorted(self._starts, numbers, side="right") - 1
        for shard in np.unique(shard_of):
            here = shard_of == shard
            values[here] = self._shards[shard][numbers[here] - self._starts[shard]]
            release(self._shards[shard])
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """All rows, read into memory."""
        return self.read(slice(None)).astype(dtype or np.float32, copy=False)


def release(shard: np.ndarray[Any, Any]) -> None:
    """Lets go of the pages of a memory-mapped array that were read; the system keeps them in its cache, the process no longer has them.

    Otherwise every page that was ever touched counts as the process's memory, and around each the system maps megabytes more.
    """
    mapped = getattr(shard, "_mmap", None)  # numpy has no public name for it
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
