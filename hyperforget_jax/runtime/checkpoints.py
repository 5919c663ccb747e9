"""Saved training states: the only module that imports orbax."""

import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.runtime import artifacts, sharding

KEPT = 1
STEP_DIGITS = 8


class Checkpoints(contextlib.AbstractContextManager["Checkpoints"]):
    """States of one training, by step, in one folder; a state is complete or absent, and the last is kept.

    Each has a checksum of all its numbers and tells what the training is made from; both are compared when it is read back.

    One factory for saving and restoring, since orbax finds a step only under the name it was saved by.
    """

    def __init__(self, folder: Path, made_from: Mapping[str, Any] | None = None) -> None:
        """Opens the folder, making it if needed.

        Args:
          folder: of the states.
          made_from: what decides the training, JSON-ready; None: nothing is told.
        """
        import orbax.checkpoint as ocp  # slow, and a request for models trains nothing

        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, step_format_fixed_length=STEP_DIGITS, enable_async_checkpointing=False
        )
        self._args, self._made_from = ocp.args, artifacts.as_json(made_from or {})
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def latest(self) -> int | None:
        """Step of the last complete state; None if there is none."""
        step: int | None = self._manager.latest_step()
        return step

    def remove_older(self) -> None:
        """Removes what a process left that was stopped while it removed a state: those before the last are whole or in part.

        Raises:
          HyperForgetError: the disk refuses.
        """
        with artifacts.writing_errors(Path(self._manager.directory)):
            for step in sorted(self._manager.all_steps())[:-KEPT]:
                self._manager.delete(step)

    def save(self, step: int, state: Any) -> None:
        """Saves a pytree of arrays under its step.

        Raises:
          OSError: the disk refuses; tensorstore tells the system's error number in its text alone.
        """
        try:
            told = {"made_from": self._made_from, "sha256": _checksum(state)}
            self._manager.save(step, args=self._args.StandardSave(state), custom_metadata=told)
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

        Raises:
          HyperForgetError: it is damaged, of another training, or of a version that wrote no checksum; names its folder and the remedy.
        """
        folder = self._manager.directory
        remedy = f"delete {folder} and run again: the training starts anew"
        described = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), like)
        told = self._manager.metadata(step).custom_metadata or {}
        if not isinstance(told.get("made_from"), dict) or not isinstance(told.get("sha256"), str):
            raise HyperForgetError(f"the state of step {step} in {folder} has no checksum: {remedy}")
        theirs, ours = told["made_from"], self._made_from
        if differing := [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]:
            name = differing[0]
            told_values = f"{name}: {theirs.get(name)} there, {ours.get(name)} here"
            raise HyperForgetError(
                f"the state of step {step} in {folder} is of another training ({told_values}): {remedy}"
            )
        try:
            state = self._manager.restore(step, args=self._args.StandardRestore(described))
        except Exception as error:  # files that are gone or cut off: whatever the libraries below raise
            raise HyperForgetError(f"the state of step {step} in {folder} is damaged: {remedy}") from error
        if _checksum(state) != told["sha256"]:
            raise HyperForgetError(f"the state of step {step} in {folder} does not match its checksum: {remedy}")
        return state


def _checksum(state: Any) -> str:
    """SHA-256 of a pytree's names, types and numbers, on however many devices they lie; processes of a cluster call it together."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        whole = leaf if leaf.is_fully_addressable else _gathered(leaf)
        array = np.ascontiguousarray(whole)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _gathered(leaf: jax.Array) -> jax.Array:
    """An array that is spread over processes, whole on one of this process's devices."""
    replicated = sharding.replicated(leaf.sharding.mesh)  # type: ignore[attr-defined]
    return jax.jit(lambda x: x, out_shardings=replicated)(leaf).addressable_data(0)
