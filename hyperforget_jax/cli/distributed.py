"""Several processes that work as one, each with its own devices, on a folder that all of them see."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from hyperforget_jax.errors import HyperForgetError
from hyperforget_jax.pipeline.run import Run
from hyperforget_jax.runtime import sharding
from hyperforget_jax.runtime.jax_settings import validate_jax

Job = Callable[[Run], None]


def initialize(text: str, timeout_s: int) -> tuple[int, int]:
    """Starts `jax.distributed` as `--cluster ADDRESS,N,I` says; returns (I, N) once all N processes are there.

    Args:
      text: what was given.
      timeout_s: seconds that a process waits at its end for the others to reach theirs.

    Raises:
      HyperForgetError: the text cannot be meant.
    """
    words = text.split(",")
    if len(words) != 3 or not all(word.isdecimal() for word in words[1:]) or int(words[2]) >= int(words[1]):
        raise HyperForgetError(f"--cluster is {text}: give ADDRESS,N,I with I below N, such as 10.0.0.1:1234,2,0")
    count, index = int(words[1]), int(words[2])
    jax.distributed.initialize(words[0], count, index, shutdown_timeout_seconds=timeout_s)
    broadcast_status(0)  # gloo gives processes half a minute to meet; once they have met, each waits for the others
    return index, count


def broadcast_status(status: int) -> int:
    """Process 0's value, 0 or more, in every process; alone, it is one's own."""
    if jax.process_count() == 1:
        return status
    devices = sharding.make(jax.device_count())  # all of them, as in a training: they need not meet again
    own = np.full(devices.size, status if jax.process_index() == 0 else 0, np.int32)
    greatest = jax.jit(jnp.max, out_shardings=sharding.replicated(devices))
    return int(greatest(sharding.put(own, sharding.batched(devices))))


def run_in_order(command: Callable[[Job], int], job: Job) -> int:
    """Runs a command in every process: process 0 takes the workdir, then the others follow; where it is refused, they end as it does.

    Args:
      command: takes the workdir and works on the job; returns its exit status.
      job: the work.

    Returns:
      Exit status.
    """
    validate_jax()
    if jax.process_index() > 0:
        return broadcast_status(0) or command(job)
    started = False

    def start(run: Run) -> None:
        nonlocal started
        started = True
        broadcast_status(0)
        job(run)

    status = 1
    try:
        status = command(start)
    finally:
        if not started:
            broadcast_status(status)
    return status
