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

    def truncate_after(self, step: int, every: int) -> None:
        """Forgets what was recorded after a step, as a training that goes on from it will record it again.

        Args:
          step: of the state that the training goes on from.
          every: steps between two records.

        Raises:
          HyperForgetError: the curve is damaged, or lacks records before that step; one that is gone starts anew.
        """
        if not self._writes:
            return
        if self._path.exists():
            artifacts.write_rows(self._path, self._rows_until(step, every))
        elif step == 0:
            artifacts.write_rows(self._path, [])
        if self._tensorboard:
            from tensorboardX import SummaryWriter  # an extra

            # it names a file by the second: the suffix tells restarts apart, the folder tells curves apart
            board_folder = self._path.parent / "tensorboard" / self._path.stem
            self._board = SummaryWriter(str(board_folder), purge_step=step + 1, filename_suffix=f".{step}")

    def _rows_until(self, step: int, every: int) -> list[dict[str, Any]]:
        """The rows up to a step, of which none may be missing after the first; one for each step."""
        rows = artifacts.read_rows(self._path)
        kept = {row["step"]: row for row in rows if isinstance(row.get("step"), int) and row["step"] <= step}
        first = -(-min(kept, default=1) // every) * every
        if lost := [number for number in range(first, step + 1, every) if number not in kept]:
            raise HyperForgetError(
                f"{self._path} lacks the record of step {lost[0]}: restore it, or delete it to go on with a shorter curve"
            )
        return [*kept.values()]

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
