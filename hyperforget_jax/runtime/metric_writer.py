"""Curves of a training: JSON lines always, TensorBoard's files too when asked for (the extra `tensorboard`)."""

import contextlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts


class MetricWriter(contextlib.AbstractContextManager["MetricWriter"]):
    """One curve on disk, a row per step; only process 0 of a cluster writes."""

    def __init__(self, folder: Path, name: str, tensorboard: bool) -> None:
        """Names the files; `truncate_after` first.

        Args:
          folder: gets `{name}.jsonl`, and `tensorboard/{name}/` if asked for.
          name: of the curve.
          tensorboard: whether TensorBoard shall see it too; `validate_tensorboard` first.
        """
        self._path, self._tensorboard = folder / f"{name}.jsonl", tensorboard
        self._writes = jax.process_index() == 0
        self._board: Any = None

    def __exit__(self, *_: object) -> None:
        if self._board is not None:
            self._board.close()

    def truncate_after(self, step: int) -> None:
        """Forgets what was recorded after a step, as a training that goes on from it will record it again."""
        if not self._writes:
            return
        rows = artifacts.read_rows(self._path) if self._path.exists() else []
        artifacts.write_rows(self._path, [row for row in rows if row["step"] <= step])
        if self._tensorboard:
            from tensorboardX import SummaryWriter  # an extra

            # it names a file by the second: the suffix tells restarts apart, the folder tells curves apart
            board_folder = self._path.parent / "tensorboard" / self._path.stem
            self._board = SummaryWriter(str(board_folder), purge_step=step + 1, filename_suffix=f".{step}")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Records the values at a step; one that is not finite becomes null, since JSON has no such number."""
        if not self._writes:
            return
        finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
        artifacts.append_row(self._path, {"step": step, **finite})
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(key, value, step)
            self._board.flush()


def validate_tensorboard(tensorboard: bool) -> None:
    """Refuses TensorBoard where its writer is missing, before any work.

    Raises:
      HyperForgetError: the extra is not installed.
    """
    if tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise HyperForgetError(
            "training.tensorboard needs tensorboardX: pip install 'hyperforget-jax[tensorboard]', or leave it out"
        )
