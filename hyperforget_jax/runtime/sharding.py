"""Devices as a mesh, and the rule that says which array lies where (the pjit of 2026: jit with NamedSharding)."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hyperforget_jax.errors import HyperForgetError

DATA = "data"


def make(batch_size: int) -> Mesh:
    """A one-axis mesh of as many devices as divide the batch, equally many of every process; its axis type is Auto.

    Raises:
      HyperForgetError: the processes of a cluster cannot share the batch equally.
    """
    processes, most = jax.process_count(), jax.local_device_count()
    counts = [n for n in range(1, most + 1) if batch_size % (n * processes) == 0]
    if not counts:
        raise HyperForgetError(
            f"a batch of {batch_size} cannot be shared by {processes} processes: choose training.batch_size and "
            f"training.grad_accum_steps so that their quotient is a multiple of {processes}"
        )
    devices = [device for index in range(processes) for device in jax.local_devices(index)[: counts[-1]]]
    return jax.make_mesh((len(devices),), (DATA,), axis_types=(AxisType.Auto,), devices=devices)


def make_local(batch_size: int) -> Mesh:
    """The same of this process's own devices: what runs there waits for no other process."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    return jax.make_mesh((count,), (DATA,), axis_types=(AxisType.Auto,), devices=devices[:count])


def replicated(mesh: Mesh) -> NamedSharding:
    """Every device holds the whole array: parameters, optimiser state."""
    return NamedSharding(mesh, PartitionSpec())


def batched(mesh: Mesh) -> NamedSharding:
    """The leading axis is split over the devices: minibatches, models to sample."""
    return NamedSharding(mesh, PartitionSpec(DATA))


SMALLEST_SHARDED = 2**14
"""Elements below which an array is copied to every device: dividing it would cost more than it saves."""


def parameters(mesh: Mesh, shapes: Any, sharded: bool) -> Any:
    """Where the arrays of a training state lie: copied, or divided along their longest axis that the devices divide (FSDP).

    Args:
      mesh: the devices.
      shapes: a pytree of things with a shape.
      sharded: whether to divide.
    """

    def place(leaf: Any) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if not sharded or not axes or int(np.prod(leaf.shape)) < SMALLEST_SHARDED:
            return replicated(mesh)
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, DATA))

    return jax.tree.map(place, shapes)


def put(batch: Any, sharding: NamedSharding) -> Any:
    """A batch that every process holds whole, as arrays of which each device gets its part."""
    return jax.tree.map(
        lambda x: jax.make_array_from_callback(x.shape, sharding, lambda index: np.asarray(x[index])), batch
    )
