"""Saved training states: the only module that imports orbax."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import jax

KEPT = 1
STEP_DIGITS = 8


class Checkpoints(contextlib.AbstractContextManager["Checkpoints"]):
    """States of one training, by step, in one folder; a state is complete or absent, and the last is kept.

    One factory for saving and restoring, since orbax finds a step only under the name it was saved by.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the folder, making it if needed."""
        import orbax.checkpoint as ocp  # slow, and a request for models trains nothing

        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, step_format_fixed_length=STEP_DIGITS, enable_async_checkpointing=False
        )
        self._args = ocp.args
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def latest(self) -> int | None:
        """Step of the last complete state; None if there is none."""
        step: int | None = self._manager.latest_step()
        return step

    def save(self, step: int, state: Any) -> None:
        """Saves a pytree of arrays under its step.

        Raises:
          OSError: the disk refuses; tensorstore tells the system's error number in its text alone.
        """
        try:
            self._manager.save(step, args=self._args.StandardSave(state))
        except ValueError as error:
            match = re.search(r"os_error_code='(\d+)'", str(error))
            if match is None:
                raise
            code = int(match[1])
            raise OSError(code, os.strerror(code), str(self._manager.directory)) from error

    def restore(self, step: int, like: Any) -> Any:
        """Reads a state back.

        Args:
          step: as given to `save`.
          like: a pytree of arrays or `ShapeDtypeStruct`s that says shapes, types and where to put them.
        """
        described = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        return self._manager.restore(step, args=self._args.StandardRestore(described))
