"""Curves of a training: JSON lines always, TensorBoard's files too when asked for (the extra `tensorboard`)."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import jax

from hyperforget_jax import records
from hyperforget_jax.errors import HyperForgetError


class Curve:
    """One curve on disk, a row per step; only process 0 of a cluster writes."""

    def __init__(self, folder: Path, name: str, tensorboard: bool) -> None:
        """Names the file.

        Args:
          folder: gets `{name}.jsonl`, and `tensorboard/` if asked for.
          name: of the curve.
          tensorboard: whether TensorBoard shall see it too; `check` first.
        """
        self._name, self._path = name, folder / f"{name}.jsonl"
        self._writes = jax.process_index() == 0
        self._board = None
        if tensorboard and self._writes:
            from tensorboardX import SummaryWriter  # an extra

            self._board = SummaryWriter(str(folder / "tensorboard"))

    def cut(self, step: int) -> None:
        """Forgets what was recorded after a step, as a training that goes on from it will record it again."""
        if self._writes:
            rows = records.read_rows(self._path) if self._path.exists() else []
            records.write_rows(self._path, [row for row in rows if row["step"] <= step])

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Records the values at a step."""
        if not self._writes:
            return
        records.append_row(self._path, {"step": step, **values})
        if self._board is not None:
            for key, value in values.items():
                self._board.add_scalar(f"{self._name}/{key}", value, step)
            self._board.flush()


def check(tensorboard: bool) -> None:
    """Refuses TensorBoard where its writer is missing, before any work.

    Raises:
      HyperForgetError: the extra is not installed.
    """
    if tensorboard and importlib.util.find_spec("tensorboardX") is None:
        raise HyperForgetError(
            "training.tensorboard needs tensorboardX: pip install 'hyperforget-jax[tensorboard]', or leave it out"
        )
